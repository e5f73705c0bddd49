"""A host's loop that never runs dry lets the loop of the actors have the interpreter's lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from trouper.runtime.host import _give_way
from trouper.runtime.host._give_way import EVERY, FEW, OFTEN, SELDOM, GiveWay, HostGivesWay


class Host:
    """The loop of the host as it is seen from there: timers, and pauses in which others run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.far = GiveWay()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.turns = HostGivesWay(lambda *timer: self.timers.append(timer), self.far)
        self.wanted = 0
        """Steps that the other loop would make, if it could."""
        self.pauses = 0
        self.waiting = ExitStack()
        monkeypatch.setattr(time, "sleep", self.pause)

    def pause(self, seconds: float) -> None:
        assert seconds == _give_way.PAUSE
        self.pauses += 1
        if self.wanted:
            self.wanted -= 1
            self.far.steps += 1

    def looks(self) -> Iterator[float]:
        """Have it look, each time that it wanted to; yield after how many seconds."""
        while self.timers:
            (seconds, look), *self.timers = self.timers
            yield seconds
            look()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_one_that_starves_has_a_turn_in_each_millisecond(host: Host) -> None:
    host.wanted = 50
    with host.turns:
        pass
    seconds = list(host.looks())
    assert host.wanted == 0
    assert seconds[0] == EVERY
    assert seconds[2:51] == [EVERY] * 49


def test_one_that_wants_nothing_is_left_alone(host: Host) -> None:
    with host.turns, host.turns:  # the second looks already
        pass
    seconds = list(host.looks())
    assert host.pauses < 10
    assert seconds == sorted(seconds)
    assert seconds[-1] == SELDOM
    with host.turns:
        pass
    assert len(host.timers) == 1  # it begins anew


def test_one_that_has_its_turns_costs_no_pause(host: Host) -> None:
    with host.turns:
        pass
    number = 0
    for number, seconds in enumerate(host.looks()):
        assert seconds == (OFTEN if number else EVERY)
        host.far.steps += FEW
        if number == 20:
            break
    assert number == 20
    assert host.pauses == 0


def test_it_looks_on_while_somebody_waits(host: Host) -> None:
    """What the far side does next may have no cause here: a timer there, a socket."""
    host.waiting.enter_context(host.turns)
    number = 0
    for number, seconds in enumerate(host.looks()):
        if number == 100:
            assert seconds == SELDOM
            host.wanted = 3
        if number == 104:
            assert host.wanted == 0
            assert seconds == EVERY
            host.waiting.close()
    assert number > 104
    assert host.timers == []
