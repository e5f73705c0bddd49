"""A value on its way to where it will be: in steps that block, and the waiting around them."""

from collections.abc import Generator, Iterator
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
from attrs import define

from ._chunks import Chunk, checked, is_async_generator, is_async_iterable
from ._location import Location
from ._storage import Writer, storage_of

T = TypeVar("T")


@define(eq=False)
class Written:
    """What was written, once it is there."""

    place: Location
    size: int
    content_hash: str


def write_all(place: Location, chunks: Iterator[Chunk]) -> Written:
    """Write a file: it is there whole afterwards, or not at all.

    Raises:
        StorageError: it can't be written.
        Exception: what `chunks` raises.
    """
    writer = storage_of(place).create(place)
    try:
        for chunk in chunks:
            writer.write(chunk)
        return commit(place, writer)
    except BaseException:
        writer.abort()
        close_source(chunks)
        raise


def close_source(source: object) -> None:
    """End a generator that nobody reads to its end: it may hold an open file."""
    if isinstance(source, Generator):
        cast("Generator[Any, None, Any]", source).close()


def commit(place: Location, writer: Writer) -> Written:
    """Make a file visible."""
    writer.commit()
    return Written(place, writer.size, writer.content_hash)


async def write_all_in_steps(place: Location, name: str, data: Any) -> Written:
    """Write a file, in threads, a chunk each, so that a cancel need not wait for all of it.

    Args:
        data: an iterator of chunks, or an async iterable of bytes.

    Raises:
        StorageError: it can't be written.
        Exception: what `data` raises.
    """
    writer = await in_thread(_create, place)
    try:
        if is_async_iterable(data):
            async for part in data:
                await in_thread(writer.write, checked(name, part))
        else:
            chunks = cast("Iterator[Chunk]", data)
            while await in_thread(_step, writer, chunks):
                pass
        return cast("Written", await in_thread(commit, place, writer))
    except BaseException:
        await give_up(writer)
        with anyio.CancelScope(shield=True):
            if is_async_generator(data):
                await data.aclose()
            else:
                await in_thread(close_source, data)
        raise


async def give_up(writer: Writer) -> None:
    """Abort it, also where everything is being cancelled."""
    with anyio.CancelScope(shield=True):
        await in_thread(writer.abort)


def _create(place: Location) -> Writer:
    return storage_of(place).create(place)


def _step(writer: Writer, chunks: Iterator[Chunk]) -> bool:
    chunk = next(chunks, None)
    if chunk is None:
        return False
    writer.write(chunk)
    return True


async def in_thread(fn: Any, *args: Any) -> Any:
    """Return `fn(*args)`, called in a thread, under trio or asyncio; a cancel waits for its end."""
    return await anyio.to_thread.run_sync(fn, *args)
