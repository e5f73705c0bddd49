"""What a storage can do, whichever it is. Everything here blocks, and belongs in a thread."""

from collections.abc import Generator, Iterator
from typing import BinaryIO, Protocol

from attrs import frozen

from ._location import Location

CHUNK = 1 << 20
"""Bytes that are read or written at once."""


@frozen
class Info:
    """What a storage knows of a file without reading it."""

    size: int
    version: str
    """Another one when the file was written anew."""


class Writer(Protocol):
    """One file on its way. It is invisible until it is committed."""

    size: int
    """Bytes so far."""

    @property
    def content_hash(self) -> str:
        """Of all that was written: `sha256:` and 64 hexadecimal digits."""
        ...

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Write more. Raises StorageError: it can't be; abort it then."""
        ...

    def commit(self) -> None:
        """Make it visible, whole. Raises StorageError: it is not, and never will be."""
        ...

    def abort(self) -> None:
        """Forget what was written. Idempotent; of no effect after `commit`. Never raises."""
        ...


class Storage(Protocol):
    """Files on a disk or in a bucket."""

    def create(self, place: Location) -> Writer:
        """Begin a file. Raises StorageError."""
        ...

    def open(self, place: Location) -> BinaryIO:
        """Open a file for reading, which may seek. Raises FileNotFoundError, StorageError."""
        ...

    def stream(self, place: Location, size: int) -> Generator[bytes, None, None]:
        """Yield a file from its beginning, at most `size` bytes at a time. Raises as `open`."""
        ...

    def info(self, place: Location) -> Info:
        """Raises FileNotFoundError, StorageError."""
        ...

    def walk(self, folder: Location) -> Iterator[tuple[str, int]]:
        """Yield the relative path and the size of each file below a folder, in order of paths."""
        ...

    def remove(self, folder: Location) -> None:
        """Remove all below a folder, and itself, as far as that goes. Never raises."""
        ...

    def probe(self, folder: Location) -> None:
        """Prove that a folder may be written. Raises StorageError: it may not."""
        ...


def storage_of(place: Location) -> Storage:
    """Return the storage of a place.

    Raises:
        MissingExtra: it is a bucket, and the library for those is not installed.
    """
    if place.is_local:
        from ._local import LOCAL

        return LOCAL
    from ._cloud import bucket_of  # slow, and few need it

    return bucket_of(place)
