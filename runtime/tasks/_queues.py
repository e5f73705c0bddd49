"""Queues: how many tasks may run at once, in all runs of this process together.

Rule 1: who waits for a place holds none, so no two wait for each other: a task that waits for a
task of a queue gives its own place back, and has it again before it goes on.
Rule 2: first come, first served; but those of a task that has had a place go first, so that
what was begun comes to its end.
"""

import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from .._names import suggest
from ..settings._init import current

if TYPE_CHECKING:
    from ._action import Action


class _Waiter:
    """Someone in the line."""

    def __init__(self) -> None:
        self.has_place = False
        self.called = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def call(self) -> bool:
        """Tell it that it has the place; return whether there is still anyone to be told."""
        self.has_place = True
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token:
            self.called.set()
            return True
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.called.set)
            return True
        return False


class Queue:
    """The places of one queue. Any thread may call it."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self._limit = limit
        self._taken = 0
        self._guard = threading.Lock()
        self._first: deque[_Waiter] = deque()
        self._then: deque[_Waiter] = deque()

    @property
    def taken(self) -> int:
        return self._taken

    def resize(self, limit: int) -> None:
        """Have so many places from now on; who has one keeps it."""
        with self._guard:
            self._limit = limit
            self._call_next()

    async def take(self, *, first: bool) -> None:
        """Wait for a place. If cancelled, none is taken.

        Args:
            first: go before those that never had one.
        """
        with self._guard:
            if self._taken < self._limit and not self._first and (first or not self._then):
                self._taken += 1
                return
            waiter = _Waiter()
            line = self._first if first else self._then
            line.append(waiter)
        try:
            await waiter.called.wait()
        except BaseException:
            with self._guard:
                if waiter.has_place:  # it came at the same time
                    self._taken -= 1
                    self._call_next()
                else:
                    line.remove(waiter)
            raise

    def give(self) -> None:
        """Give a place back."""
        with self._guard:
            self._taken -= 1
            self._call_next()

    def _call_next(self) -> None:
        while self._taken < self._limit and (self._first or self._then):
            waiter = (self._first or self._then).popleft()
            self._taken += waiter.call()


class Seat:
    """The place of one action, as long as it goes on."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._guard = threading.Lock()
        self._has_place = False
        self._away = 0
        """Calls that it waits for."""

    async def sit(self, *, first: bool) -> None:
        """Wait for a place in the queue."""
        await self.queue.take(first=first)
        self._has_place = True

    def leave(self) -> None:
        """Give the place back, if it has one."""
        with self._guard:
            had, self._has_place = self._has_place, False
        if had:
            self.queue.give()

    def go_away(self) -> None:
        """Give it back until `come_back`: the action waits for another one."""
        with self._guard:
            self._away += 1
        self.leave()

    async def come_back(self) -> None:
        """Wait for a place again, unless the action waits for another call as well."""
        self.forget()
        if not self._needs_place():
            return
        await self.queue.take(first=True)
        with self._guard:
            # Others of its calls may have begun, or ended, meanwhile.
            keeps = self._needs_place()
            if keeps:
                self._has_place = True
        if not keeps:
            self.queue.give()

    def _needs_place(self) -> bool:
        return not self._away and not self._has_place

    def forget(self) -> None:
        """One of its calls has ended, and it shall not go on."""
        with self._guard:
            self._away -= 1


def seat_above(action: "Action") -> Seat | None:
    """Return the seat of the nearest caller that is in a queue."""
    at = action.parent or action.calls.starter
    while at is not None:
        if at.seat is not None:
            return at.seat
        at = at.parent or at.calls.starter
    return None


_queues: dict[str, Queue] = {}
"""Those of this process that were used, by name."""
_guard = threading.Lock()


def check_queue(name: str, owner: str) -> None:
    """Refuse a queue that is not configured.

    Raises:
        ValueError: with the nearest one that is.
    """
    known: Mapping[str, object] = current().queues
    if name not in known:
        raise ValueError(
            f"the queue {name!r} of {owner} is not configured;{suggest(name, known)} "
            f"(trouper.init(queues={{{name!r}: 1}}), or `queues:` in the configuration file)"
        )


def find_queue(name: str, owner: str) -> Queue:
    """Return the queue of that name, with as many places as are configured now.

    Raises:
        ValueError: there is none.
    """
    check_queue(name, owner)
    limit = current().queues[name].limit
    with _guard:
        found = _queues.get(name)
        if found is None:
            found = _queues[name] = Queue(name, limit)
    found.resize(limit)
    return found
