"""`ctx.artifact`: files that a task saves, each a new version under its name."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from functools import partial
from typing import IO, Any, TypeGuard, cast

import trio

from ...actors._task_context import TaskContext
from ..store._errors import StoreError
from ._bucket import pieces
from ._contents import Form, contents_of, mime_of
from ._errors import AssetDataError, AssetError
from ._names import file_of
from ._producing import Producing
from ._records import ArtifactAsset, Producer, Use
from ._shelf import AnyIncoming, Shelf

_log = logging.getLogger("trouper")

Tags = Iterable[str] | Mapping[str, str] | None


def tags_of(tags: Tags) -> tuple[str, ...]:
    """Return tags as they are kept: sorted, each once; of a mapping, as `key=value`.

    Raises:
        TypeError: one is no str.
    """
    if tags is None:
        return ()
    if isinstance(tags, str):
        raise TypeError(f"tags takes a list of str or a mapping, got {tags!r}; put it in a list")
    if isinstance(tags, Mapping):
        pairs = cast("Mapping[Any, Any]", tags)
        tags = [f"{key}={value}" for key, value in pairs.items()]
    found = set(tags)
    for tag in found:
        # What a caller without type checking may hand over.
        if not isinstance(cast("object", tag), str) or not tag:
            raise TypeError(f"a tag is a str that is not empty, got {tag!r}")
    return tuple(sorted(found))


class Artifacts:
    """The artifacts of a run, seen from one of its tasks."""

    def __init__(
        self, shelf: Shelf, producing: Producing, context: TaskContext[Any, Any, Any] | None
    ) -> None:
        self._shelf = shelf
        self._producing = producing
        self._context = context

    def save(
        self, name: str, data: Any, *, tags: Tags = None, mime: str | None = None
    ) -> ArtifactAsset:
        """Write a file and record it; it is on disk when this returns. Again: a new version.

        Args:
            name: "/" in it makes folders.
            data: bytes, str (text), a `Path` or an open file (copied), an iterable of bytes
                (streamed), or dicts, lists and scalars (JSON).
            tags: to find it by; of a mapping, as `key=value`.
            mime: None: told by the name, else by the data.

        Raises:
            AssetNameError, AssetDataError: it can't be called so, or kept.
            AssetError: it can't be written; nothing half-written is left.
        """
        kept = tags_of(tags)
        saved: ArtifactAsset = self._shelf.save(
            "artifact",
            name,
            contents_of(name, data),
            producer=self._producer(),
            tags=kept,
            mime=mime,
        )
        return saved

    async def asave(
        self, name: str, data: Any, *, tags: Tags = None, mime: str | None = None
    ) -> ArtifactAsset:
        """Do so in a worker thread; `data` may also be an async iterable of bytes.

        If cancelled, nothing is saved. Arguments and errors: as of `save`.
        """
        if _comes_async(data) or self._shelf.bucket is not None:
            return await self._asave_in_steps(name, data, tags, mime)
        return await trio.to_thread.run_sync(partial(self.save, name, data, tags=tags, mime=mime))

    async def _asave_in_steps(
        self, name: str, data: Any, tags: Tags, mime: str | None
    ) -> ArtifactAsset:
        """Do so a chunk at a time, so that a cancel need not wait for all of it."""
        kept = tags_of(tags)
        shelf, in_thread = self._shelf, trio.to_thread.run_sync
        file_of(name)
        file = await in_thread(shelf.incoming, "artifact", name)
        try:
            form = await _write_in_steps(file, name, data)
            saved: ArtifactAsset = await in_thread(
                partial(
                    shelf.publish,
                    "artifact",
                    name,
                    file,
                    form=form,
                    mime=mime or mime_of(name, form),
                    tags=kept,
                    producer=self._producer(),
                )
            )
        finally:
            with trio.CancelScope(shield=True):
                await in_thread(file.close)
        return saved

    def find(self, name: str, *, version: int | None = None) -> ArtifactAsset | None:
        """Return the record of a version, else of the newest; None: there is none."""
        found: ArtifactAsset | None = self._shelf.newest(name, ("artifact",), version=version)
        return found

    def load(self, name: str, *, version: int | None = None) -> Any:
        """Return the content as it was given: bytes, str, or plain data. Whole, in memory.

        Raises:
            AssetError: there is none of this name, or its file is gone.
        """
        return self._used(name, version).load()

    async def aload(self, name: str, *, version: int | None = None) -> Any:
        """Do so in a worker thread."""
        return await trio.to_thread.run_sync(partial(self.load, name, version=version))

    def open(self, name: str, *, version: int | None = None) -> IO[bytes]:
        """Open it for reading.

        Raises:
            AssetError: there is none of this name, or its file is gone.
        """
        return self._used(name, version).open()

    def _used(self, name: str, version: int | None) -> ArtifactAsset:
        asset = self.find(name, version=version)
        if asset is None:
            which = "" if version is None else f" version {version} of"
            raise AssetError(
                f"there is no{which} artifact {name!r} in {str(self._shelf.path)!r}; save it "
                "before, or look further up with ctx.find_asset"
            )
        note_use(self._shelf, self._producing, self._context, asset.id)
        return asset

    def _producer(self) -> Producer:
        return self._producing.producer(self._context)


def note_use(
    shelf: Shelf,
    producing: Producing,
    context: TaskContext[Any, Any, Any] | None,
    asset: str,
) -> None:
    """Record that a task has read an asset, the first time it does.

    Where that can't be written it is logged: a full disk does not keep anybody from reading.
    """
    who = producing.note_read(context, asset)
    if who is None or shelf.store.connections.place.read_only:
        return
    try:
        shelf.append(Use(asset=asset, at=time.time(), producer=who))
    except (AssetError, StoreError) as error:
        _log.warning("that %r has read an asset is not recorded: %s", who.task, error)


async def _write_in_steps(file: AnyIncoming, name: str, data: Any) -> Form:
    """Write a chunk after the other, each in a thread; return how it is to be read."""
    in_thread = trio.to_thread.run_sync
    if not _comes_async(data):
        contents = await in_thread(contents_of, name, data)
        chunks = pieces(contents.chunks)
        while (piece := await in_thread(next, chunks, None)) is not None:
            await in_thread(file.write, piece)
        return contents.form
    try:
        async for chunk in data:
            contents = contents_of(name, chunk)
            if contents.form == "json":
                raise _no_chunk(name, chunk)
            await in_thread(file.write_all, contents.chunks)
    finally:
        # A generator that is left by an error is not closed by the loop.
        if isinstance(data, AsyncGenerator):
            await data.aclose()
    return "bytes"


def _comes_async(data: object) -> TypeGuard[AsyncIterable[Any]]:
    return isinstance(data, AsyncIterable)


def _no_chunk(name: str, chunk: object) -> AssetDataError:
    return AssetDataError(
        f"{name!r} can't be kept: a stream gives bytes or str, and this one gave {chunk!r}"
    )
