"""Values in buckets: S3's dialect and Google's, against a server on loopback."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.buckets import Buckets, bucket_server, buckets, cloud_library
from harness.frames import frame_libraries
from trouper.io import DataFrame, Dir, File, StorageError

__all__ = ["bucket_server", "buckets", "cloud_library", "frame_libraries"]

PART = 8 << 20
"""Bytes of one part of an upload."""


@pytest.fixture(params=["s3", "gs"])
def raw(request: pytest.FixtureRequest, buckets: Buckets) -> str:
    return f"{request.param}://my-bucket/runs/"


def in_a_task(raw: str, body: Callable[[], Any]) -> Any:
    """Return what a sync function returns as a task of a run whose data goes to `raw`."""
    env = trouper.TaskEnvironment("buckets")
    run = trouper.with_runcontext(name="r", raw_data_path=raw).run(env.task(name="body")(body))
    return run.outputs()[0]


def test_a_file_goes_to_the_bucket_and_comes_back(raw: str, buckets: Buckets) -> None:
    def body() -> File:
        return File.save("a b?.txt", "one\ntwo\n")

    file = in_a_task(raw, body)
    assert file.uri.startswith(f"{raw}r/body-")
    assert file.uri.endswith("/a b?.txt")
    [key] = buckets.keys("my-bucket")
    assert file.uri == f"{raw[:5]}my-bucket/{key}"
    with file.open() as source:
        assert source.readline() == b"one\n"
        assert source.seek(-4, os.SEEK_END) == 4
        assert source.tell() == 4
        assert source.read() == b"two\n"
    with file.open_text() as text:
        assert list(text) == ["one\n", "two\n"]
    assert file.exists()
    assert File.existing(file.uri).size == 8


async def test_the_async_forms_do_the_same(raw: str, buckets: Buckets) -> None:
    env = trouper.TaskEnvironment("async")

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            yield bytes([number]) * 5

    @env.task
    async def write() -> File:
        async with File.acreate("out.bin") as out:
            await out.write(b"1")
        assert out.file is not None
        assert await out.file.aread_bytes() == b"1"
        return await File.asave("parts.bin", parts())

    @env.task
    async def root() -> list[bytes]:
        file = await write()
        assert await file.aexists()
        async with file.aopen() as source:
            assert await source.read(2) == b"\0\0"
            assert await source.seek(5) == source.tell() == 5
            return [line async for line in source]

    run = await trouper.with_runcontext(raw_data_path=raw).run.aio(root)
    assert run.outputs() == ([bytes([1] * 5 + [2] * 5)],)


def test_an_upload_of_many_parts_is_whole(raw: str, buckets: Buckets) -> None:
    def body() -> File:
        return File.save("big", (bytes([number]) * (3 << 20) for number in range(7)))

    file = in_a_task(raw, body)
    assert file.size == 7 * (3 << 20) > 2 * PART
    chunks = list(file.chunks(3 << 20))
    assert max(map(len, chunks)) <= 3 << 20
    assert b"".join(chunks) == b"".join(bytes([number]) * (3 << 20) for number in range(7))
    assert buckets.unfinished("my-bucket") == []


def test_an_upload_that_fails_halfway_is_never_seen(raw: str, buckets: Buckets) -> None:
    """Neither in the bucket nor as parts, which would cost money."""

    def parts() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * PART
        assert len(buckets.unfinished("my-bucket")) == 1  # it had really begun
        raise LookupError("the source is broken")

    def body() -> str:
        with pytest.raises(LookupError, match="the source is broken"):
            File.save("big", parts())
        with pytest.raises(LookupError), File.create("big") as out:
            out.write(b"x" * (2 * PART))
            raise LookupError
        assert out.file is None
        return "gone on"

    assert in_a_task(raw, body) == "gone on"
    assert buckets.keys("my-bucket") == []
    assert buckets.unfinished("my-bucket") == []


def test_a_bucket_that_is_not_there_is_named(buckets: Buckets) -> None:
    def body() -> str:
        with pytest.raises(StorageError, match="no such bucket"):
            File.save("a", b"1")
        with pytest.raises(FileNotFoundError, match="there is nothing at 's3://my-bucket/nope'"):
            File.existing("s3://my-bucket/nope")
        return "gone on"

    assert in_a_task("s3://nobody-has-this", body) == "gone on"


def test_a_server_that_is_not_there_is_told_with_what_to_look_at(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    def body() -> str:
        with pytest.raises(StorageError, match=r"can't be written: .*look at the credentials"):
            File.save("a", b"1")
        return "gone on"

    assert in_a_task("s3://my-bucket", body) == "gone on"


def test_a_folder_goes_to_the_bucket_and_comes_back(
    raw: str, buckets: Buckets, tmp_path: Path
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "deep" / "b.txt").write_text("bb")

    def body() -> Dir:
        with Dir.create("made") as out:
            (out.path / "x").write_text("y")
        assert out.dir is not None
        assert out.dir.file("x").read_text() == "y"
        saved = Dir.save("plots", tmp_path / "in")
        copy = saved.download()
        assert (copy / "deep" / "b.txt").read_text() == "bb"
        return saved

    saved = in_a_task(raw, body)
    assert (saved.size, saved.count) == (3, 2)
    assert [(inner, file.read_text()) for inner, file in saved.files()] == [
        ("a.txt", "a"),
        ("deep/b.txt", "bb"),
    ]
    assert saved.exists()
    assert Dir.existing(saved.uri).count == 2
    assert not Dir(uri=f"{saved.uri}/nope", size=0, count=1).exists()
    with pytest.raises(FileNotFoundError, match="no file below"):
        Dir.existing(f"{saved.uri}/nope")
    with pytest.raises(StorageError, match="call download"):
        saved.path  # noqa: B018  # it is the property that raises
    target = saved.download(tmp_path / "copy")
    assert sorted(each.name for each in target.rglob("*")) == ["a.txt", "b.txt", "deep"]


def test_a_folder_that_fails_halfway_is_never_seen(
    raw: str, buckets: Buckets, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "b\n.txt").write_text("b")

    def body() -> str:
        with pytest.raises(ValueError, match="control characters"):
            Dir.save("plots", tmp_path / "in")
        return "gone on"

    assert in_a_task(raw, body) == "gone on"
    assert buckets.keys("my-bucket") == []


@pytest.mark.usefixtures("frame_libraries")
def test_a_data_frame_goes_to_the_bucket_and_comes_back(raw: str) -> None:
    import polars

    frame = polars.DataFrame({"n": range(10), "s": [str(n) for n in range(10)]})

    def body() -> DataFrame:
        saved = DataFrame.save("table", frame)
        assert saved.scan().filter(polars.col("n") > 8).collect().rows() == [(9, "9")]
        return saved

    saved = in_a_task(raw, body)
    assert (saved.rows, saved.columns) == (10, ("n", "s"))
    assert saved.read().equals(frame)
    assert [batch.num_rows for batch in saved.batches(rows=6, columns=["n"])] == [6, 4]


def test_what_is_passed_between_tasks_only_goes_to_the_base_dir(buckets: Buckets) -> None:
    env = trouper.TaskEnvironment("base")

    @env.task
    def make() -> File:
        return File.save("a", b"1", keep=False)

    runner = trouper.with_runcontext(name="r", run_base_dir="s3://my-bucket/base")
    [file] = runner.run(make).outputs()
    assert file.uri.startswith("s3://my-bucket/base/r/make-")
    assert file.read_bytes() == b"1"


def test_a_base_dir_that_may_not_be_written_is_refused_before_anything_runs(
    buckets: Buckets,
) -> None:
    ran: list[str] = []

    @trouper.TaskEnvironment("never").task
    def note() -> None:
        ran.append("it ran")

    with pytest.raises(StorageError, match="no such bucket"):
        trouper.with_runcontext(run_base_dir="s3://nobody-has-this").run(note)
    assert ran == []
