"""Something that one thread waits for, and that Ctrl-C may interrupt at any point of the wait.

No `Future` nor `Event`: where Ctrl-C comes while one of them lets go of its lock, it ends as a
`RuntimeError` that says the lock was not held. And a call from thread to thread needs one of these.
"""

import threading


class Moment:
    """Comes once. Any thread may say so; one at a time may wait for it."""

    __slots__ = ("_bar", "has_come")

    def __init__(self) -> None:
        self._bar = threading.Lock()
        self._bar.acquire()
        self.has_come = False

    def come(self) -> None:
        """Let whoever waits go on.

        Raises:
            RuntimeError: it has come before.
        """
        self.has_come = True
        self._bar.release()

    def wait(self) -> None:
        """Wait for it; not at all if it has come."""
        # Looked at, not taken from the lock: that may be had just when Ctrl-C comes.
        while not self.has_come:
            self._bar.acquire()
