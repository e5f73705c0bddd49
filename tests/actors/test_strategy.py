"""The decision of a group: who is stopped, who is started, how often is too often."""

import math
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trouper.actors._strategy import (
    Agenda,
    AutoShutdown,
    Standing,
    Start,
    Stop,
    Strategy,
    Wait,
    affected,
    shuts_down,
    too_often,
)

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def up(strategy: Strategy, *temporary: bool) -> Agenda:
    """Return an agenda of members that are all up."""
    agenda = Agenda(strategy, temporary)
    for place in range(len(temporary)):
        agenda.admit(place)
    assert carry_out(agenda) == [Start(place) for place in range(len(temporary))]
    return agenda


def carry_out(agenda: Agenda, now: float = 0.0) -> list[Any]:
    """Do what it says until it says nothing; return what that was."""
    done: list[Any] = []
    while (step := agenda.next(now)) is not None:
        done.append(step)
        if isinstance(step, Wait):
            break
        if isinstance(step, Stop):
            agenda.stopped(step.place)
    return done


def test_one_for_all_stops_the_others_backwards_and_starts_all_in_order() -> None:
    """S6."""
    agenda = up("one_for_all", False, False, False)
    agenda.fail(1, 0.0)
    assert carry_out(agenda) == [Stop(2), Stop(0), Start(0), Start(1), Start(2)]


def test_rest_for_one_leaves_those_before_alone() -> None:
    """S7."""
    agenda = up("rest_for_one", False, False, False)
    agenda.fail(1, 0.0)
    assert carry_out(agenda) == [Stop(2), Start(1), Start(2)]


def test_a_temporary_bystander_is_stopped_and_not_started_again() -> None:
    """S8: under both strategies, and the group goes on without it."""
    for strategy in STRATEGIES[1:]:
        agenda = up(strategy, False, True, False)
        agenda.fail(0, 0.0)
        assert carry_out(agenda) == [Stop(2), Stop(1), Start(0), Start(2)]
        assert agenda.standing[1] is Standing.GONE
        agenda.fail(0, 0.0)
        assert carry_out(agenda) == [Stop(2), Start(0), Start(2)]


def test_another_member_fails_while_the_group_starts_again() -> None:
    """S9: one_for_all stops the one that had just started and tries both again; rest_for_one keeps
    it."""
    cases: Any = (
        ("one_for_all", [Stop(0), Start(0), Start(1)]),
        ("rest_for_one", [Start(1)]),
    )
    for strategy, then in cases:
        agenda = up(strategy, False, False)
        agenda.fail(0, 0.0)
        assert agenda.next(0.0) == Stop(1)
        agenda.stopped(1)
        assert [agenda.next(0.0), agenda.next(0.0)] == [Start(0), Start(1)]
        agenda.fail(1, 0.0)
        assert carry_out(agenda) == then


def test_a_group_waits_before_it_starts_not_before_it_stops() -> None:
    agenda = up("one_for_all", False, False)
    agenda.fail(0, 5.0)
    assert carry_out(agenda, 1.0) == [Stop(1), Wait(5.0)]
    assert carry_out(agenda, 5.0) == [Start(0), Start(1)]


def test_a_closing_group_stops_all_and_starts_nothing_until_it_is_opened_again() -> None:
    """S12: reverse order. A temporary one is kept: nobody but its group was stopped (S10)."""
    agenda = up("one_for_one", False, True, False)
    agenda.close()
    agenda.admit(0)
    assert carry_out(agenda) == [Stop(2), Stop(1), Stop(0)]
    agenda.reopen()
    assert carry_out(agenda) == [Start(0), Start(1), Start(2)]


def test_what_has_not_begun_is_neither_stopped_nor_started() -> None:
    agenda = Agenda("one_for_all", (False, False))
    agenda.admit(0)
    assert carry_out(agenda) == [Start(0)]
    agenda.fail(0, 0.0)
    assert carry_out(agenda) == [Start(0)]
    agenda.admit(1)
    agenda.admit(1)
    assert carry_out(agenda) == [Start(1)]


def test_a_member_that_ended_while_it_was_to_be_stopped_is_left_alone() -> None:
    agenda = up("one_for_all", False, False, False)
    agenda.fail(0, 0.0)
    agenda.end(2)
    assert carry_out(agenda) == [Stop(1), Start(0), Start(1)]
    agenda.fail(0, 9.0)
    agenda.end(0)
    assert carry_out(agenda, 9.0) == [Stop(1), Start(1)]


@pytest.mark.parametrize(("now", "expected"), [(9.0, 3), (10.0, 3), (10.5, 0)])
def test_the_period_is_inclusive_and_one_too_many_trips(now: float, expected: int) -> None:
    """S2: with max_restarts=2, the third within the period; one exactly as old still counts."""
    assert too_often([0.0, 1.0, now], now, 2, 10.0) == expected


def test_slow_failures_never_trip_and_none_allowed_trips_at_once() -> None:
    """S3, S4."""
    times = [0.0, 2.1, 4.2, 6.3]
    assert not any(too_often(times[: n + 1], times[n], 1, 1.0) for n in range(4))
    assert too_often([0.0], 0.0, 0, 1.0) == 1


@given(
    st.lists(st.floats(0, 100), min_size=1).map(sorted),
    st.integers(0, 5),
    st.floats(0.1, 50) | st.just(math.inf),
)
def test_intensity_counts_what_lies_within_the_period(
    times: list[float], most: int, period: float
) -> None:
    """S2."""
    now = times[-1]
    recent = len([t for t in times if not t < now - period])
    assert too_often(times, now, most, period) == (recent if recent > most else 0)


def test_automatic_shutdown_as_a_table() -> None:
    """S14."""
    autos: tuple[AutoShutdown, ...] = get_args(AutoShutdown)
    found = {
        (auto, significant, others)
        for auto, significant, others in product(autos, (False, True), (0, 1))
        if shuts_down(auto, significant=significant, others=others)
    }
    assert found == {
        ("any_significant", True, 0),
        ("any_significant", True, 1),
        ("all_significant", True, 0),
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(st.data())
def test_only_the_strategy_says_who_is_affected(strategy: Strategy, data: st.DataObject) -> None:
    """S5, S6, S7."""
    size = data.draw(st.integers(1, 8))
    place = data.draw(st.integers(0, size - 1))
    expected = {
        "one_for_one": {place},
        "one_for_all": set(range(size)),
        "rest_for_one": {each for each in range(size) if each >= place},
    }
    assert set(affected(strategy, place, size)) == expected[strategy]


class AgendaAgainstAModel(RuleBasedStateMachine):
    """A group in which anything may fail or end at any moment, also while it is being mended.

    The model knows nothing of order or heaps: for each member only what it wants of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.agenda = Agenda("one_for_all", ())
        self.strategy: Strategy = "one_for_all"
        self.temporary: list[bool] = []
        self.alive: set[int] = set()
        self.to_stop: set[int] = set()
        self.to_start: set[int] = set()
        self.gone: set[int] = set()
        self.stopping: int | None = None

    @precondition(lambda self: not self.temporary)
    @rule(
        strategy=st.sampled_from(STRATEGIES),
        temporary=st.lists(st.booleans(), min_size=1, max_size=6),
    )
    def begin(self, strategy: Strategy, temporary: list[bool]) -> None:
        self.strategy, self.temporary = strategy, temporary
        self.agenda = Agenda(strategy, temporary)

    @precondition(lambda self: self.temporary)
    @rule(data=st.data())
    def stands(self, data: st.DataObject) -> None:
        idle = set(range(len(self.temporary))) - self.alive - self.to_start - self.gone
        if not idle:
            return
        place = data.draw(st.sampled_from(sorted(idle)))
        self.agenda.admit(place)
        self.to_start.add(place)

    @precondition(lambda self: self.alive - {self.stopping})
    @rule(data=st.data())
    def fails(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.alive - {self.stopping})))
        self.agenda.fail(place, 0.0)
        self.alive.discard(place)
        self.to_stop.discard(place)
        self.to_start.add(place)
        self.to_stop |= self.alive & set(affected(self.strategy, place, len(self.temporary)))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.alive)))
        self.agenda.end(place)
        self.alive.discard(place)
        self.to_stop.discard(place)
        self.gone.add(place)
        if place == self.stopping:
            self.stopping = None

    @precondition(lambda self: self.stopping is not None)
    @rule()
    def has_stopped(self) -> None:
        place, self.stopping = self.stopping, None
        assert place is not None
        self.agenda.stopped(place)
        self.alive.discard(place)
        self.to_stop.discard(place)
        (self.gone if self.temporary[place] else self.to_start).add(place)

    @precondition(lambda self: self.temporary and self.stopping is None)
    @rule()
    def does_the_next_thing(self) -> None:
        step = self.agenda.next(0.0)
        if self.to_stop:
            assert step == Stop(max(self.to_stop)), "the last one first, and before any start"
            self.stopping = max(self.to_stop)
        elif self.to_start:
            assert step == Start(min(self.to_start)), "in order"
            self.alive.add(min(self.to_start))
            self.to_start.discard(min(self.to_start))
        else:
            assert step is None

    @invariant()
    def agrees(self) -> None:
        standing = self.agenda.standing
        assert {p for p, s in enumerate(standing) if s is Standing.UP} == self.alive
        assert {p for p, s in enumerate(standing) if s is Standing.DOWN} == self.to_start
        assert {p for p, s in enumerate(standing) if s is Standing.GONE} == self.gone


TestAgenda = AgendaAgainstAModel.TestCase
