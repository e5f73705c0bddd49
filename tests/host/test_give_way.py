"""A loop that never runs dry lets the host's thread have the interpreter's lock."""

import pytest

from trouper.runtime.host import _give_way


def test_it_pauses_now_and_then_while_there_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    pauses: list[float] = []

    class Time:
        @staticmethod
        def perf_counter() -> float:
            return now

        @staticmethod
        def sleep(seconds: float) -> None:
            pauses.append(seconds)

    monkeypatch.setattr(_give_way, "time", Time)
    give_way = _give_way.GiveWay()
    give_way.before_io_wait(0.0)
    give_way.before_io_wait(0.0)  # at once again
    assert len(pauses) == 1
    now += 1.0
    give_way.before_io_wait(0.5)  # it waits anyway
    assert len(pauses) == 1
    give_way.before_io_wait(0.0)
    assert pauses == [_give_way.PAUSE] * 2
