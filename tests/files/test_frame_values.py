"""`trouper.io.DataFrame`: frames of three libraries, as Parquet, by reference."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.frames import frame_libraries
from harness.storing import below, in_a_run, in_an_async_run
from trouper.io import DataFrame, MissingExtra
from trouper.runtime.io._kinds import kind_of

__all__ = ["frame_libraries"]

pytestmark = pytest.mark.usefixtures("frame_libraries")

FRAMES: dict[str, Any] = {
    "pandas": pd.DataFrame({"n": [1, 2, 3], "s": ["a", None, "c"]}),
    "polars": pl.DataFrame({"n": [1, 2, 3], "s": ["a", None, "c"]}),
    "arrow": pa.table({"n": [1, 2, 3], "s": ["a", None, "c"]}),
}


@pytest.mark.parametrize("kind", FRAMES)
async def test_a_frame_comes_back_as_what_it_was(kind: str, tmp_path: Path) -> None:
    frame = FRAMES[kind]

    async def body() -> list[DataFrame]:
        return [DataFrame.save("a b", frame), await DataFrame.asave("a.parquet", frame)]

    for saved in await in_an_async_run(tmp_path, body):
        assert saved.name in ("a b.parquet", "a.parquet")
        assert (saved.kind, saved.rows, saved.columns) == (kind, 3, ("n", "s"))
        assert saved.size == saved.file.path.stat().st_size
        for found in (saved.read(), await saved.aread()):
            assert type(found) is type(frame)
            assert found.equals(frame)
        assert saved.exists()
        assert await saved.aexists()
        assert [field.name for field in saved.schema()] == ["n", "s"]
        assert saved.file.mime == "application/vnd.apache.parquet"


def test_it_is_read_as_any_kind_and_in_part(tmp_path: Path) -> None:
    saved = in_a_run(tmp_path, lambda: DataFrame.save("a", FRAMES["pandas"]))
    assert saved.read("polars").equals(FRAMES["polars"])
    assert saved.read(pl.DataFrame).equals(FRAMES["polars"])
    assert saved.read(pa.Table).column_names == ["n", "s"]
    assert list(saved.read(columns=["n"]).columns) == ["n"]
    assert saved.scan().filter(pl.col("n") > 2).collect().rows() == [(3, "c")]
    with pytest.raises(ValueError, match=r"read as <class 'dict'>; choose 'pandas', 'polars'"):
        saved.read(dict)


async def test_its_rows_come_in_batches(tmp_path: Path) -> None:
    def parts() -> Iterator[pa.RecordBatch]:
        for number in range(4):
            yield pa.record_batch({"n": [number] * 10, "s": ["x"] * 10})

    async def body() -> DataFrame:
        return await DataFrame.asave("a", parts())

    saved = await in_an_async_run(tmp_path, body)
    assert (saved.rows, saved.kind) == (40, "arrow")
    assert [batch.num_rows for batch in saved.batches(rows=16)] == [16, 16, 8]
    assert [batch.num_rows async for batch in saved.abatches(rows=30, columns=["s"])] == [30, 10]


@pytest.mark.parametrize(
    "make",
    [
        lambda: FRAMES["polars"].lazy(),
        lambda: pa.RecordBatchReader.from_batches(
            FRAMES["arrow"].schema, FRAMES["arrow"].to_batches()
        ),
        lambda: FRAMES["arrow"].to_batches(),
        lambda: iter(FRAMES["arrow"].to_batches()),
    ],
    ids=["lazy frame", "reader", "list", "iterator"],
)
async def test_what_is_streamed_is_taken_too(make: Any, tmp_path: Path) -> None:
    async def body() -> list[DataFrame]:
        return [DataFrame.save("a", make()), await DataFrame.asave("a", make())]

    for saved in await in_an_async_run(tmp_path, body):
        assert saved.read("polars").equals(FRAMES["polars"])


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ([1], "a list is no data frame; give one of pandas"),
        ([], "a list is no data frame"),
        ("a.parquet", "a str is no data frame"),
        ({"n": [1]}, "a dict is no data frame"),
        (3, "an? int is no data frame"),
        (iter([1]), "an iterable of pyarrow.RecordBatch is taken, it gave 1"),
        (iter([]), "an empty iterable has no columns"),
        (iter([FRAMES["arrow"].to_batches()[0], "x"]), "is taken, it gave 'x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_is_no_frame_is_refused(frame: Any, problem: str, tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises((TypeError, ValueError), match=problem):
            await DataFrame.asave("a", frame)

    await in_an_async_run(tmp_path / "raw", body)
    assert [name for name in below(tmp_path / "raw") if name != "r"] == []


def test_a_frame_that_fails_halfway_is_never_seen(tmp_path: Path) -> None:
    def parts() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise LookupError("the source is broken")

    with pytest.raises(LookupError, match="the source is broken"):
        in_a_run(tmp_path / "raw", lambda: DataFrame.save("a", parts()))
    assert below(tmp_path / "raw") == ["r"]


async def test_a_parquet_file_that_is_there_is_referred_to(tmp_path: Path) -> None:
    path = tmp_path / "given.parquet"
    FRAMES["polars"].write_parquet(path)
    found = await DataFrame.aexisting(path, kind=pl.DataFrame)
    assert (found.rows, found.columns, found.kind) == (3, ("n", "s"), "polars")
    assert found.read().equals(FRAMES["polars"])
    with pytest.raises(FileNotFoundError, match="nothing at"):
        DataFrame.existing(tmp_path / "gone.parquet")
    (tmp_path / "text").write_text("no Parquet")
    with pytest.raises(ValueError, match="it is no Parquet file"):
        DataFrame.existing(tmp_path / "text")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="nothing at"):
        found.read()


def test_it_encodes_as_its_address(tmp_path: Path) -> None:
    saved = in_a_run(tmp_path, lambda: DataFrame.save("a", FRAMES["arrow"]))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(saved), type=DataFrame) == saved
    assert saved.__cache_key__()[-2:] == (saved.content_hash, "arrow")
    with pytest.raises(ValueError, match="a DataFrame has an address as"):
        DataFrame(uri="/a", size=1, rows=1, columns=("n",))


@pytest.mark.parametrize("missing", ["pyarrow", "pyarrow.parquet"])
def test_without_the_libraries_the_error_names_the_extra(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"need pyarrow.*pip install 'trouper\[df\]'"):
        in_a_run(tmp_path / "raw", lambda: DataFrame.save("a", FRAMES["pandas"]))
    assert below(tmp_path / "raw") == ["r"]


def test_which_library_a_frame_is_of_is_told_without_importing_one() -> None:
    class Mine(pd.DataFrame): ...  # type: ignore[misc]  # pandas has no types here

    class Other:
        pass

    Other.__module__, Other.__name__ = "pandas_like", "DataFrame"
    kinds = [kind_of(each) for each in (*FRAMES.values(), Mine(), Other(), 3, pd.DataFrame)]
    assert kinds == ["pandas", "polars", "arrow", "pandas", None, None, None]


COLUMNS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5),
    st.sampled_from(
        [
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.floats(allow_nan=False) | st.none(),
            st.text(st.characters(codec="utf-8"), max_size=5) | st.none(),
            st.booleans() | st.none(),
            st.binary(max_size=5) | st.none(),
            st.datetimes() | st.none(),
            st.dates() | st.none(),
            st.lists(st.integers(0, 9), max_size=3) | st.none(),
        ]
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 5))
    columns = draw(COLUMNS)
    return pa.table(
        {
            name: pa.array(draw(st.lists(values, min_size=rows, max_size=rows)))
            for name, values in columns.items()
        }
    )


@settings(max_examples=60)
@given(tables())
def test_any_table_comes_back(table: pa.Table) -> None:
    from tempfile import TemporaryDirectory

    frame = pl.DataFrame(table)
    with TemporaryDirectory() as raw:

        def body() -> None:
            assert DataFrame.save("t", table).read().equals(table)
            saved = DataFrame.save("t", frame)
            found = saved.read()
            assert found.schema == frame.schema
            assert found.equals(frame, null_equal=True)
            assert (saved.rows, list(saved.columns)) == (table.num_rows, table.column_names)

        in_a_run(raw, body)
