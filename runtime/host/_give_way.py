"""Lets another thread run beside a loop that never runs dry: the host's, or the one of the actors.

A loop with work to do looks for events without waiting: it lets go of the interpreter's lock and
takes it again at once, hundreds of times a second. A thread that waits for the lock is told each
time, and comes too late each time; and as it was told, it never asks for the lock after 5 ms, as it
would beside a thread that just computes. It could starve for seconds.
"""

import time
from collections.abc import Callable

import trio

EVERY = 0.001
"""Seconds of work between two pauses."""
PAUSE = 20e-6
"""Seconds: enough for another thread to wake and to take the lock."""
OFTEN = 0.005
"""Seconds between two looks at a thread that gets its turns."""
SELDOM = 0.05
"""Seconds between two looks at a thread that wants none."""
FEW = 8
"""Steps of the other loop between two looks that tell of a thread that starves."""


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
    """Pauses now and then, if there is always something to do; and counts the steps of its loop."""

    def __init__(self) -> None:
        self._pauses = Pauses()
        self.steps = 0

    def before_io_wait(self, timeout: float) -> None:
        """Pause, unless the loop waits anyway."""
        self.steps += 1
        if timeout == 0.0:
            self._pauses.pause()


class HostGivesWay:
    """Has the host's loop pause, while the loop of the actors has something to do but no turn.

    It looks now and then from the moment that somebody waits for the other loop (`with` it), until
    nobody does and nothing goes on there. Whether that loop starves shows after a pause: it makes a
    step then, but few.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object], far: GiveWay) -> None:
        """Prepare.

        Args:
            later: calls a function in the host's loop, after so many seconds.
            far: counts the steps of the other loop.
        """
        self._later = later
        self._far = far
        self._looks = False
        self._seen = 0
        self._delay = EVERY
        self._waits = 0
        """How many wait for the other loop now."""

    def __enter__(self) -> None:
        self._waits += 1
        if not self._looks:
            self._looks = True
            self._delay = EVERY
            self._later(EVERY, self._look)

    def __exit__(self, *_exc: object) -> None:
        self._waits -= 1

    def _look(self) -> None:
        steps, self._seen = self._far.steps - self._seen, self._far.steps
        if steps >= FEW:
            self._delay = OFTEN
        elif steps:
            self._delay = EVERY
        elif self._delay < SELDOM:
            self._delay = min(2 * self._delay, SELDOM)
        elif not self._waits:  # nor did it want any of the turns that it got
            self._looks = False
            return
        if steps < FEW:
            time.sleep(PAUSE)
        self._later(self._delay, self._look)
