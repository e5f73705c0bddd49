"""A file on its way: invisible until it is whole, then there under a name that nobody has.

Where the system can, it has no name at all until then (O_TMPFILE), so that a process that is killed
leaves nothing behind; elsewhere a name that begins with a dot.
"""

import hashlib
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store._connections import FILE_MODE
from ._append import make_folder, write_all
from ._errors import writing

_NAMELESS = getattr(os, "O_TMPFILE", 0) if os.path.isdir("/proc/self/fd") else 0
"""0: this system has none."""


class Incoming:
    """Write it as it comes, then publish it; then `close`."""

    def __init__(self, folder: str | Path, *, is_durable: bool = False) -> None:
        self.folder = str(folder)
        self.size = 0
        self._is_durable = is_durable
        self._hash = hashlib.sha256()
        self._name: str | None = None
        """Of the file while it has one; None: it has none yet."""
        self._fd = -1
        with writing(folder):
            self._fd = self._open()

    def close(self) -> None:
        """Let it go; what was not published is discarded."""
        os.close(self._fd)
        if self._name is not None:
            os.unlink(self._name)

    @property
    def hash(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Write more.

        Raises:
            AssetError: the disk is full, or fails.
        """
        with writing(self.folder):
            write_all(self._fd, chunk)
        self._hash.update(chunk)
        self.size += chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)

    def write_all(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        for chunk in chunks:
            self.write(chunk)

    @contextmanager
    def whole(self) -> Generator[None, None, None]:
        """Do what takes long, before others are kept waiting: nothing, for a file."""
        yield

    def publish(self, target: str) -> bool:
        """Give it its name, with all that was written; False: there is a file of that name.

        Raises:
            AssetError: the folder may not be written.
        """
        with writing(target):
            if self._is_durable:
                os.fsync(self._fd)
            try:
                try:
                    self._link(target)
                except FileNotFoundError:
                    make_folder(Path(target).parent)
                    self._link(target)
            except FileExistsError:
                return False
            if self._is_durable:
                _sync_folder(os.path.dirname(target))
        return True

    def _link(self, target: str) -> None:
        if self._name is not None:
            os.link(self._name, target)
            return
        # Only if it is given a descriptor does Python ask the system to follow the link; which one
        # does not matter, for the path is absolute.
        os.link(f"/proc/self/fd/{self._fd}", target, src_dir_fd=self._fd, follow_symlinks=True)

    def _open(self) -> int:
        try:
            return self._open_nameless()
        except FileNotFoundError:
            make_folder(Path(self.folder))
            return self._open_nameless()

    def _open_nameless(self) -> int:
        if _NAMELESS:
            with suppress(OSError):  # not every file system has them, nor a folder that is missing
                return os.open(self.folder, _NAMELESS | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
        self._name = f"{self.folder}/.{os.getpid()}-{secrets.token_hex(8)}.tmp"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            return os.open(self._name, flags, FILE_MODE)
        except BaseException:
            self._name = None
            raise


def _sync_folder(folder: str) -> None:
    """Have the name of a new file survive the loss of power too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
