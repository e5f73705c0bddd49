"""Tasks that wait at one side of a channel, first come first served.

Rule: whoever takes a waiter out of its line also decides how its wait ends, in the same step. So a
task that was woken is in no line any more, and a cancel that comes later can't undo its message.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import trio

T = TypeVar("T")

# trio asks for an `outcome.Outcome`, but only ever calls `.unwrap()`: one waiter serves many waits.
_reschedule = cast("Callable[[trio.lowlevel.Task, object], None]", trio.lowlevel.reschedule)


class Waiter(Generic[T]):
    """One task's place in line, and the outcome of its wait. To be used again after a success."""

    __slots__ = ("_error", "_line", "since", "task", "value")

    task: trio.lowlevel.Task
    since: float
    """Seconds on trio's clock."""
    value: T
    """A sender's message while it waits; a receiver's one when it has been woken."""

    def __init__(self, line: "WaitLine[T]") -> None:
        self._line = line
        self._error: Callable[[], Exception] | None = None

    def wake(self) -> None:
        task = self.task
        del self.task
        _reschedule(task, self)

    def fail(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self.wake()

    def abort(self, _: object) -> trio.lowlevel.Abort:
        self._line.leave(self)
        return trio.lowlevel.Abort.SUCCEEDED

    def unwrap(self) -> None:
        """Return or raise in the woken task, as an `outcome.Outcome` does."""
        if self._error is not None:
            raise self._error()


class WaitLine(Generic[T]):
    """The waiters of one side, each with the channel end it waits at."""

    __slots__ = ("_waited_s", "waiters")

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter[T], object] = OrderedDict()
        self._waited_s = 0.0

    def join(self, waiter: Waiter[T], end: object) -> None:
        waiter.task = trio.lowlevel.current_task()
        waiter.since = trio.current_time()
        self.waiters[waiter] = end

    def pop_first(self) -> Waiter[T]:
        waiter, _ = self.waiters.popitem(last=False)
        self._waited_s += trio.current_time() - waiter.since
        return waiter

    def leave(self, waiter: Waiter[T]) -> None:
        del self.waiters[waiter]
        self._waited_s += trio.current_time() - waiter.since

    def fail_all(self, error: Callable[[], Exception], *, end: object = None) -> None:
        """Wake with `error` those who wait at `end`, or everyone."""
        for waiter in [w for w, at in self.waiters.items() if end is None or at is end]:
            self.leave(waiter)
            waiter.fail(error)

    def waited_s(self) -> float:
        """Return the seconds that tasks spent here, summed, waits still going on included."""
        if not self.waiters:
            return self._waited_s  # also outside of a run, where there is no clock
        now = trio.current_time()
        return self._waited_s + sum(now - waiter.since for waiter in self.waiters)
