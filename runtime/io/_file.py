"""`trouper.io.File`: a file by reference, on this machine or in a bucket."""

import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from mimetypes import guess_type
from os import PathLike
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO, cast

import anyio

from ._address import Addressed
from ._chunks import Chunk, chunks_of
from ._errors import ValueTooLarge
from ._incoming import AsyncFileWriter, FileWriter
from ._location import Location, parse_location
from ._names import check_value_name
from ._places import current_action, current_places
from ._reader import AsyncReader
from ._storage import CHUNK, storage_of
from ._writing import Written, in_thread, write_all, write_all_in_steps

MOST_AT_ONCE = 64 << 20
"""Bytes that `read_bytes` and `read_text` take into memory, unless told otherwise."""

Data = Chunk | str | PathLike[str] | IO[bytes] | Iterable[bytes]


class File(Addressed, frozen=True, kw_only=True, tag_field="type", tag="trouper.File"):
    """A file that lies somewhere else. This is its address, which tasks hand on; small, immutable.

    Make one with `File.save`, `File.create` or `File.existing`. Each has an async form, with an
    `a` before its name: `await File.asave(...)`.
    """

    content_hash: str = ""
    """`sha256:` and 64 digits; "" of one that was there already, and was not read."""
    version: str = ""
    """Of one that was there already: another one when it was written anew."""
    mime: str = "application/octet-stream"

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def save(cls, name: str, data: Data, *, mime: str | None = None, keep: bool = True) -> "File":
        """Write a new file into the storage of the run, and return its address.

        Args:
            name: how it is called; its folder is new, so that none is ever overwritten.
            data: bytes, a str (its text), a Path (the file there), an open binary file, or an
                iterable of bytes. It is streamed.
            mime: left out: guessed from the name.
            keep: False: it is only passed between tasks, and goes with the run.

        Raises:
            NoStorage: nothing said where the run's data goes, or there is no run.
            TypeError, ValueError: the name or the data is not legal.
            StorageError: it can't be written; nothing of it is to be seen.
        """
        place = new_place(name, keep=keep)
        return made(write_all(place, chunks_of(name, data)), mime)

    @classmethod
    async def asave(
        cls,
        name: str,
        data: Data | AsyncIterable[bytes],
        *,
        mime: str | None = None,
        keep: bool = True,
    ) -> "File":
        """Do as `save`, without blocking; `data` may also be an async iterable of bytes."""
        place = new_place(name, keep=keep)
        source: Any = data if isinstance(data, AsyncIterable) else chunks_of(name, data)
        return made(await write_all_in_steps(place, name, source), mime)

    @classmethod
    @contextmanager
    def create(
        cls, name: str, *, mime: str | None = None, keep: bool = True
    ) -> Generator[FileWriter, None, None]:
        """Write a new file bit by bit: `with File.create(name) as out: out.write(...)`.

        At the end of the block it is there, as `out.file`; if the block raises, it never was.
        Arguments and errors: as `save`.
        """
        with FileWriter.opened(new_place(name, keep=keep)) as out:
            yield out
            out.file = made(out.finish(), mime)

    @classmethod
    @asynccontextmanager
    async def acreate(
        cls, name: str, *, mime: str | None = None, keep: bool = True
    ) -> AsyncGenerator[AsyncFileWriter, None]:
        """Do as `create`: `async with File.acreate(name) as out: await out.write(...)`."""
        async with AsyncFileWriter.opened(new_place(name, keep=keep)) as out:
            yield out
            out.file = made(await out.finish(), mime)

    @classmethod
    def existing(cls, path: str | PathLike[str], *, mime: str | None = None) -> "File":
        """Refer to a file that is there already; it is neither copied nor read.

        Args:
            path: a local path, or a URL as in `uri`.

        Raises:
            FileNotFoundError: it is not there.
            StorageError: it is no file, or can't be reached.
        """
        place = parse_location(str(path), "a File")
        found = storage_of(place).info(place)
        return cls(
            uri=place.uri, size=found.size, version=found.version, mime=mime_of(place.name, mime)
        )

    @classmethod
    async def aexisting(cls, path: str | PathLike[str], *, mime: str | None = None) -> "File":
        """Do as `existing`, without blocking."""
        return cast("File", await in_thread(lambda: cls.existing(path, mime=mime)))

    # -- what it is ------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Return whether it is still there.

        Raises:
            StorageError: it can't be reached.
        """
        try:
            storage_of(self.place).info(self.place)
        except FileNotFoundError:
            return False
        return True

    async def aexists(self) -> bool:
        return bool(await in_thread(self.exists))

    def __cache_key__(self) -> tuple[str, ...]:
        """Return what tells it from others: what is in it if that is known, not where it lies."""
        if self.content_hash:
            return (self.name, self.content_hash)
        return (self.uri, str(self.size), self.version)

    # -- reading it ------------------------------------------------------------------------------

    def open(self) -> BinaryIO:
        """Open it for reading, as the built-in `open(..., "rb")`; it may seek. Nothing is copied.

        Raises:
            FileNotFoundError: it is not there any more.
            StorageError: it can't be reached.
        """
        return storage_of(self.place).open(self.place)

    def open_text(self, encoding: str = "utf-8") -> TextIO:
        """Open it for reading as text, line by line if you like. Raises: as `open`."""
        return io.TextIOWrapper(self.open(), encoding=encoding)

    def aopen(self) -> AbstractAsyncContextManager[AsyncReader]:
        """Open it: `async with file.aopen() as source: await source.read(1000)`."""
        return AsyncReader.opened(self.open)

    def chunks(self, size: int = CHUNK) -> Generator[bytes, None, None]:
        """Yield its content, at most `size` bytes at a time."""
        yield from storage_of(self.place).stream(self.place, size)

    async def achunks(self, size: int = CHUNK) -> AsyncIterator[bytes]:
        """Yield its content; close what this returns, if you leave it early."""
        chunks = self.chunks(size)
        try:
            while (chunk := await in_thread(next, chunks, b"")) != b"":
                yield chunk
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(chunks.close)

    def read_bytes(self, *, most: int = MOST_AT_ONCE) -> bytes:
        """Return all of it.

        Raises:
            ValueTooLarge: it has more than `most` bytes.
            OSError: as of `open`.
        """
        if self.size <= most:
            with self.open() as source:
                content = source.read(most + 1)
            if len(content) <= most:
                return content
        raise ValueTooLarge(
            f"{self.uri!r} has more than {most} bytes; read it with open() or chunks(), or say "
            "most=... if it fits into memory"
        )

    async def aread_bytes(self, *, most: int = MOST_AT_ONCE) -> bytes:
        return cast("bytes", await in_thread(lambda: self.read_bytes(most=most)))

    def read_text(self, encoding: str = "utf-8", *, most: int = MOST_AT_ONCE) -> str:
        """Return all of it as text. Raises: as `read_bytes`."""
        return self.read_bytes(most=most).decode(encoding)

    async def aread_text(self, encoding: str = "utf-8", *, most: int = MOST_AT_ONCE) -> str:
        return (await self.aread_bytes(most=most)).decode(encoding)

    def download(self, to: str | PathLike[str] | None = None) -> Path:
        """Have it on this machine, and return where.

        Args:
            to: the path of the copy; left out: where it is, if that is on this machine, else a
                copy that goes with the run.

        Raises:
            NoStorage: it is in a bucket, `to` was left out, and there is no run.
            OSError: it can't be read, or the copy can't be written.
        """
        if to is not None:
            target = parse_location(str(Path(to).absolute()), "to")
        elif self.place.is_local:
            return self.path
        else:
            folder = current_places("File.download() without `to`").local_folder()
            target = parse_location(str(folder / self.name), "to")
        write_all(target, self.chunks())
        return target.local

    async def adownload(self, to: str | PathLike[str] | None = None) -> Path:
        return cast("Path", await in_thread(self.download, to))


def new_place(name: str, *, keep: bool) -> Location:
    """Return the place of a new value of the run that the code that calls belongs to."""
    check_value_name(name)
    return current_places(f"File.save({name!r})").new(name, current_action(), keep=keep)


def mime_of(name: str, given: str | None) -> str:
    if given is not None:
        return given
    guessed, encoding = guess_type(name)
    return guessed if guessed is not None and encoding is None else "application/octet-stream"


def made(written: Written, mime: str | None) -> File:
    return File(
        uri=written.place.uri,
        size=written.size,
        content_hash=written.content_hash,
        mime=mime_of(written.place.name, mime),
    )


File.__module__ = "trouper.io"
