"""Hear of signals before the server acts on them, and let it act all the same.

A server waits for open responses before it shuts anything down; streams that never end by
themselves have to end when the signal arrives, or it would wait for ever.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TOGETHER = 1.5
"""Seconds in which signals of one kind are one, in a worker process: a supervisor of processes
(systemd) tells all of them, and then their server tells its workers once more."""

_QUICK = None if sys.platform == "win32" else signal.SIGQUIT
"""By it gunicorn ends its workers where it was told to be quick."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, *([] if _QUICK is None else [_QUICK]))


class SignalCount:
    """Which signals are the first, and which are a second one that means it."""

    def __init__(self, *, is_worker: bool) -> None:
        """Begin with none.

        Args:
            is_worker: whether a server with several processes passes signals on to this one. Then
                one Ctrl-C arrives twice: by the terminal, and by the server as another signal.
        """
        self._is_worker = is_worker
        self._counts = Counter[int]()
        self._last: dict[int, float] = {}

    def hear(self, number: int, at: float) -> int:
        """Count a signal, and return how many there were; `at` is in seconds."""
        if not self._is_worker:
            self._counts[number] += 1
            return self._counts.total()
        if at - self._last.get(number, -TOGETHER) >= TOGETHER:
            self._counts[number] += 1
            self._last[number] = at
        by_terminal = self._counts[signal.SIGINT]
        return max(by_terminal, self._counts.total() - by_terminal)


def is_worker() -> bool:
    """Return whether this is one of several processes of a server."""
    by_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    return by_gunicorn or multiprocessing.parent_process() is not None


@contextmanager
def overhear_signals(on_signal: Callable[[int, int, bool], object]) -> Generator[None]:
    """Call `on_signal` at each SIGTERM, SIGINT and SIGQUIT, then whatever handled it before.

    In another thread than the main one signals can't be heard, and nothing happens. A SIGQUIT that
    nobody handles is not heard: it is there to end a process at once.

    Args:
        on_signal: called with the signal, how many there were, and whether nobody else handles it:
            then the process has not ended by it, as it would have, and `on_signal` is to see to
            that. Called in the main thread, in the middle of anything; it must not wait or raise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = SignalCount(is_worker=is_worker())
    before: dict[int, Any] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        former = before[number]
        on_signal(number, count.hear(number, time.monotonic()), former == signal.SIG_DFL)
        if callable(former):
            former(number, frame)

    for number in _SIGNALS:
        # None: not set from Python, and not to be put back from it.
        before[number] = signal.getsignal(number)
    heard = [
        number
        for number in _SIGNALS
        if before[number] is not None and (number != _QUICK or before[number] != signal.SIG_DFL)
    ]
    for number in heard:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in heard:
            if signal.getsignal(number) is hear:
                signal.signal(number, before[number])


def end_by(number: int) -> None:
    """End this process by a signal that nobody handles."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
