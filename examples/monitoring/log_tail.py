"""Follow a log file through everything that is done to log files.

Rule 1: what is there at the first look is old; all that comes later is given, once, in order.
Rule 2: a file that was renamed or removed is read on until it has been still for a while, because
its writer may not have noticed; the new one of that name is read beside it.
Rule 3: memory is bounded: a line is cut at LONGEST bytes, and one look reads CHUNK bytes.

A file that is truncated and grows past the place where we were, all between two looks, can't be
told from one that just grew: what was written over is then missed (as with `tail -F`).
"""

import os
import stat
import threading
import time
from pathlib import Path
from typing import BinaryIO

from .plain import plain

LONGEST = 8192
"""Bytes of one line that are kept."""
CHUNK = 1 << 18
"""Bytes of one file that one look reads."""


class Followed:
    """One open file, and the beginning of a line whose end has not been written yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = b""
        self.moved_at = time.monotonic()
        """When it last had something new, or was opened."""

    def names_same(self, found: os.stat_result) -> bool:
        own = os.fstat(self._file.fileno())
        return (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino)

    def skip(self) -> None:
        """Take what is there as old; of a line half written, only the rest comes."""
        self._file.seek(0, os.SEEK_END)

    def read(self) -> list[bytes]:
        """Return the lines that ended since the last look, at most one chunk of them."""
        lines: list[bytes] = []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            lines += self.give_up_line()
            self._file.seek(0)
        data = self._file.read(CHUNK)
        if data:
            self.moved_at = time.monotonic()
        *ended, begun = data.split(b"\n")
        for part in ended:
            lines.append((self._begun + part)[:LONGEST])
            self._begun = b""
        self._begun = (self._begun + begun)[:LONGEST]
        return lines

    def give_up_line(self) -> list[bytes]:
        """Return the line that was begun: its end will not come."""
        begun, self._begun = self._begun, b""
        return [begun] if begun else []

    def close(self) -> None:
        self._file.close()


class LogTail:
    """Gives the lines appended to whatever file has a name. Close it."""

    def __init__(self, path: Path | str, *, linger: float = 1.0) -> None:
        """Nothing is opened yet, and the file need not exist.

        Args:
            linger: seconds that a file without its name must be still before it is let go.
        """
        self._path = Path(path)
        self._linger = linger
        self._files: list[Followed] = []
        self._looked = False
        self._polling = threading.Lock()
        self._is_closed = False

    def poll(self) -> list[str]:
        """Return lines that are new, oldest first; call again at once until there are none.

        Raises:
            OSError: the path names something that is no file, or that we may not read.
        """
        try:
            with self._polling:
                return self._poll()
        finally:
            if self._is_closed:
                self.close()

    def _poll(self) -> list[str]:
        self._open_if_new()
        lines: list[bytes] = []
        for file in list(self._files):
            lines += file.read()
            is_still = time.monotonic() - file.moved_at >= self._linger
            if file is not self._files[-1] and is_still:
                lines += file.give_up_line()
                file.close()
                self._files.remove(file)
        return [plain(line.rstrip(b"\r").decode("utf-8", errors="replace")) for line in lines]

    def _open_if_new(self) -> None:
        is_first, self._looked = not self._looked, True
        try:
            if self._files and self._files[-1].names_same(self._path.stat()):
                return
            file = _open_file(self._path)
        except FileNotFoundError:
            return
        except PermissionError:
            if is_first:
                raise
            return  # between two steps of a rotation; it is tried again at the next look
        self._files.append(followed := Followed(file))
        if is_first:
            followed.skip()

    def close(self) -> None:
        """Close all files; if a look is under way in a thread that was left behind, at its end."""
        self._is_closed = True
        if self._polling.acquire(blocking=False):
            while self._files:
                self._files.pop().close()
            self._polling.release()


def _open_file(path: Path) -> BinaryIO:
    # Not blocking: opening a pipe would wait for its writer.
    file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 - it is kept
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{plain(str(path))!r} is no regular file, so it can't be followed")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
