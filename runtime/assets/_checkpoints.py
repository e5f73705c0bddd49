"""`ctx.checkpoint`: states that a run can go on from, a chain through all attempts (F9)."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ..store._asset_rows import AssetQuery
from ._contents import BYTES, Contents, contents_of, mime_of, to_msgpack
from ._names import place_of
from ._records import CheckpointAsset, Producer
from ._shelf import FOLDERS, Shelf

_FOLDER = FOLDERS["checkpoint"]
_SUFFIX = ".ckpt"


def keep_checkpoint(shelf: Shelf, name: str, data: Any, producer: Producer) -> CheckpointAsset:
    """Write the next of a chain: bytes as they are, else plain data as MessagePack.

    Raises:
        AssetError: it can't be kept; the chain is as it was.
    """
    place_of(_FOLDER, name, 1, _SUFFIX)  # refused before anything is written
    contents = (
        contents_of(name, data)
        if isinstance(data, BYTES)
        else Contents((to_msgpack(name, data),), "msgpack")
    )
    with closing(shelf.incoming("checkpoint", name, _SUFFIX)) as file:
        file.write_all(contents.chunks)
        # Alone, or two that come at once would both follow the same one.
        with file.whole(), shelf.manifest.alone() as add:
            last: CheckpointAsset | None = shelf.newest(name, ("checkpoint",))
            version = 1 if last is None else last.version + 1
            kept = CheckpointAsset(
                name=name,
                **shelf.settle(file, "checkpoint", name, version, _SUFFIX),
                form=contents.form,
                mime=mime_of("", contents.form),
                producer=producer,
                previous=None if last is None else last.id,
            )
            add(kept)
    shelf.tell_soon(1)
    return shelf.placed(kept)


class Checkpoints:
    """The chain of one name: `ctx.checkpoints(name)`."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self.name = name
        self._shelf = shelf

    def latest(self) -> CheckpointAsset | None:
        """Return the newest; None: there is none."""
        found: CheckpointAsset | None = self._shelf.newest(self.name, ("checkpoint",))
        return found

    def __iter__(self) -> Iterator[CheckpointAsset]:
        """Give all of them, the newest first, each followed by the one it was chained to."""
        query = AssetQuery(
            scope=self._shelf.key, scope_alone=True, name=self.name, kinds=("checkpoint",)
        )
        at: CheckpointAsset | None = self.latest()
        chain = {each.id: each for each in self._shelf.select(query)}
        while at is not None:
            yield at
            at = None if at.previous is None else chain.get(at.previous)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def newest_of_task(shelf: Shelf, task: str) -> CheckpointAsset | None:
    """Return the newest checkpoint that a task of the run has made, in whatever attempt."""
    shelf.catch_up()
    query = AssetQuery(
        scope=shelf.key,
        scope_alone=True,
        task=task,
        kinds=("checkpoint",),
        limit=1,
        order="recorded",
    )
    found: CheckpointAsset | None = next(iter(shelf.select(query)), None)
    return found
