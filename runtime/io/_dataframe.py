"""`trouper.io.DataFrame`: a data frame by reference, as a Parquet file."""

from collections.abc import AsyncIterator, Iterable, Iterator
from os import PathLike
from typing import Any, cast

import msgspec

from ._file import File, new_place
from ._incoming import FileWriter
from ._kinds import (
    Kind,
    as_kind,
    footer,
    kind_to_write,
    library,
    read_batches,
    read_parquet,
    write_parquet,
)
from ._location import Location, parse_location
from ._storage import Writer, storage_of
from ._writing import commit, give_up, in_thread

_BATCH = 65_536
_MIME = "application/vnd.apache.parquet"


class DataFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="trouper.DataFrame"
):
    """A data frame that lies somewhere else, as Parquet. This is its address.

    Make one with `DataFrame.save` or `DataFrame.existing`; each has an async form, with an `a`
    before its name. The extra `df` brings what writes and reads them.
    """

    uri: str
    """Its address, as of a `File`."""
    size: int
    """Bytes of its file."""
    rows: int
    columns: tuple[str, ...]
    kind: Kind = "arrow"
    """What it was, and is read as unless told otherwise: `pandas`, `polars` or `arrow`."""
    content_hash: str = ""
    """Of its file; "" of one that was there already."""
    version: str = ""
    """As of a `File`."""

    def __post_init__(self) -> None:
        if self.place.uri != self.uri:
            raise ValueError(f"a DataFrame has an address as {self.place.uri!r}, not {self.uri!r}")

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def save(cls, name: str, frame: Any, *, keep: bool = True) -> "DataFrame":
        """Write a data frame into the storage of the run, and return its address.

        Args:
            name: how it is called; `.parquet` is put behind it if it has no such end.
            frame: a frame of pandas or polars, a pyarrow.Table; or what is streamed: a
                polars.LazyFrame, a pyarrow.RecordBatchReader, an iterable of pyarrow.RecordBatch.
            keep: False: it is only passed between tasks, and goes with the run.

        Raises:
            NoStorage: nothing said where the run's data goes, or there is no run.
            TypeError, ValueError: the name or the frame is not legal.
            MissingExtra: what writes it is not installed.
            StorageError: it can't be written; nothing of it is to be seen.
        """
        kind = kind_to_write(frame)
        place = new_place(_file_name(name), keep=keep)
        writer = storage_of(place).create(place)
        try:
            for _ in write_parquet(frame, FileWriter(place, writer)):
                pass
            return _finish(place, writer, kind)
        except BaseException:
            writer.abort()
            raise

    @classmethod
    async def asave(cls, name: str, frame: Any, *, keep: bool = True) -> "DataFrame":
        """Do as `save`, without blocking."""
        kind = kind_to_write(frame)
        place = new_place(_file_name(name), keep=keep)
        writer = cast("Writer", await in_thread(lambda: storage_of(place).create(place)))
        try:
            end: Any = object()
            steps = write_parquet(frame, FileWriter(place, writer))
            while await in_thread(next, steps, end) is not end:
                pass
            return cast("DataFrame", await in_thread(_finish, place, writer, kind))
        except BaseException:
            await give_up(writer)
            raise

    @classmethod
    def existing(cls, path: str | PathLike[str], *, kind: Any = "arrow") -> "DataFrame":
        """Refer to a Parquet file that is there already; only its footer is read.

        Args:
            path: a local path, or a URL as in `uri`.
            kind: what it is read as, unless told otherwise.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: it is no Parquet file.
            MissingExtra, StorageError: it can't be read.
        """
        word, place = as_kind(kind), parse_location(str(path), "a DataFrame")
        found = storage_of(place).info(place)
        rows, columns = _look(place)
        return cls(
            uri=place.uri,
            size=found.size,
            rows=rows,
            columns=columns,
            kind=word,
            version=found.version,
        )

    @classmethod
    async def aexisting(cls, path: str | PathLike[str], *, kind: Any = "arrow") -> "DataFrame":
        return cast("DataFrame", await in_thread(lambda: cls.existing(path, kind=kind)))

    # -- what it is ------------------------------------------------------------------------------

    @property
    def place(self) -> Location:
        return parse_location(self.uri, "a DataFrame")

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def file(self) -> File:
        """Its Parquet file: to download it, or to open it with another library."""
        return File(
            uri=self.uri,
            size=self.size,
            content_hash=self.content_hash,
            version=self.version,
            mime=_MIME,
        )

    def exists(self) -> bool:
        """Return whether it is still there."""
        return self.file.exists()

    async def aexists(self) -> bool:
        return await self.file.aexists()

    def __cache_key__(self) -> tuple[str, ...]:
        """Return what tells it from others: what is in it if that is known, not where it lies."""
        return (*self.file.__cache_key__(), self.kind)

    # -- reading it ------------------------------------------------------------------------------

    def read(self, kind: Any = None, *, columns: Iterable[str] | None = None) -> Any:
        """Return all of it, in memory.

        Args:
            kind: "pandas", "polars", "arrow", or a class: `frame.read(pandas.DataFrame)`; left
                out: what it was.
            columns: only these.

        Raises:
            FileNotFoundError: it is not there any more.
            MissingExtra, StorageError: it can't be read.
        """
        word = self.kind if kind is None else as_kind(kind)
        with self.file.open() as source:
            return read_parquet(source, word, columns)

    async def aread(self, kind: Any = None, *, columns: Iterable[str] | None = None) -> Any:
        return await in_thread(lambda: self.read(kind, columns=columns))

    def batches(self, *, columns: Iterable[str] | None = None, rows: int = _BATCH) -> Iterator[Any]:
        """Yield its rows as `pyarrow.RecordBatch`es of at most that many: it need not fit memory.

        Raises: as `read`.
        """
        with self.file.open() as source:
            yield from read_batches(source, columns, rows)

    async def abatches(
        self, *, columns: Iterable[str] | None = None, rows: int = _BATCH
    ) -> AsyncIterator[Any]:
        """Yield its rows; close what this returns, if you leave it early."""
        source = await in_thread(self.file.open)
        try:
            batches, end = read_batches(source, columns, rows), cast("Any", object())
            while (batch := await in_thread(next, batches, end)) is not end:
                yield batch
        finally:
            source.close()

    def scan(self) -> Any:
        """Return it as a `polars.LazyFrame`: only what a query needs is read.

        One in a bucket is downloaded first, as by `File.download`. Raises: as that, and `read`.
        """
        polars = library("polars")
        return polars.scan_parquet(self.file.download())

    def schema(self) -> Any:
        """Return its `pyarrow.Schema`. Raises: as `read`."""
        with self.file.open() as source:
            return footer(source)[2]


def _file_name(name: str) -> str:
    if isinstance(cast("object", name), str) and name and not name.endswith(".parquet"):
        return f"{name}.parquet"
    return name


def _finish(place: Location, writer: Writer, kind: Kind) -> DataFrame:
    written = commit(place, writer)
    rows, columns = _look(place)
    return DataFrame(
        uri=place.uri,
        size=written.size,
        rows=rows,
        columns=columns,
        kind=kind,
        content_hash=written.content_hash,
    )


def _look(place: Location) -> tuple[int, tuple[str, ...]]:
    with storage_of(place).open(place) as source:
        rows, columns, _ = footer(source)
    return rows, columns


DataFrame.__module__ = "trouper.io"
