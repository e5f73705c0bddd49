"""A file of whole lines that threads and processes append to at the same time.

Rule 1: whoever writes holds the lock of the file (`flock`), so lines never mix.
Rule 2: a line is there whole or not at all. What a killed process left half-written is cut off by
the next one that writes; if the disk is full, what was written of the line is taken back.
Rule 3: the file may be replaced by another one, under the same lock; the next write goes there.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from attrs import Factory, define, field

from ..store._connections import FILE_MODE, FOLDER_MODE
from ._errors import writing

_TAIL = 1 << 16
"""Bytes that are read at a time where the last whole line is looked for."""

OnOpen = Callable[["AppendFile"], None]


def _nothing(_file: "AppendFile") -> None: ...


@define(eq=False)
class AppendFile:
    """Any thread of any process may call any method."""

    path: Path
    head: Callable[[], bytes] = field(default=lambda: b"", kw_only=True)
    """Makes the first line of a new file."""
    is_durable: bool = field(default=False, kw_only=True)
    """Whether what was written also survives the loss of power."""
    on_open: OnOpen = field(default=_nothing, kw_only=True)
    """Called when the file is opened, before anything is written: also after it was replaced."""
    _place: str = field(default=Factory(lambda self: str(self.path), takes_self=True), init=False)
    _fd: int = field(default=-1, init=False)
    _pid: int = field(default=0, init=False)
    _size: int = field(default=-1, init=False)
    """Bytes there were after our last write: if there are no more, they end with a whole line."""
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def append(self, lines: bytes) -> int:
        """Write whole lines; return where they begin. They survive `kill -9` from then on.

        Raises:
            AssetError: they can't be written, and nothing of them is there.
        """
        with writing(self._place), self.locked() as fd:
            return self.add(fd, lines)

    @contextmanager
    def locked(self) -> Generator[int, None, None]:
        """Hold the lock of the file, with its last line whole; give its descriptor."""
        if self._pid != os.getpid():
            self._start_again()
        with self._guard:
            fd = self._lock()
            try:
                self._mend(fd)
                yield fd
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)

    def replace(self, fd: int, lines: bytes) -> None:
        """Put a new file in the place of this one, with the lock of the old one held."""
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        new = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, FILE_MODE)
        try:
            write_all(new, lines)
            if self.is_durable:
                os.fsync(new)
            os.replace(fresh, self.path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(new)
        self._size = -1

    def close(self) -> None:
        """Let the descriptor go. The next write opens the file again."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0 and self._pid == os.getpid():
            os.close(self._fd)
        self._fd = self._size = -1

    def _start_again(self) -> None:
        """Begin anew in a forked child: the parent's descriptor would share its lock."""
        self._guard = threading.Lock()
        self._fd = self._size = -1
        self._pid = os.getpid()

    def _lock(self) -> int:
        """Return the descriptor of the file that lies at the path, locked."""
        while True:
            if self._fd < 0:
                self._open()
            fd = self._fd
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(fd), os.stat(self._place)):
                    return fd
            except FileNotFoundError:  # removed: the folder was tidied up, and is used again
                pass
            except BaseException:
                fcntl.flock(fd, fcntl.LOCK_UN)
                raise
            self._close()

    def _open(self) -> None:
        flags = os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, FILE_MODE)
        except FileNotFoundError:
            make_folder(self.path.parent)
            self._fd = os.open(self.path, flags, FILE_MODE)
        try:
            self.on_open(self)
        except BaseException:
            self._close()
            raise

    def _mend(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size == self._size:
            return
        whole = end_of_lines(fd, size)
        if whole < size:
            os.ftruncate(fd, whole)
        self._size = whole
        if whole == 0 and (head := self.head()):
            self.add(fd, head)

    def add(self, fd: int, lines: bytes) -> int:
        """Write whole lines with the lock held; return where they begin."""
        before = self._size
        self._size = -1
        try:
            write_all(fd, lines)
            if self.is_durable:
                os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, before)
            raise
        self._size = before + len(lines)
        return before


def end_of_lines(fd: int, size: int) -> int:
    """Return how many of the first `size` bytes of a file are whole lines."""
    while size > 0:
        start = max(0, size - _TAIL)
        at = os.pread(fd, size - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        size = start
    return 0


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it: a single call may write less."""
    written = os.write(fd, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(fd, view) :]


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, so that nobody else may look into them."""
    try:
        os.mkdir(path, FOLDER_MODE)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
