"""A file that is read without blocking."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import BinaryIO, cast

import anyio

from ._writing import in_thread


class AsyncReader:
    """An open file: `await source.read(n)`, `async for line in source`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    @asynccontextmanager
    async def opened(cls, open_it: Callable[[], BinaryIO]) -> "AsyncGenerator[AsyncReader, None]":
        file = cast("BinaryIO", await in_thread(open_it))
        try:
            yield cls(file)
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(file.close)

    async def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, all that is left for -1, b"" at the end."""
        return cast("bytes", await in_thread(self._file.read, size))

    async def readline(self) -> bytes:
        """Return the next line with its end, b"" at the end of the file."""
        return cast("bytes", await in_thread(self._file.readline))

    async def seek(self, offset: int, whence: int = 0) -> int:
        return cast("int", await in_thread(self._file.seek, offset, whence))

    def tell(self) -> int:
        return self._file.tell()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield its lines, many at a time from the disk."""
        while lines := cast("list[bytes]", await in_thread(self._file.readlines, 1 << 18)):
            for line in lines:
                yield line


AsyncReader.__module__ = "trouper.io"
