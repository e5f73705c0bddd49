"""Says who blocks the event loop, and on which line.

A thread asks the loop for a sign of life twice a second. When none comes for a while, it looks
where the loop's thread stands. The message path knows nothing of this.
"""

import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter

import trio

from ._user_line import node_name, user_line

log = logging.getLogger("trouper")

BEAT = 0.5
"""Seconds between two questions."""


@contextmanager
def watch_loop(limit: float | None) -> Generator[None, None, None]:
    """Warn when a task keeps the event loop from running for longer than `limit` seconds.

    Does nothing with None, or on another clock than trio's own: a mock clock jumps ahead when
    nothing happens, and the beat is something that happens.
    """
    if limit is None or type(trio.lowlevel.current_clock()).__name__ != "SystemClock":
        yield
        return
    watchdog = _Watchdog(limit)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._token = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="trouper watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing of a run outlives it."""
        self._stopped.set()
        self._answered.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            asked = perf_counter()
            self._answered.clear()
            # Between the look above and the clearing, `stop` may have come.
            if self._stopped.is_set():
                return
            self._token.run_sync_soon(self._answered.set, idempotent=True)
            if not self._answered.wait(self._limit):
                self._report(asked)
            self._stopped.wait(BEAT)

    def _report(self, asked: float) -> None:
        # The public, documented way in spite of its underscore.
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]
        if frame is None or self._answered.is_set():
            return  # free again since, or its thread is gone
        node, place = node_name(frame), user_line(frame)
        # The frame holds all that runs in the loop's thread: let go of it before the long wait.
        del frame
        who = "a task" if node is None else repr(node)
        log.warning(
            "%s has blocked the event loop for %.1f s, at %s; nothing else runs meanwhile: "
            "await instead, or move the call into a thread (trio.to_thread.run_sync)",
            who,
            perf_counter() - asked,
            place,
        )
        self._answered.wait()
        log.warning("the event loop is free again after %.1f s", perf_counter() - asked)
