"""From what a user hands over to a stream of bytes, and back.

A `str` is text, never a path; a `Path` is the file there. Nothing is held in memory whole but what
is there already.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeGuard, cast

import msgspec

from ._errors import AssetDataError

Form = Literal["bytes", "text", "json", "msgpack"]

CHUNK = 1 << 20
"""Bytes that are in memory at once."""
_MIME: Mapping[Form, str] = {
    "bytes": "application/octet-stream",
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "msgpack": "application/msgpack",
}
BYTES = (bytes, bytearray, memoryview)


class Contents(msgspec.Struct, frozen=True):
    """What will be written: `chunks` is read once."""

    chunks: Iterable[bytes | bytearray | memoryview]
    form: Form


def contents_of(name: str, data: Any) -> Contents:
    """Return what is written of `data`.

    Raises:
        AssetDataError: it is of no kind that can be kept.
    """
    if isinstance(data, BYTES):
        return Contents((cast("bytes", data),), "bytes")
    if isinstance(data, str):
        return Contents((_utf8(name, data),), "text")
    if isinstance(data, Path):
        return Contents(_of_path(name, data), "bytes")
    if callable(read := getattr(data, "read", None)):
        return Contents(_of_file(name, cast("Callable[[int], Any]", read)), "bytes")
    if _is_stream(data):
        return Contents(_of_chunks(name, cast("Iterable[Any]", data)), "bytes")
    return Contents((to_json(name, data),), "json")


def mime_of(name: str, form: Form) -> str:
    """Return the type of a content by its name, else by how it was made."""
    return _guessed(os.path.splitext(name)[1]) or _MIME[form]


@lru_cache(maxsize=256)
def _guessed(suffix: str) -> str | None:
    from mimetypes import guess_type  # not with `import trouper`: it reads the system's lists

    guessed, encoding = guess_type(f"x{suffix}")
    return guessed if encoding is None else None


def from_bytes(content: bytes, form: Form) -> Any:
    """Return the content of a file, as it was given."""
    if form == "text":
        return content.decode()
    if form == "json":
        return _from_json(content)
    return msgspec.msgpack.decode(content) if form == "msgpack" else content


def to_json(name: str, data: Any) -> bytes:
    """Return plain data as JSON; of NaN and infinities it is what Python's own `json` writes."""
    try:
        text = msgspec.json.encode(data)
        if b"null" in text:
            # msgspec writes null for what JSON has no word for: that would be another value.
            plain = msgspec.to_builtins(data, str_keys=True)
            if not _is_finite(plain):
                text = json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _unfit(name, data, error) from error
    return text


def to_msgpack(name: str, data: Any) -> bytes:
    """Return plain data as MessagePack, which keeps NaN and bytes."""
    try:
        return msgspec.msgpack.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _unfit(name, data, error) from error


def _unfit(name: str, data: Any, error: Exception) -> AssetDataError:
    return AssetDataError(
        f"{name!r} can't be kept: a {type(data).__name__} is no plain data ({error}); give bytes, "
        "str, a Path, an open file, an iterable of bytes, or dicts, lists and scalars"
    )


def _from_json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return json.loads(content)  # NaN, or an infinity


def _is_finite(plain: Any) -> bool:
    left = [plain]
    while left:
        each = left.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return False
        if _is_mapping(each):
            left.extend(each.values())
        elif _is_list(each):
            left.extend(each)
    return True


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _is_stream(data: Any) -> bool:
    """Return whether it gives bytes: an iterator, or a sequence of nothing but bytes."""
    if isinstance(data, Iterator):
        return True
    return _is_list(data) and bool(data) and all(isinstance(part, BYTES) for part in data)


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise AssetDataError(
            f"{name!r} can't be kept: UTF-8 can't hold the text ({error.reason} at "
            f"{error.start}); give bytes"
        ) from None


def _of_path(name: str, path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except IsADirectoryError:
        raise AssetDataError(
            f"{name!r} can't be kept: {str(path)!r} is a folder; write "
            f"data_assets.import_asset({name!r}, {str(path)!r})"
        ) from None
    except FileNotFoundError:
        raise AssetDataError(f"{name!r} can't be kept: there is no file {str(path)!r}") from None
    except OSError as error:
        raise AssetDataError(
            f"{name!r} can't be kept: {str(path)!r} can't be read ({error.strerror}); check its "
            "rights, and the disk that it lies on"
        ) from error


def _of_file(name: str, read: Callable[[int], Any]) -> Iterator[bytes]:
    while chunk := read(CHUNK):
        yield _chunk(name, chunk)


def _of_chunks(name: str, chunks: Iterable[Any]) -> Iterator[bytes]:
    for chunk in chunks:
        yield _chunk(name, chunk)


def _chunk(name: str, chunk: Any) -> bytes:
    if isinstance(chunk, str):
        return _utf8(name, chunk)
    if not isinstance(chunk, BYTES):
        raise AssetDataError(
            f"{name!r} can't be kept: a stream gives bytes or str, and this one gave {chunk!r}"
        )
    return cast("bytes", chunk)
