"""Lets the host's thread run beside a loop that never runs dry.

A loop with work to do looks for events without waiting: it lets go of the interpreter's lock and
takes it again at once, hundreds of times a second. A thread that waits for the lock is told each
time, and comes too late each time; and as it was told, it never asks for the lock after 5 ms, as it
would beside a thread that just computes. It could starve for seconds.
"""

import time

import trio

EVERY = 0.001
"""Seconds of work between two pauses."""
PAUSE = 20e-6
"""Seconds: enough for another thread to wake and to take the lock."""


class Pauses:
    """Lets other threads have the lock, again and again."""

    def __init__(self) -> None:
        self._paused_at = 0.0

    def pause(self) -> None:
        """Pause, unless there was a pause just now."""
        now = time.perf_counter()
        if now - self._paused_at >= EVERY:
            time.sleep(PAUSE)
            self._paused_at = time.perf_counter()


class GiveWay(trio.abc.Instrument):
    """Pauses now and then, if there is always something to do."""

    def __init__(self) -> None:
        self._pauses = Pauses()

    def before_io_wait(self, timeout: float) -> None:
        """Pause, unless the loop waits anyway."""
        if timeout == 0.0:
            self._pauses.pause()
