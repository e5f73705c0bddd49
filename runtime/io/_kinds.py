"""Data frames of pandas, polars and pyarrow: told apart, written as Parquet, and read back.

None of the libraries is imported unless a frame is written or read; which one a value is of is told
by its class's name alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from typing import Any, BinaryIO, Final, Literal, cast

from ._errors import MissingExtra

Kind = Literal["pandas", "polars", "arrow"]

_CLASSES: Final[Mapping[tuple[str, str], Kind]] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("pyarrow", "Table"): "arrow",
}
_REFERENCE = ("trouper", "DataFrame")
_ROWS = 1 << 17
"""Rows of one row group: what is in memory of a file that is read or written in batches."""


def kind_of_class(cls: object) -> Kind | None:
    """Return which kind of data frame a class is; None: it is none."""
    if not isinstance(cls, type):
        return None
    return _CLASSES.get((cls.__module__.partition(".")[0], cls.__name__))


def is_reference(cls: object) -> bool:
    """Return whether a class is `trouper.io.DataFrame`, which this must not import to know."""
    return isinstance(cls, type) and (cls.__module__.partition(".")[0], cls.__name__) == _REFERENCE


def kind_of(value: object) -> Kind | None:
    """Return which kind of data frame a value is, of a subclass too; None: it is none."""
    for cls in type(value).__mro__:
        found = kind_of_class(cls)
        if found is not None:
            return found
    return None


def as_kind(wanted: object) -> Kind:
    """Return the kind that a word or a class means.

    Raises:
        ValueError: it means none.
    """
    if wanted in ("pandas", "polars", "arrow"):
        return wanted
    found = kind_of_class(wanted)
    if found is None:
        raise ValueError(
            f"a data frame can't be read as {wanted!r}; choose 'pandas', 'polars', 'arrow', or one "
            "of their classes"
        )
    return found


def library(name: str) -> Any:
    """Return a library of data frames.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise MissingExtra(
            f"data frames need {package}, which is not installed; pip install 'trouper[df]'"
        ) from None


# -- writing -----------------------------------------------------------------------------------


def kind_to_write(frame: Any) -> Kind:
    """Return the kind that a frame is read back as, of all that can be written.

    Raises:
        TypeError: it can't be written.
    """
    known = kind_of(frame)
    if known is not None:
        return known
    if _is_lazy(frame):
        return "polars"
    parts: Any = frame
    if isinstance(parts, list | tuple):
        parts = cast("Sequence[Any]", parts)
        if parts and _is_batch(parts[0]):
            return "arrow"
    elif isinstance(parts, Iterable) and not isinstance(parts, str | bytes | dict):
        return "arrow"  # a reader of record batches, or any iterable of them
    raise TypeError(
        f"a {type(frame).__name__} is no data frame; give one of pandas, polars or pyarrow, a "
        "polars.LazyFrame, or an iterable of pyarrow.RecordBatch"
    )


def write_parquet(frame: Any, sink: Any) -> Iterator[None]:
    """Write a frame into a file that is open for writing, in steps of a row group each."""
    if _is_lazy(frame):
        frame.sink_parquet(sink)  # in batches, by its own threads
        return
    pyarrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    schema, batches = _batches(frame, pyarrow)
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            if not _is_batch(batch):
                raise TypeError(
                    f"an iterable of pyarrow.RecordBatch is taken, it gave {batch!r:.80}"
                )
            writer.write_batch(batch)
            yield


def _batches(frame: Any, pyarrow: Any) -> tuple[Any, Iterator[Any]]:
    """Return the schema of a frame and its batches."""
    kind = kind_of(frame)
    if kind is None:
        return _schema_first(iter(frame))
    table = frame
    if kind == "pandas":
        table = pyarrow.Table.from_pandas(frame)
    elif kind == "polars":
        table = frame.to_arrow()
    return table.schema, iter(table.to_batches(max_chunksize=_ROWS))


def _schema_first(batches: Iterator[Any]) -> tuple[Any, Iterator[Any]]:
    first = next(batches, None)
    if first is None:
        raise ValueError("an empty iterable has no columns; give a pyarrow.Table without rows")
    if not _is_batch(first):
        raise TypeError(f"an iterable of pyarrow.RecordBatch is taken, it gave {first!r:.80}")
    return first.schema, chain((first,), batches)


def _is_batch(value: object) -> bool:
    cls = type(value)
    return cls.__name__ == "RecordBatch" and cls.__module__.partition(".")[0] == "pyarrow"


def _is_lazy(value: object) -> bool:
    cls = type(value)
    return cls.__name__ == "LazyFrame" and cls.__module__.partition(".")[0] == "polars"


# -- reading -----------------------------------------------------------------------------------


def footer(source: BinaryIO) -> tuple[int, tuple[str, ...], Any]:
    """Return the number of rows, the names of the columns, and the schema of a Parquet file.

    Raises:
        ValueError: it is none.
    """
    parquet = library("pyarrow.parquet")
    file = _opened(parquet, source)
    schema = file.schema_arrow
    return int(file.metadata.num_rows), tuple(schema.names), schema


def read_parquet(source: BinaryIO, kind: Kind, columns: Iterable[str] | None) -> Any:
    """Return all of a Parquet file, as a frame of that kind."""
    pyarrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    wanted = None if columns is None else list(columns)
    # From an open file, and not from its path, which would be taken for a data set of many.
    table = _opened(parquet, source).read(columns=wanted, use_pandas_metadata=kind == "pandas")
    assert isinstance(table, pyarrow.Table)
    if kind == "pandas":
        library("pandas")
        return table.to_pandas()
    return library("polars").from_arrow(table) if kind == "polars" else table


def read_batches(source: BinaryIO, columns: Iterable[str] | None, rows: int) -> Iterator[Any]:
    """Yield record batches of at most that many rows; a row group is in memory at once."""
    parquet = library("pyarrow.parquet")
    wanted = None if columns is None else list(columns)
    # Unless told otherwise it reads ahead as far as there is room, which would be all of it.
    file = _opened(parquet, source, pre_buffer=False)
    yield from file.iter_batches(batch_size=rows, columns=wanted)


def _opened(parquet: Any, source: BinaryIO, *, pre_buffer: bool = True) -> Any:
    try:
        return parquet.ParquetFile(source, pre_buffer=pre_buffer)
    except (ValueError, OSError) as error:  # what pyarrow's errors are
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"it is no Parquet file: {str(error).partition(chr(10))[0]}") from error
