"""Lines of logs on their way to the disk: appended in memory, written by one thread for all.

Rule 1: `add` is an append to a list; the thread writes `LINGER` seconds later at most. Who must
know that a line is on disk calls `flush`.
Rule 2: what the disk refuses stays and is tried again; the next `add` says so, nothing is lost in
silence. `MOST_WAITING` lines at most wait: then `add` writes them itself.
"""

import atexit
import os
import threading
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

from ..store._errors import StoreError
from ._append import AppendFile
from ._errors import AssetError

LINGER = 0.02
"""Seconds between a line and its write: many share one."""
MOST_WAITING = 4_096
"""Lines of one log that wait in memory."""
_MOST_KEPT = 100_000
"""Lines of one log that are kept while the disk takes none; newer ones are refused."""
_IDLE = 0.1
"""Seconds without a line after which the thread ends; the next line starts another."""
_AGAIN = 1.0
"""Seconds until a write that failed is tried again."""


class LogBuffer:
    """The lines of one log file that this process has not written yet."""

    def __init__(
        self,
        path: Path,
        *,
        is_durable: bool,
        on_first: Callable[[], None],
        on_open: Callable[[], None],
    ) -> None:
        self.path = path
        self.waiting: list[str] = []
        self.failure: AssetError | None = None
        """Why the last write failed; None: it did not."""
        self.is_awake = False
        """Whether the thread knows that there are lines."""
        self._file = AppendFile(path, is_durable=is_durable, on_open=lambda _file: on_open())
        self._on_first = on_first
        self._is_recorded = False
        self._guard = threading.Lock()
        _buffers.add(self)

    def rouse(self) -> None:
        """Let the thread write soon. Called when it does not know yet that it should.

        Raises:
            AssetError: the log can't be written; the lines are kept for now.
        """
        try:
            if not self._is_recorded:
                with self._guard:
                    self._record()
            if self.failure is not None or len(self.waiting) >= MOST_WAITING:
                self.flush()
                return
        except (AssetError, StoreError):
            del self.waiting[_MOST_KEPT:]
            raise
        self.is_awake = True
        _writer.rouse()

    def flush(self) -> None:
        """Write what waits; it survives `kill -9` when this returns.

        Raises:
            AssetError: it can't be written; it is kept, and tried again.
        """
        with self._guard:
            # Before they are counted: who adds one from now on rouses the thread again.
            self.is_awake = False
            lines, count = self.waiting, len(self.waiting)
            if not count:
                return
            self._record()
            taken = lines[:count]
            try:
                self._file.append(_as_bytes(taken))
            except AssetError as error:
                self.failure = error
                raise
            self.failure = None
            # Others add at the end meanwhile.
            del lines[:count]

    def close(self) -> None:
        """Write what waits, and close the file; the next line opens it again."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _record(self) -> None:
        """Have it recorded that there is such a log. Called with `_guard` held."""
        if not self._is_recorded:
            self._on_first()
            self._is_recorded = True

    def start_again(self) -> None:
        """Begin anew in a forked child: what waits is the parent's affair."""
        self.waiting.clear()
        self._guard = threading.Lock()
        self.is_awake = False


def _as_bytes(lines: list[str]) -> bytes:
    text = "\n".join(lines) + "\n"
    return text.encode("utf-8", "backslashreplace")


class _Writer:
    """The one thread of this process, there while logs are being written."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def rouse(self) -> None:
        with self._guard:
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trouper-logs", daemon=True)
                self._thread.start()

    def start_again(self) -> None:
        self._guard, self._wake = threading.Lock(), threading.Event()
        self._thread = None

    def _run(self) -> None:
        pause = threading.Event()  # never set
        while not self._may_end():
            pause.wait(LINGER)
            self._wake.clear()
            if not flush_all():
                pause.wait(_AGAIN)
                self._wake.set()

    def _may_end(self) -> bool:
        """Wait for lines; return whether there were none for a while."""
        if self._wake.wait(_IDLE):
            return False
        with self._guard:
            if self._wake.is_set():
                return False
            self._thread = None
            return True


_buffers: WeakSet[LogBuffer] = WeakSet()
_writer = _Writer()


def flush_all() -> bool:
    """Write what waits of all logs; return whether all of it was."""
    is_all = True
    for buffer in tuple(_buffers):
        if buffer.waiting or buffer.is_awake:
            try:
                buffer.flush()
            except Exception:  # told by the next line that is appended
                is_all = False
    return is_all


def _start_again_in_child() -> None:
    for buffer in tuple(_buffers):
        buffer.start_again()
    _writer.start_again()


os.register_at_fork(after_in_child=_start_again_in_child)
# A daemon stops in the middle of things when the process ends.
atexit.register(flush_all)
