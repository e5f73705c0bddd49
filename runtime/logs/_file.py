"""The records of a run in its folder: lines of JSON, bounded, written by any process.

Each line is one write at the end of the file, so that processes don't mix theirs and a killed one
has lost nothing that it logged. Beyond half of the bound the file becomes the older one, and what
was the older one falls out.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ._line import LogLine, read_line
from ._locks import Locking

NAME = "records.jsonl"
OLDER = "records.older.jsonl"
MOST_BYTES = 16 * 2**20
"""Of both files of one run."""


class LogFile(Locking):
    """Appends the lines of one run."""

    def __init__(self, folder: Path, *, most: int = MOST_BYTES) -> None:
        super().__init__()
        self._folder = folder
        self._half = most // 2
        self._fd: int | None = None
        self._size = 0

    def free_lock(self) -> None:
        super().free_lock()
        self._is_busy = False
        self._late: deque[bytes] = deque()
        """What came in the middle of a write, in its own thread."""

    def append(self, line: LogLine) -> None:
        """Write a line; it is with the operating system when this returns.

        In a signal handler or a finalizer that interrupts a write, it is soon after.

        Raises:
            OSError: it can't be written.
        """
        data = f"{line.as_json()}\n".encode()
        with self._lock:
            if self._is_busy:
                self._late.append(data)
                return
            self._is_busy = True
            try:
                self._write(data)
                while self._late:
                    self._write(self._late.popleft())
            finally:
                self._is_busy = False

    def _write(self, data: bytes) -> None:
        fd = self._open() if self._fd is None else self._fd
        if self._size and self._size + len(data) > self._half:
            fd = self._turn()
        os.write(fd, data)
        self._size += len(data)

    def _open(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._fd, self._size = fd, os.fstat(fd).st_size
        return fd

    def _turn(self) -> int:
        self._close()
        os.replace(self._folder / NAME, self._folder / OLDER)
        return self._open()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_lines(folder: Path) -> Iterator[LogLine]:
    """Yield the records that a run's folder holds, oldest first; those of a torn line not."""
    for name in (OLDER, NAME):
        try:
            file = (folder / name).open("rb")
        except FileNotFoundError:
            continue
        with file:
            for text in file:
                line = read_line(text)
                if line is not None:
                    yield line
