"""Says who blocks the event loop, and on which line.

A thread asks the loop for a sign of life twice a second. When none comes for a while, it looks
where the loop's thread stands. The message path knows nothing of this.
"""

import logging
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from operator import methodcaller
from time import perf_counter

import trio

from ._user_line import node_name, user_line

log = logging.getLogger("trouper")

BEAT = 0.5
"""Seconds between two questions, at most."""
LOOK = 2.0
"""Seconds between two looks at the graph, at least."""


@contextmanager
def watch_loop(
    limit: float | None, look: Callable[[], None] | None = None
) -> Generator[None, None, None]:
    """Warn when a task keeps the event loop from running for longer than `limit` seconds.

    Does nothing with None, or on another clock than trio's own: a mock clock jumps ahead when
    nothing happens, and the beat is something that happens.

    Args:
        look: called in the loop every few seconds while it runs.
    """
    if limit is None or type(trio.lowlevel.current_clock()).__name__ != "SystemClock":
        yield
        return
    watchdog = _Watchdog(limit, look)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    def __init__(self, limit: float, look: Callable[[], None] | None) -> None:
        self._limit = limit
        self._look = look
        self._looked_at = perf_counter()
        self._beat = min(BEAT, limit / 2)
        self._token = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._asked = perf_counter()
        self._answered_at: float | None = self._asked  # who makes it is in the loop
        self._has_warned = False
        self._stopped = threading.Event()
        self._guard = threading.Lock()

    def start(self) -> None:
        # One of trio's, which are at hand; nor does a run wait for it, at its start or its end:
        # a short one would take twice as long. In a copy of the variables of here, so that its
        # warnings are records of the run.
        watch = partial(copy_context().run, self._watch)
        trio.lowlevel.start_thread_soon(watch, methodcaller("unwrap"), "trouper watchdog")

    def stop(self) -> None:
        """Let nothing more be said, and the thread go."""
        with self._guard:
            self._stopped.set()
            if self._has_warned:
                self._say_free()

    def _watch(self) -> None:
        while not self._stopped.wait(self._beat):
            with self._guard:
                if not self._stopped.is_set():
                    self._check()

    def _check(self) -> None:
        if self._answered_at is not None:
            if self._has_warned:
                self._say_free()
            self._ask()
        elif not self._has_warned and perf_counter() - self._asked >= self._limit:
            self._warn()

    def _ask(self) -> None:
        self._answered_at, self._has_warned, self._asked = None, False, perf_counter()
        self._token.run_sync_soon(self._answer)

    def _answer(self) -> None:
        self._answered_at = now = perf_counter()
        if self._look is not None and now - self._looked_at >= LOOK:
            self._looked_at = now
            self._look()

    def _warn(self) -> None:
        self._has_warned = True
        # The public, documented way in spite of its underscore.
        frame = sys._current_frames()[self._loop_thread]  # pyright: ignore[reportPrivateUsage]
        node = node_name(frame)
        log.warning(
            "%s has blocked the event loop for %.1f s, at %s; nothing else runs meanwhile: "
            "await instead, or move the call into a thread (trio.to_thread.run_sync)",
            "a task" if node is None else repr(node),
            perf_counter() - self._asked,
            user_line(frame),
        )

    def _say_free(self) -> None:
        # When it was stopped, the loop was free again to do it.
        free_at = self._answered_at or perf_counter()
        log.warning("the event loop is free again after %.1f s", free_at - self._asked)
