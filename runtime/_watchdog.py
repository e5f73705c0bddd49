"""Says who blocks the event loop, and on which line.

A thread asks the loop for a sign of life twice a second. When none comes for a while, it looks
where the loop's thread stands. The message path knows nothing of this.

Rule 1: all runs of a loop have one such thread, so that a stall is told once, not once by each.
Rule 2: what blocks the loop again and again is told once in a while.
"""

import logging
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context, copy_context
from operator import methodcaller
from time import perf_counter
from types import FrameType

import trio
from attrs import define

from ._cli_text import count
from ._once_in_a_while import OnceInAWhile
from ._user_line import node_name, running_task, user_line
from .logs._run_logs import current_logs

log = logging.getLogger("trouper")

BEAT = 0.5
"""Seconds between two questions, at most."""
LOOK = 2.0
"""Seconds between two looks at the graph, at least."""
QUIET = 60.0
"""Seconds in which a node that blocks the loop at the same line is told once."""


@contextmanager
def watch_loop(
    limit: float | None, look: Callable[[], None] | None = None
) -> Generator[None, None, None]:
    """Warn when a task keeps the event loop from running for longer than `limit` seconds.

    Does nothing with None, or on another clock than trio's own: a mock clock jumps ahead when
    nothing happens, and the beat is something that happens. Where several blocks of a loop watch
    it at once, the smallest of their limits holds.

    Args:
        look: called in the loop every few seconds while it runs.
    """
    if limit is None or type(trio.lowlevel.current_clock()).__name__ != "SystemClock":
        yield
        return
    watchdog = _of_this_loop.get(None)
    if watchdog is None:
        watchdog = _Watchdog()
        _of_this_loop.set(watchdog)
    watch = _Watch(limit, look, copy_context(), perf_counter())
    watchdog.add(watch)
    try:
        yield
    finally:
        if not watchdog.remove(watch):
            _of_this_loop.set(None)


@define(eq=False)
class _Watch:
    """The part of one run."""

    limit: float
    look: Callable[[], None] | None
    context: Context
    """So that a warning is a record of the run."""
    looked_at: float


class _Watchdog:
    """The part of a loop, for as long as one of its runs goes on."""

    def __init__(self) -> None:
        self._watches: dict[_Watch, None] = {}
        self._limit = self._beat = BEAT
        self._token = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._asked = perf_counter()
        self._answered_at: float | None = self._asked  # who makes it is in the loop
        self._has_looked = False
        self._told_in: Context | None = None
        """Where the stall that goes on was told; None: there is none, or it was left out."""
        self._stalls = OnceInAWhile(QUIET)
        self._stopped = threading.Event()
        self._guard = threading.Lock()

    def add(self, watch: _Watch) -> None:
        is_first = not self._watches
        with self._guard:
            self._watches[watch] = None
            self._reckon()
        if is_first:
            # One of trio's, which are at hand; nor does a run wait for it, at its start or its end:
            # a short one would take twice as long.
            trio.lowlevel.start_thread_soon(self._watch, methodcaller("unwrap"), "trouper watchdog")

    def remove(self, watch: _Watch) -> bool:
        """Return whether there are others; if not, nothing more is said, and the thread goes."""
        with self._guard:
            del self._watches[watch]
            if self._watches:
                self._reckon()
                return True
            self._stopped.set()
            if self._told_in is not None:
                self._say_free(self._told_in)
            watch.context.run(self._say_left_out)
            return False

    def _reckon(self) -> None:
        self._limit = min(each.limit for each in self._watches)
        self._beat = min(BEAT, self._limit / 2)

    def _watch(self) -> None:
        while not self._stopped.wait(self._beat):
            with self._guard:
                if not self._stopped.is_set():
                    self._check()

    def _check(self) -> None:
        if self._answered_at is not None:
            if self._told_in is not None:
                self._say_free(self._told_in)
            self._ask()
        elif not self._has_looked and perf_counter() - self._asked >= self._limit:
            self._look_at_stall()

    def _ask(self) -> None:
        self._answered_at, self._has_looked, self._told_in = None, False, None
        self._asked = perf_counter()
        self._token.run_sync_soon(self._answer)

    def _answer(self) -> None:
        self._answered_at = now = perf_counter()
        for watch in tuple(self._watches):
            if watch.look is not None and now - watch.looked_at >= LOOK:
                watch.looked_at = now
                watch.look()

    def _look_at_stall(self) -> None:
        self._has_looked = True
        # The public, documented way in spite of its underscore.
        frame = sys._current_frames()[self._loop_thread]  # pyright: ignore[reportPrivateUsage]
        node, place = node_name(frame), user_line(frame)
        who = "a task" if node is None else repr(node)
        now = perf_counter()
        earlier = self._stalls.earlier(f"{who} at {place}", now)
        if earlier is None:
            return
        self._told_in = self._context_of(frame)
        self._told_in.run(
            log.warning,
            "%s has blocked the event loop for %.1f s, at %s%s; nothing else runs meanwhile: "
            "await instead, or move the call into a thread (trio.to_thread.run_sync)",
            who,
            now - self._asked,
            place,
            f" (and {count(earlier, 'time')} more since this was told last)" if earlier else "",
        )

    def _context_of(self, frame: FrameType) -> Context:
        """Return the context of the run that blocks the loop, or else of the one that began first.

        A copy: that of a task is in use, by the task.
        """
        task = running_task(frame)
        is_of_a_run = task is not None and current_logs in task.context
        return (task if task and is_of_a_run else next(iter(self._watches))).context.copy()

    def _say_free(self, context: Context) -> None:
        # When it was stopped, the loop was free again to do it.
        free_at = self._answered_at or perf_counter()
        context.run(log.warning, "the event loop is free again after %.1f s", free_at - self._asked)

    def _say_left_out(self) -> None:
        left_out = self._stalls.left_out()
        if left_out:
            log.warning(
                "the event loop was blocked %s more, which was not told each time: mostly by %s",
                count(sum(left_out.values()), "time"),
                max(left_out, key=lambda each: left_out[each]),
            )


_of_this_loop: trio.lowlevel.RunVar[_Watchdog | None] = trio.lowlevel.RunVar("trouper watchdog")
