"""What a block writes a new file with, in both forms."""

import io
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from ._chunks import Chunk, checked
from ._location import Location
from ._storage import Writer, storage_of
from ._writing import Written, commit, give_up, in_thread

if TYPE_CHECKING:
    from ._file import File


class FileWriter(io.RawIOBase):
    """A binary file that can only be written. `csv`, `json`, pyarrow and the like take it."""

    def __init__(self, place: Location, writer: Writer) -> None:
        super().__init__()
        self._place = place
        self._writer = writer
        self.file: File | None = None
        """What was written; None: the block goes on, or it failed."""

    @property
    def name(self) -> str:
        return self._place.name

    @classmethod
    @contextmanager
    def opened(cls, place: Location) -> "Generator[FileWriter, None, None]":
        writer = storage_of(place).create(place)
        try:
            yield cls(place, writer)
        except BaseException:
            writer.abort()
            raise

    def finish(self) -> Written:
        self.close()
        return commit(self._place, self._writer)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        """Write bytes. Raises StorageError: they can't be written."""
        if self.closed:
            raise ValueError(f"{self._place.name!r} is closed; write inside of the block")
        view = memoryview(data).cast("B")  # of any buffer, as of an array
        self._writer.write(view)
        return len(view)

    def tell(self) -> int:
        return self._writer.size


class AsyncFileWriter:
    """The async form: `await out.write(...)`."""

    def __init__(self, place: Location, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self.file: File | None = None
        """What was written; None: the block goes on, or it failed."""

    @classmethod
    @asynccontextmanager
    async def opened(cls, place: Location) -> "AsyncGenerator[AsyncFileWriter, None]":
        writer = cast("Writer", await in_thread(lambda: storage_of(place).create(place)))
        try:
            yield cls(place, writer)
        except BaseException:
            await give_up(writer)
            raise

    async def finish(self) -> Written:
        return cast("Written", await in_thread(commit, self._place, self._writer))

    async def write(self, data: Chunk) -> int:
        """Write bytes. Raises StorageError: they can't be written."""
        await in_thread(self._writer.write, checked(self._place.name, data))
        return len(memoryview(data).cast("B"))


FileWriter.__module__ = AsyncFileWriter.__module__ = "trouper.io"
