"""One typed record for each asset: what it is, where it lies, and who made it.

Rule 1: a record never changes. What is known later is asked of the file (`LogAsset.size`), or
stands in a later line of the manifest.
Rule 2: paths in records are relative to the folder of their scope, so that a folder can be moved;
but for content that lies elsewhere, where the run's `raw_data_path` says.
"""

import os
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, TypeVar

import msgspec

from ..io._location import Location
from ._bucket import in_bucket, open_at, read_at
from ._contents import Form, from_bytes
from ._errors import AssetError, AssetGone

Kind = Literal["data", "artifact", "log", "checkpoint", "error_trace", "execution_state", "output"]


class MessageRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The message that an actor had in hand when it made an asset."""

    id: str
    """The same on every attempt."""
    source: str
    """The node that sent it."""
    seq: int
    """Its place in the edge."""
    attempt: int = 1


class Producer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who made an asset. Filled in by the runtime, from the context of the task that runs."""

    run: str | None = None
    """Name of the run; None: made outside of any."""
    project: str | None = None
    experiment: str | None = None
    execution: int | None = None
    """Number of the attempt at the run, from 1."""
    task: str | None = None
    """Name of the action, or what `set_active_task` said; None: made outside of any task."""
    attempt: int | None = None
    """How many times the task had been started, this time included."""
    message: MessageRef | None = None
    upstream: tuple[str, ...] = ()
    """Nodes that the task takes its input from; of a called task, its caller."""
    consumes: tuple[str, ...] = ()
    """Ids of the assets that the task had read before: by `load`, `open` or `find_asset`."""


class Asset(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag=True
):
    """What all assets have."""

    kind: ClassVar[Kind]

    id: str
    name: str
    version: int = 1
    """1, 2, 3, ... of assets of one name, kind and scope."""
    created: float
    """Seconds since the epoch."""
    file: str
    """Relative to the folder of the scope; where the run was given a `raw_data_path`, absolute, or
    the URL in a bucket."""
    form: Form = "bytes"
    """How the content was made, and so how `load` reads it."""
    mime: str = "application/octet-stream"
    tags: tuple[str, ...] = ()
    producer: Producer = Producer()
    root: str = ""
    """Folder of the scope, absolute; never on disk."""
    scope: str = ""
    """The scope, as a path relative to the workspace; likewise."""

    @property
    def path(self) -> Path:
        """Where it lies on this machine, absolute.

        Raises:
            AssetError: it lies in a bucket; `uri` says where, and `open` reads it there.
        """
        if in_bucket(self.file) is not None:
            raise AssetError(
                f"{self.kind} {self.name!r} lies at {self.file!r} and has no path on this machine; "
                "read it with open() or load(), or take its uri"
            )
        return Path(self.root, self.file)

    @property
    def uri(self) -> str:
        """Where it lies: `file:///...`, `s3://...` or `gs://...`."""
        place = in_bucket(self.file)
        return (place or Location("file", "", os.path.abspath(self.path))).uri

    def open(self) -> IO[bytes]:
        """Open its content for reading.

        Raises:
            AssetGone: the file is not there any more.
            AssetError: it lies in a bucket that can't be reached.
        """
        place = in_bucket(self.file)
        try:
            return open(self.path, "rb") if place is None else open_at(place)
        except FileNotFoundError as error:
            raise self._gone() from error

    def load(self) -> Any:
        """Return its content, whole, as it was given: bytes, str, or plain data.

        Raises:
            AssetGone, AssetError: as of `open`.
        """
        place = in_bucket(self.file)
        try:
            content = self.path.read_bytes() if place is None else read_at(place)
        except FileNotFoundError as error:
            raise self._gone() from error
        return from_bytes(content, self.form)

    def _gone(self) -> AssetGone:
        place = self.file if in_bucket(self.file) else str(self.path)
        return AssetGone(
            f"{self.kind} {self.name!r} is recorded, but {place!r} is not there; put the "
            "file back, or save it again"
        )


class SizedAsset(Asset, frozen=True, kw_only=True, omit_defaults=True):
    """One whose content never changes."""

    size: int = 0
    """Bytes; of a folder, of all files in it."""
    hash: str = ""
    """`sha256:` and 64 hex digits; of a folder, over the names and hashes of its files."""


class ArtifactAsset(SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="artifact"):
    """A file that a task saved."""

    kind: ClassVar[Kind] = "artifact"


class DataAsset(SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="data"):
    """A file or folder that was imported."""

    kind: ClassVar[Kind] = "data"
    source: str = ""
    """Where it came from."""
    action: Literal["copy", "move", "symlink", "hardlink"] = "copy"
    is_folder: bool = False


class CheckpointAsset(SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="checkpoint"):
    """One link of a chain: `version` counts it through all attempts at the run."""

    kind: ClassVar[Kind] = "checkpoint"
    previous: str | None = None
    """Id of the one before; None: the first."""


class ErrorTraceAsset(SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="error_trace"):
    """What a task failed with, as text."""

    kind: ClassVar[Kind] = "error_trace"


class ExecutionStateAsset(
    SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="execution_state"
):
    """How an execution stood when it ended."""

    kind: ClassVar[Kind] = "execution_state"


class OutputAsset(SizedAsset, frozen=True, kw_only=True, omit_defaults=True, tag="output"):
    """What a run gave back."""

    kind: ClassVar[Kind] = "output"


class LogAsset(Asset, frozen=True, kw_only=True, omit_defaults=True, tag="log"):
    """A file of lines that grows; how much it has now is read from the file when asked."""

    kind: ClassVar[Kind] = "log"

    @property
    def size(self) -> int:
        """Bytes on disk now; 0: not there yet."""
        return 0 if (found := self._stat()) is None else found.st_size

    @property
    def modified(self) -> float | None:
        """When it was last written, seconds since the epoch; None: not yet."""
        return None if (found := self._stat()) is None else found.st_mtime

    @property
    def lines(self) -> int:
        """Lines on disk now; counted by reading the file."""
        count = 0
        try:
            with open(self.path, "rb") as file:
                while block := file.read(1 << 20):
                    count += block.count(b"\n")
        except FileNotFoundError:
            return 0
        return count

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None


class Use(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="use"
):
    """That a task has read an asset, whether or not it made anything of it."""

    asset: str
    """Id."""
    at: float
    producer: Producer
    """Who has read it."""


AnyAsset = (
    ArtifactAsset
    | DataAsset
    | CheckpointAsset
    | ErrorTraceAsset
    | ExecutionStateAsset
    | OutputAsset
    | LogAsset
)
Line = AnyAsset | Use

SIZED: dict[str, type[SizedAsset]] = {
    each.kind: each
    for each in (
        *(ArtifactAsset, DataAsset, CheckpointAsset, ErrorTraceAsset, ExecutionStateAsset),
        OutputAsset,
    )
}
KINDS: tuple[str, ...] = (*SIZED, LogAsset.kind)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def line_of(record: Asset | Use) -> bytes:
    """Return the line of a manifest: of the record as it is on disk, without `root`."""
    return _encoder.encode(record) + b"\n"


def record_of(line: bytes) -> Line:
    """Return what a line of a manifest says.

    Raises:
        msgspec.MsgspecError: it is no line of a manifest.
    """
    return _decoder.decode(line)


A = TypeVar("A", bound=Asset)


def placed(asset: A, root: str, scope: str) -> A:
    """Put a fresh record where it lies: its paths are absolute from now on."""
    msgspec.structs.force_setattr(asset, "root", root)
    msgspec.structs.force_setattr(asset, "scope", scope)
    return asset


for _each in (Asset, *SIZED.values(), LogAsset, MessageRef, Producer, Use):
    _each.__module__ = "trouper"
