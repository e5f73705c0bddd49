"""Hear of SIGTERM and SIGINT before the server acts on them, and let it act all the same.

A server waits for open responses before it shuts anything down; streams that never end by
themselves have to end when the signal arrives, or it would wait for ever.
"""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def overhear_signals(on_signal: Callable[[int], object]) -> Generator[None]:
    """Call `on_signal(count)` at each signal, then whatever handled it before.

    In another thread than the main one signals can't be heard, and nothing happens.

    Args:
        on_signal: called in the main thread, in the middle of anything; it must not wait or raise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0
    before: dict[int, Any] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        on_signal(count)
        former = before[number]
        if callable(former):
            former(number, frame)
        elif former == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        # None: not set from Python, and not to be put back from it.
        before[number] = signal.getsignal(number)
    heard = [number for number in _SIGNALS if before[number] is not None]
    for number in heard:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in heard:
            if signal.getsignal(number) is hear:
                signal.signal(number, before[number])
