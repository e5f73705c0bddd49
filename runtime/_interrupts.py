"""Ctrl-C and SIGTERM while a run goes on. First: drain. Second: cancel. Third: leave at once."""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

import trio

from ._execution import Execution

EXIT_INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def catch_interrupts(
    last_words: bytes = b"",
) -> Generator[trio.MemoryReceiveChannel[int], None, None]:
    """Turn signals into numbers 1 and 2 on a channel; the third ends the process.

    Only the main thread gets signals: in another one the channel stays silent, and whoever owns
    the process decides. What handled the signals before does so again afterwards.

    Args:
        last_words: written to stdout before the process is ended, to leave the terminal in order.
    """
    send, receive = trio.open_memory_channel[int](2)
    if threading.current_thread() is not threading.main_thread():
        yield receive
        return
    token = trio.lowlevel.current_trio_token()
    came = heard = 0

    def hear(count: int) -> None:
        nonlocal heard
        heard = count
        send.send_nowait(count)

    # Written with os.write: the signal may have come in the middle of a print.
    def handle(_number: int, _frame: object) -> None:
        nonlocal came
        came += 1
        if came >= 3:
            _write(1, last_words)
            _write(2, b"\ninterrupted three times: leaving at once\n")
            os._exit(EXIT_INTERRUPTED)
        if heard < came - 1:
            _write(2, b"\na task blocks the event loop; once more to leave at once\n")
        token.run_sync_soon(hear, came)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield receive
    finally:
        # Ctrl-C last: from then on it may raise here, and nothing may be left to put back.
        for number, handler in reversed(before.items()):
            # None: whatever was there was not set from Python, and can't be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _write(descriptor: int, text: bytes) -> None:
    with suppress(OSError):
        os.write(descriptor, text)


async def obey_interrupts(
    execution: Execution, interrupts: trio.MemoryReceiveChannel[int], budget: float
) -> None:
    """Drain at the first signal, cancel at the second. Runs until it is cancelled.

    Args:
        budget: seconds for the drain.
    """
    async with trio.open_nursery() as nursery:
        async for count in interrupts:
            execution.interrupted = True
            if count == 1:
                sys.stderr.write(f"\ndraining, {budget:g} s at most; once more to cancel\n")
                nursery.start_soon(execution.drain, budget)
            else:
                sys.stderr.write("\ncancelling; once more to leave at once\n")
                execution.cancel("interrupted twice")
