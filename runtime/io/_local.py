"""Files of this machine.

A file that is being written has a hidden name, in the folder that it will be in; it gets its own
name when it is whole.
"""

import hashlib
import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ._errors import StorageError
from ._location import Location
from ._storage import Info

FILE_MODE, FOLDER_MODE = 0o600, 0o700


class LocalWriter:
    """A file on its way to a place of this machine."""

    def __init__(self, target: Path) -> None:
        self.size = 0
        self._target = target
        self._hash = hashlib.sha256()
        self._hidden: Path | None = hidden_beside(target)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with _writing(target):
            self._is_new_folder = not target.parent.exists()
            make_folder(target.parent)
            self._fd = os.open(self._hidden, flags, FILE_MODE)

    @property
    def content_hash(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        left = memoryview(chunk).cast("B")
        self._hash.update(left)
        self.size += len(left)
        with _writing(self._target):
            while left:
                left = left[os.write(self._fd, left) :]

    def commit(self) -> None:
        assert self._hidden is not None, "it was committed or aborted before"
        hidden, self._hidden = self._hidden, None
        os.close(self._fd)
        try:
            with _writing(self._target):
                os.replace(hidden, self._target)
        except BaseException:
            self._remove(hidden)
            raise

    def abort(self) -> None:
        hidden, self._hidden = self._hidden, None
        if hidden is not None:
            os.close(self._fd)
            self._remove(hidden)

    def _remove(self, hidden: Path) -> None:
        with suppress(OSError):
            hidden.unlink()
            if self._is_new_folder:
                self._target.parent.rmdir()


class LocalStorage:
    """The file system of this machine."""

    def create(self, place: Location) -> LocalWriter:
        return LocalWriter(place.local)

    def open(self, place: Location) -> BinaryIO:
        with _reading(place):
            return place.local.open("rb")

    def stream(self, place: Location, size: int) -> Generator[bytes, None, None]:
        with self.open(place) as source:
            while chunk := source.read(size):
                yield chunk

    def info(self, place: Location) -> Info:
        with _reading(place):
            found = place.local.stat()
        if not place.local.is_file():
            raise StorageError(f"{place.path!r} is no file; of a folder make a trouper.io.Dir")
        return Info(found.st_size, f"{found.st_mtime_ns}-{found.st_ino}")

    def walk(self, folder: Location) -> Iterator[tuple[str, int]]:
        with _reading(folder):
            files = sorted(files_below(folder.local))
        yield from files

    def remove(self, folder: Location) -> None:
        import shutil  # slow, and most runs have nothing to remove

        shutil.rmtree(folder.local, ignore_errors=True)

    def probe(self, folder: Location) -> None:
        with _writing(folder.local):
            make_folder(folder.local)
            probe = hidden_beside(folder.local / "probe")
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
            probe.unlink()


LOCAL = LocalStorage()


def files_below(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the relative path and the size of each file.

    Raises:
        OSError: the folder can't be read.
        StorageError: something there is neither a file nor a folder.
    """
    left = [folder]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_file():
                    inner = Path(entry.path).relative_to(folder).as_posix()
                    yield inner, entry.stat().st_size
                elif entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                else:
                    raise StorageError(
                        f"{entry.path!r} is neither a file nor a folder, or is a link to a folder; "
                        "take it out, or copy what it leads to"
                    )


def hidden_beside(target: Path) -> Path:
    """Return a name that nothing has, beside another: it may be renamed to that."""
    return target.parent / f".{secrets.token_hex(8)}.part"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, for this user only."""
    try:
        os.mkdir(folder, FOLDER_MODE)
    except FileNotFoundError:
        make_folder(folder.parent)
        with suppress(FileExistsError):
            os.mkdir(folder, FOLDER_MODE)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(folder)) from None


def move_folder(source: Path, target: Path) -> None:
    """Give a folder its name, at once."""
    with _writing(target):
        make_folder(target.parent)
        os.rename(source, target)


@contextmanager
def _writing(target: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            error.errno,
            f"{str(target)!r} can't be written: {error.strerror or error}; give a folder with room "
            "that may be written",
        ) from error


@contextmanager
def _reading(place: Location) -> Generator[None, None, None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, f"there is nothing at {place.path!r}") from None
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            error.errno, f"{place.path!r} can't be read: {error.strerror or error}"
        ) from error
