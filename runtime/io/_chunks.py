"""From what a user hands over to a stream of bytes. Nothing is held that is not there already."""

import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard, cast

from ._storage import CHUNK

Chunk = bytes | bytearray | memoryview
BYTES = (bytes, bytearray, memoryview)

_TAKES = "give bytes, a str, a Path, an open binary file, or an iterable of bytes"


def chunks_of(name: str, data: Any) -> Iterator[Chunk]:
    """Yield the content of a value: a `str` is text, never a path; a `Path` is the file there.

    Raises:
        TypeError: it is of no kind that gives bytes; before anything was written.
        OSError: the file can't be read.
    """
    if isinstance(data, BYTES):
        return _slices(memoryview(cast("bytes", data)).cast("B"))
    if isinstance(data, str):
        return _slices(memoryview(data.encode()))
    if isinstance(data, os.PathLike):
        return _of_path(name, Path(os.fspath(cast("os.PathLike[str]", data))))
    if callable(read := getattr(data, "read", None)):
        return _of_file(name, cast("Callable[[int], Any]", read))
    if _is_iterable(data):
        return _of_parts(name, data)
    raise TypeError(f"{name!r} can't be saved from {type(data).__name__}; {_TAKES}")


def checked(name: str, chunk: Any) -> Chunk:
    """Return a part of a stream, if it is bytes.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(chunk, BYTES):
        raise TypeError(
            f"{name!r} can't be saved: a part of it is {chunk!r:.80}, no bytes; {_TAKES}"
        )
    return cast("Chunk", chunk)


def _is_iterable(data: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(data, Iterable) and not isinstance(data, Mapping)


def is_async_iterable(data: object) -> TypeGuard[AsyncIterable[Any]]:
    return isinstance(data, AsyncIterable)


def is_async_generator(data: object) -> TypeGuard[AsyncGenerator[Any, Any]]:
    return isinstance(data, AsyncGenerator)


def _slices(view: memoryview) -> Iterator[Chunk]:
    for start in range(0, len(view), CHUNK):
        yield view[start : start + CHUNK]


def _of_path(name: str, path: Path) -> Iterator[Chunk]:
    if path.is_dir():
        raise IsADirectoryError(
            f"{name!r} can't be saved: {str(path)!r} is a folder; use trouper.io.Dir.save()"
        )
    with path.open("rb") as file:
        yield from _of_file(name, file.read)


def _of_file(name: str, read: Callable[[int], Any]) -> Iterator[Chunk]:
    while chunk := read(CHUNK):
        yield checked(name, chunk)


def _of_parts(name: str, parts: Iterable[Any]) -> Iterator[Chunk]:
    for part in parts:
        yield from _slices(memoryview(checked(name, part)).cast("B"))
