"""Where a task waits for one condition, with as little work as trio's public API allows."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import trio
from trio.lowlevel import (
    Abort,
    Task,
    current_clock,
    current_task,
    reschedule,
    wait_task_rescheduled,
)


class _Go:
    """What a woken task is given. One object for all: a fresh outcome per wake-up costs 0.3 us."""

    def unwrap(self) -> None:
        return None


GO: Any = _Go()


def _time_source() -> Callable[[], float]:
    """Return what tells seconds on this run's clock; only differences of it mean anything.

    trio's own clock is `perf_counter` and an offset: a call more at both ends of a wait.
    """
    clock = current_clock()
    return perf_counter if type(clock).__name__ == "SystemClock" else clock.current_time


class ParkingBay:
    """Tasks that wait for one condition. All are woken together, and each looks again itself.

    Usually one task waits; its slot is kept apart because that needs no object per wait. Called, a
    bay is the abort function of that task: a bound method would be one more object per actor.
    """

    __slots__ = ("_crowd", "_now", "_since", "_waited", "parked")

    def __init__(self) -> None:
        self.parked: Task | None = None
        self._crowd: trio.lowlevel.ParkingLot | None = None
        self._waited = 0.0
        self._since = 0.0
        self._now: Any = None
        """Tells seconds; found at the first wait, because a clock belongs to a run."""

    @property
    def waited(self) -> float:
        """Seconds on trio's clock that a task has waited here, the wait still going on included."""
        if self.parked is None:
            return self._waited
        since: float = self._now() - self._since
        return self._waited + since

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        crowd = 0 if self._crowd is None else self._crowd.statistics().tasks_waiting
        return crowd + (self.parked is not None)

    async def park(self) -> None:
        """Wait until `wake`, or until the first of several leaves: look again afterwards.

        If cancelled, the bay is as if the task had not come.
        """
        if self.parked is not None:
            self._crowd = self._crowd or trio.lowlevel.ParkingLot()
            await self._crowd.park()
        else:
            await wait_task_rescheduled(self.enter(current_task()))

    def enter(self, task: Task) -> Callable[[Any], Abort]:
        """Take the free slot for the current task; return what `wait_task_rescheduled` needs.

        For callers that save a coroutine per wait: `await wait_task_rescheduled(bay.enter(task))`.
        """
        now = self._now
        if now is None:
            self._now = now = _time_source()
        self.parked = task
        self._since = now()
        return self

    def wake(self) -> None:
        """Let every waiting task look again."""
        task = self.parked
        if task is not None:
            self.parked = None
            self._waited += self._now() - self._since
            reschedule(task, GO)
        if self._crowd is not None:
            self._crowd.unpark_all()

    def _clear(self) -> None:
        self.parked = None
        self._waited += self._now() - self._since

    def __call__(self, _raise_cancel: object) -> Abort:
        """Let the task in the slot go, which is being cancelled."""
        self._clear()
        if self._crowd is not None:
            # Whoever wakes looks at the slot first: it must not be empty while others wait.
            self._crowd.unpark_all()
        return Abort.SUCCEEDED
