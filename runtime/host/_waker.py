"""Wakes a trio loop in another thread: a socket of its own, read by a task of its own.

Trio's entry queue does the same for everybody, and takes a step of the loop, two system calls and
two locks more for it: a third of a call that does nothing.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import trio


class Waker:
    """A socket pair. Closed by `close`, which any thread may call at any time."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        # Reentrant: a signal handler may wake while its thread does. And no byte is written to a
        # file that has been closed meanwhile, whose number may be another's by then.
        self._lock = threading.RLock()
        self._is_closed = False

    def wake(self) -> bool:
        """Have the loop look soon, from any thread; False: it never will, it was closed."""
        with self._lock:
            if self._is_closed:
                return False
            with suppress(BlockingIOError):  # it is full, so the loop is about to look
                self._near.send(b"\0")
            return True

    async def serve(self, look: Callable[[], object]) -> None:
        """Call `look` there after each `wake`, once for several; it must not raise."""
        while True:
            await trio.lowlevel.wait_readable(self._far)
            self._far.recv(4_096)
            look()

    def close(self) -> None:
        """Wake nobody any more; `serve` must have ended."""
        with self._lock:
            self._is_closed = True
            self._near.close()
            self._far.close()
