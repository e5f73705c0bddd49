"""The locks that a log line takes on its way, wherever it comes from.

Rule 1: a signal handler that logs, or a finalizer, may come in the middle of a line of its own
thread: it must not wait for that.
Rule 2: a process that was forked in the middle of a line of another thread logs all the same.
"""

import os
import threading
from weakref import WeakSet


class Locking:
    """What has a lock that its own thread may take again, and that is free in a fork."""

    def __init__(self) -> None:
        _all.add(self)
        self.free_lock()

    def free_lock(self) -> None:
        """Have a lock that nobody holds, in a child process."""
        self._lock = threading.RLock()


_all: WeakSet[Locking] = WeakSet()


def _free_in_child() -> None:
    for each in tuple(_all):
        each.free_lock()


os.register_at_fork(after_in_child=_free_in_child)
