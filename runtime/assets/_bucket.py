"""The content of an asset in a bucket: on its way there, and back.

Rule 1: each has a folder of its own, called as its id, so that nothing is ever overwritten, and
nobody has to ask the bucket what is there.
Rule 2: it is whole in the bucket before it is recorded; what can't be recorded is removed again.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from ..io._errors import MissingExtra, StorageError
from ..io._location import Location, parse_location
from ..io._storage import CHUNK, storage_of
from ._errors import AssetError

_SCHEMES = ("s3://", "gs://")

Chunk = bytes | bytearray | memoryview


class BucketIncoming:
    """Write it as it comes, then record it; then `close`."""

    def __init__(self, folder: Location, id: str, name: str) -> None:
        self.id = id
        """What the asset will have."""
        self.place = folder / id / name
        self._folder = folder / id
        with _reaching():
            self._writer = storage_of(self.place).create(self.place)

    def close(self) -> None:
        """Let it go; what is not whole is discarded."""
        self._writer.abort()

    @property
    def size(self) -> int:
        return self._writer.size

    @property
    def hash(self) -> str:
        return self._writer.content_hash

    def write(self, chunk: Chunk) -> None:
        """Write more.

        Raises:
            AssetError: the bucket does not take it, or can't be reached.
        """
        with _reaching():
            self._writer.write(chunk)

    def write_all(self, chunks: Iterable[Chunk]) -> None:
        for piece in pieces(chunks):
            self.write(piece)

    @contextmanager
    def whole(self) -> Generator[None, None, None]:
        """Have all of it in the bucket; if what is done inside fails, it goes again.

        Raises:
            AssetError: as `write`.
        """
        with _reaching():
            self._writer.commit()
        try:
            yield
        except Exception:  # else it may be recorded: then it has to stay
            storage_of(self.place).remove(self._folder)
            raise


def pieces(chunks: Iterable[Chunk]) -> Iterator[memoryview]:
    """Give what chunks hold, at most a megabyte at a time."""
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        for start in range(0, len(view), CHUNK):
            yield view[start : start + CHUNK]


def in_bucket(file: str) -> Location | None:
    """Return the place of what is recorded to lie in a bucket; None: it does not."""
    return parse_location(file, "an asset") if file.startswith(_SCHEMES) else None


def open_at(place: Location) -> IO[bytes]:
    """Open what lies in a bucket.

    Raises:
        FileNotFoundError: it is not there.
        AssetError: the bucket can't be reached.
    """
    with _reaching():
        return storage_of(place).open(place)


def read_at(place: Location) -> bytes:
    """Return what lies in a bucket, whole. Raises as `open_at`."""
    with _reaching():
        return b"".join(storage_of(place).stream(place, CHUNK))


@contextmanager
def _reaching() -> Generator[None, None, None]:
    """Turn the errors of storages into ours; they say what to look at."""
    try:
        yield
    except (StorageError, MissingExtra) as error:
        raise AssetError(str(error)) from error
