"""What to do about a child that ended: tables, boundaries and properties."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trouper import Backoff, RestartPolicy
from trouper.actors._lifecycle import LIFECYCLE, Event, State, step
from trouper.actors._restart import (
    RESTART_TYPES,
    Done,
    GiveUp,
    Restart,
    decide_exit,
    decide_failure,
)

BACKOFFS = st.builds(
    Backoff,
    min=st.floats(0, 5),
    max=st.floats(5, 100),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
)


def decide(policy: RestartPolicy, failures: list[float], now: float) -> object:
    return decide_failure(policy, failures, now, streak=1, chance=0.0)


# -- backoff -------------------------------------------------------------------------------------


def test_backoff_doubles_from_min_to_max() -> None:
    """P1: none for the first, then 1, 2, 4, 8, 10, 10."""
    backoff = Backoff(min=1, max=10, jitter=0)
    assert [backoff.delay(streak, 0.5) for streak in range(1, 8)] == [0, 1, 2, 4, 8, 10, 10]


@given(backoff=BACKOFFS, streak=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_jitter_stays_within_its_share(backoff: Backoff, streak: int, chance: float) -> None:
    """P1."""
    without, with_jitter = backoff.delay(streak, 0.0), backoff.delay(streak, chance)
    assert without <= with_jitter <= without * (1 + backoff.jitter) * (1 + 1e-12)
    assert without == 0.0 if streak <= 1 else backoff.min <= without <= backoff.max


@given(backoff=BACKOFFS, streak=st.integers(2, 200))
def test_delays_never_shrink_within_a_streak(backoff: Backoff, streak: int) -> None:
    """P1."""
    assert backoff.delay(streak, 0.3) <= backoff.delay(streak + 1, 0.3)


def test_failures_are_forgiven_after_the_mean_of_min_and_max() -> None:
    """P1: the default reset."""
    assert Backoff(min=1, max=10).forgiven_after == 5.5
    assert Backoff(min=1, max=10, reset_after=2).forgiven_after == 2
    assert Backoff(min=1, max=10, reset_after=0).forgiven_after == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"min": -1}, "-1"),
        ({"min": 3, "max": 2}, "got 3 and 2"),
        ({"max": math.inf}, "inf"),
        ({"factor": 0.5}, "0.5"),
        ({"jitter": 1.5}, "1.5"),
        ({"jitter": -0.1}, "-0.1"),
        ({"reset_after": -1}, "-1"),
        ({"reset_after": math.nan}, "nan"),
        ({"factor": math.nan}, "nan"),
    ],
)
def test_bad_backoffs_are_refused(options: Mapping[str, Any], named: str) -> None:
    """S13."""
    with pytest.raises(ValueError, match=named):
        Backoff(**options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"restart": "sometimes"}, "permanent, transient, temporary"),
        ({"max_restarts": -1}, "-1"),
        ({"period": 0}, "period must be > 0"),
        ({"period": math.nan}, "nan"),
    ],
)
def test_bad_policies_are_refused(options: Mapping[str, Any], named: str) -> None:
    """S13."""
    with pytest.raises(ValueError, match=named):
        RestartPolicy(**options)


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (Backoff, {"min": "1"}, "min of a backoff takes a number, got '1'"),
        (Backoff, {"max": None}, "max of a backoff takes a number, got None"),
        (Backoff, {"reset_after": True}, "reset_after of a backoff takes a number, got True"),
        (RestartPolicy, {"max_restarts": 1.5}, r"max_restarts takes an int, got 1\.5"),
        (RestartPolicy, {"max_restarts": True}, "max_restarts takes an int, got True"),
        (RestartPolicy, {"period": "1m"}, "period takes seconds, got '1m'"),
        (RestartPolicy, {"backoff": 3}, r"backoff takes a trouper\.Backoff, got 3"),
    ],
)
def test_wrong_types_are_refused(make: Any, options: Mapping[str, Any], text: str) -> None:
    """S13."""
    with pytest.raises(TypeError, match=text):
        make(**options)


# -- decisions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [-1e-6, 0.0, 1e-6])
def test_the_period_is_inclusive(eps: float) -> None:
    """S2: OTP counts `t >= now - period` and trips when there are more than the intensity."""
    policy = RestartPolicy(max_restarts=2, period=10.0)
    now = 110.0 + eps
    tripped = isinstance(decide(policy, [100.0, 105.0, now], now), GiveUp)
    assert tripped == (eps <= 0)


def test_a_slow_crash_never_trips() -> None:
    """S3: intensity 1 in 1 s, a crash each 2.1 s."""
    policy = RestartPolicy(max_restarts=1, period=1.0)
    times = [2.1 * n for n in range(4)]
    for n, now in enumerate(times):
        assert decide(policy, times[: n + 1], now) == Restart(0.0)


def test_no_intensity_stops_at_the_first_crash() -> None:
    """S4."""
    decision = decide(RestartPolicy(max_restarts=0), [1.0], 1.0)
    assert isinstance(decision, GiveUp)
    assert decision.reason == (
        "failed once in 10 s; fix the cause, or allow more than max_restarts=0"
    )


@pytest.mark.parametrize("restart", RESTART_TYPES)
@pytest.mark.parametrize("may_go_on", [True, False])
def test_restart_types(restart: Any, may_go_on: bool) -> None:
    """S1, P4."""
    policy = RestartPolicy(restart=restart)
    again = restart == "permanent" and may_go_on
    assert decide_exit(policy, may_go_on=may_go_on) == (Restart(0.0) if again else Done())
    failed = decide(policy, [0.0], 0.0)
    assert isinstance(failed, GiveUp if restart == "temporary" else Restart)


def test_the_delay_comes_from_the_backoff() -> None:
    policy = RestartPolicy(backoff=Backoff(min=1, max=10, jitter=0.5))
    assert decide_failure(policy, [0.0], 0.0, streak=3, chance=1.0) == Restart(3.0)


class NoOrderOfFailuresBuysExtraRestarts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.policy = RestartPolicy(max_restarts=3, period=10.0)
        self.now = 0.0
        self.failures: list[float] = []
        self.restarts: list[float] = []

    @rule(gap=st.floats(0.0, 20.0))
    def fail(self, gap: float) -> None:
        self.now += gap
        self.failures.append(self.now)
        recent = sum(t >= self.now - 10.0 for t in self.failures)
        restarted = isinstance(decide(self.policy, self.failures, self.now), Restart)
        assert restarted == (recent <= 3)
        if restarted:
            self.restarts.append(self.now)

    @invariant()
    def budget_holds(self) -> None:
        """S2."""
        assert sum(t >= self.now - 10.0 for t in self.restarts) <= 3


TestRestartBudget = NoOrderOfFailuresBuysExtraRestarts.TestCase


# -- life cycle ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_the_table_does_not_list_cannot_happen(state: State, event: Event) -> None:
    if event in LIFECYCLE[state]:
        assert step(state, event) is LIFECYCLE[state][event]
    else:
        with pytest.raises(ValueError, match=f"{event.name} cannot happen in {state.name}"):
            step(state, event)


def test_an_end_is_final_and_any_life_can_be_ended() -> None:
    for state in (State.FAILED, State.CANCELLED):
        assert not LIFECYCLE[state]
    for state in (State.WAITING, State.STARTING, State.RUNNING, State.RESTARTING):
        assert LIFECYCLE[state][Event.CANCEL] is State.CANCELLED
        assert LIFECYCLE[state][Event.GIVE_UP] is State.FAILED
