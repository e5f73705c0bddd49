"""What a group does when one of its members fails: whom to stop, whom to start, in which order.

The words and rules are OTP's. Nothing waits here: an `Agenda` is told what happened, and says what
to do next. All stops come before any start, stops in reverse order and one at a time, starts in
order.
"""

import heapq
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, Literal, get_args

from attrs import frozen

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is stopped and started again with a member that failed: nobody else, all, those after it."""
AutoShutdown = Literal["never", "any_significant", "all_significant"]
"""When a group ends by itself: never, or when one or all of its significant members have ended."""

STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
AUTO_SHUTDOWNS: Final[tuple[AutoShutdown, ...]] = get_args(AutoShutdown)


class Standing(Enum):
    """Where a member stands in its group's eyes."""

    IDLE = "idle"
    """Its inputs do not stand yet: it was never started."""
    UP = "up"
    DOWN = "down"
    """It will be started, once nothing has to be stopped any more."""
    GONE = "gone"
    """It has ended, and is never started again."""

    __hash__ = object.__hash__


@frozen
class Stop:
    place: int


@frozen
class Start:
    place: int


@frozen
class Wait:
    """Start nothing before that time, seconds on trio's clock."""

    until: float


Step = Stop | Start | Wait


def affected(strategy: Strategy, place: int, size: int) -> range:
    """Return the places of those that are restarted when the member at `place` fails."""
    if strategy == "one_for_all":
        return range(size)
    return range(place, place + 1 if strategy == "one_for_one" else size)


def too_often(times: Sequence[float], now: float, max_restarts: int, period: float) -> int:
    """Return how many failures are too many; 0: they are not.

    Args:
        times: shape (n,), seconds, oldest first: the failures that count, the last one included.
        now: seconds on the same clock. A failure exactly `period` old still counts (case S2).
    """
    recent = sum(t >= now - period for t in times)
    return recent if recent > max_restarts else 0


def shuts_down(auto: AutoShutdown, *, significant: bool, others: int) -> bool:
    """Return whether a group ends because a member has ended by itself (case S14).

    Args:
        significant: whether that member is.
        others: significant members that have not ended.
    """
    if auto == "any_significant":
        return significant
    return auto == "all_significant" and significant and others == 0


class Agenda:
    """What a group still has to do. Members have places: 0, 1, 2, ... in start order."""

    def __init__(self, strategy: Strategy, temporary: Iterable[bool] = ()) -> None:
        self.strategy: Strategy = strategy
        self._temporary = list(temporary)
        self.standing = [Standing.IDLE] * len(self._temporary)
        self.closing = False
        """Whether all of it stops, and nothing is started."""
        self.due = 0.0
        """Nothing is started before; seconds."""
        # Heaps, and what stands in them may be out of date: thousands of members may be stopped.
        self._doomed: list[int] = []
        """Negative places."""
        self._waiting: list[int] = []

    def add(self, *, temporary: bool) -> None:
        """Add a member, the last in start order."""
        self._temporary.append(temporary)
        self.standing.append(Standing.IDLE)

    def must_stop(self) -> bool:
        """Return whether something may have to be stopped before anything is started."""
        return bool(self._doomed)

    def next(self, now: float) -> Step | None:
        """Return the next thing to do; None: nothing, until something happens.

        A member whose start is returned counts as up, one whose stop is returned does so until
        `stopped` or `end` is called.
        """
        while self._doomed:
            place = -heapq.heappop(self._doomed)
            if self.standing[place] is Standing.UP:
                return Stop(place)
        while self._waiting and not self.closing:
            place = self._waiting[0]
            if self.standing[place] is not Standing.DOWN:
                heapq.heappop(self._waiting)
            elif now < self.due:
                return Wait(self.due)
            else:
                heapq.heappop(self._waiting)
                self.standing[place] = Standing.UP
                return Start(place)
        return None

    # -- what happened -----------------------------------------------------------------------

    def admit(self, place: int) -> None:
        """A member's inputs stand now."""
        if self.standing[place] is Standing.IDLE:
            self._lay_down(place)

    def fail(self, place: int, due: float) -> None:
        """A member failed and is to be started again, not before `due`, with all it affects.

        Those that are up are stopped first; a temporary one of them is not started again (case
        S8).
        """
        self._lay_down(place)
        self.due = due
        for each in affected(self.strategy, place, len(self.standing)):
            if self.standing[each] is Standing.UP:
                heapq.heappush(self._doomed, -each)

    def stopped(self, place: int) -> None:
        """A member that was to stop has stopped."""
        if self._temporary[place] and not self.closing:
            self.standing[place] = Standing.GONE
        else:
            self._lay_down(place)

    def end(self, place: int) -> None:
        """A member has ended, and is not to be started again."""
        self.standing[place] = Standing.GONE

    def close(self) -> None:
        """Stop all of it."""
        self.closing = True
        up = [p for p, standing in enumerate(self.standing) if standing is Standing.UP]
        self._doomed = [-place for place in reversed(up)]  # sorted, so it is a heap

    def reopen(self) -> None:
        """Start again what was stopped by `close`."""
        self.closing = False
        self.due = 0.0

    def _lay_down(self, place: int) -> None:
        self.standing[place] = Standing.DOWN
        heapq.heappush(self._waiting, place)
