"""`trouper.io.File` on this machine: made of what bytes come from, read in every way."""

import csv
import io
import os
import pickle
import stat
from array import array
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.storing import below, in_a_run, in_an_async_run
from trouper.io import AsyncFileWriter, File, StorageError, ValueTooLarge

TEXT = "first\nsecond\n"
CONTENT = TEXT.encode()


def sources(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "source.txt"
    path.write_bytes(CONTENT)
    return {
        "bytes": CONTENT,
        "bytearray": bytearray(CONTENT),
        "memoryview": memoryview(CONTENT),
        "a view of larger items": memoryview(array("B", CONTENT)),
        "str": TEXT,
        "path": path,
        "open file": io.BytesIO(CONTENT),
        "list of bytes": [CONTENT[:3], b"", bytearray(CONTENT[3:])],
        "generator": (CONTENT[at : at + 2] for at in range(0, len(CONTENT), 2)),
        "another file's chunks": iter([CONTENT]),
    }


async def test_what_a_file_is_made_of(tmp_path: Path) -> None:
    def save() -> list[File]:
        return [File.save("a.txt", data) for data in sources(tmp_path).values()]

    async def asave() -> list[File]:
        return [await File.asave("a.txt", data) for data in sources(tmp_path).values()]

    files = in_a_thread = await trio.to_thread.run_sync(in_a_run, tmp_path / "raw", save)
    files = [*in_a_thread, *await in_an_async_run(tmp_path / "raw", asave)]
    assert [file.read_text() for file in files] == [TEXT] * 20
    assert {file.size for file in files} == {len(CONTENT)}
    assert {file.content_hash for file in files} == {f"sha256:{sha256(CONTENT).hexdigest()}"}
    assert len({file.uri for file in files}) == 20  # none overwrites another
    assert {(file.name, file.mime) for file in files} == {("a.txt", "text/plain")}


async def test_an_async_iterable_is_taken_as_it_comes(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield CONTENT[:5]
        await trio.lowlevel.checkpoint()
        yield CONTENT[5:]

    async def body() -> File:
        return await File.asave("a", parts())

    file = await in_an_async_run(tmp_path, body)
    assert await file.aread_bytes() == CONTENT


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (3, "can't be saved from int; give bytes, a str, a Path"),
        ({"a": 1}, "can't be saved from dict"),
        (["text"], "a part of it is 'text', no bytes"),
        (io.StringIO("text"), "a part of it is 'text', no bytes"),
        (None, "can't be saved from NoneType"),
    ],
)
def test_what_no_file_is_made_of(data: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=problem):
        in_a_run(tmp_path / "raw", lambda: File.save("a", data))
    assert below(tmp_path / "raw") in ([], ["r"])


async def test_an_async_source_of_something_else_is_refused(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[Any]:
        yield b"1"
        yield 2

    async def body() -> None:
        with pytest.raises(TypeError, match="a part of it is 2, no bytes"):
            await File.asave("a", parts())

    await in_an_async_run(tmp_path / "raw", body)
    assert below(tmp_path / "raw") == ["r"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"is a folder; use trouper\.io\.Dir"):
        in_a_run(tmp_path / "raw", lambda: File.save("a", tmp_path))
    with pytest.raises(StorageError, match=r"is no file; of a folder make a trouper\.io\.Dir"):
        File.existing(tmp_path)


# -- bit by bit ----------------------------------------------------------------------------------


def test_a_block_writes_a_file_bit_by_bit(tmp_path: Path) -> None:
    def body() -> File:
        with File.create("table.csv") as out:
            text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
            csv.writer(text).writerows([(1, "a"), (2, "b")])
            text.detach()
            assert (out.tell(), out.write(array("H", [1, 2]))) == (10, 4)
        assert out.file is not None
        with pytest.raises(ValueError, match=r"'table\.csv' is closed; write inside of the block"):
            out.write(b"more")
        return out.file

    file = in_a_run(tmp_path, body)
    assert file.read_bytes() == b"1,a\r\n2,b\r\n" + bytes(array("H", [1, 2]))
    assert file.mime == "text/csv"


async def test_an_async_block_does_the_same(tmp_path: Path) -> None:
    async def body() -> File:
        async with File.acreate("a.bin", mime="x/y") as out:
            assert await out.write(b"12") == 2
            assert await out.write(memoryview(array("H", [1]))) == 2
            with pytest.raises(TypeError, match="a part of it is 'x', no bytes"):
                await out.write("x")  # type: ignore[arg-type]  # that is what is tested
        assert out.file is not None
        return out.file

    file = await in_an_async_run(tmp_path, body)
    assert file.read_bytes() == b"12" + bytes(array("H", [1]))
    assert file.mime == "x/y"


async def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Not while it is written, not if its source breaks, not if its block is cancelled."""
    seen: list[list[str]] = []
    kept: list[AsyncFileWriter] = []

    def names() -> list[str]:
        return [name for name in below(tmp_path / "raw") if not name.endswith(".part")]

    def broken() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        seen.append(names())
        raise LookupError("the source is broken")

    async def body() -> None:
        with pytest.raises(LookupError):
            File.save("a", broken())
        with pytest.raises(LookupError):
            await File.asave("a", broken())
        with pytest.raises(LookupError), File.create("a") as out:
            out.write(b"1")
            seen.append(names())
            raise LookupError
        with trio.CancelScope() as scope:
            async with File.acreate("a") as aout:
                kept.append(aout)
                await aout.write(b"1")
                seen.append(names())
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert (out.file, kept[0].file) == (None, None)

    await in_an_async_run(tmp_path / "raw", body)
    assert seen == [[]] * 4
    assert below(tmp_path / "raw") == ["r"]  # nothing of them is left, hidden or not


def test_a_disk_that_is_full_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    def body() -> None:
        monkeypatch.setattr("trouper.runtime.io._local.os.write", full)
        try:
            with pytest.raises(StorageError, match=r"can't be written: No space left.*with room"):
                File.save("a", b"1")
        finally:
            monkeypatch.undo()

    in_a_run(tmp_path / "raw", body)
    assert below(tmp_path / "raw") == ["r"]


def test_a_file_whose_name_can_not_be_given_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Any, target: Any) -> None:
        raise OSError(5, "Input/output error")

    def body() -> None:
        monkeypatch.setattr("trouper.runtime.io._local.os.replace", refuse)
        try:
            with pytest.raises(StorageError, match="can't be written: Input/output error"):
                File.save("a", b"1")
        finally:
            monkeypatch.undo()

    in_a_run(tmp_path / "raw", body)
    assert below(tmp_path / "raw") == ["r"]


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(StorageError, match=r"/raw/r/.* can't be written: Not a directory"):
        in_a_run(tmp_path / "raw", lambda: File.save("a", b"1"))


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    file = in_a_run(tmp_path / "deep" / "raw", lambda: File.save("a", b"1"))
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (file.path, *file.path.parents[:3])]
    assert [oct(mode) for mode in modes] == ["0o600", "0o700", "0o700", "0o700"]


# -- reading -------------------------------------------------------------------------------------


async def test_the_ways_to_read_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a b.txt"
    path.write_bytes(CONTENT)
    file = await File.aexisting(path)
    assert (file.path, file.uri) == (path, path.as_uri())
    assert await File.aexisting(file.uri) == file
    with file.open() as source:
        assert (source.read(5), source.seek(-2, os.SEEK_END), source.read()) == (
            b"first",
            11,
            b"d\n",
        )
    with file.open_text() as lines:
        assert list(lines) == ["first\n", "second\n"]
    assert list(file.chunks(8)) == [CONTENT[:8], CONTENT[8:]]
    assert [chunk async for chunk in file.achunks(8)] == [CONTENT[:8], CONTENT[8:]]
    async with file.aopen() as asource:
        assert await asource.readline() == b"first\n"
        assert asource.tell() == 6
        assert await asource.read() == b"second\n"
        assert await asource.seek(0) == 0
        assert [line async for line in asource] == [b"first\n", b"second\n"]
    assert file.read_bytes() == await file.aread_bytes() == CONTENT
    assert file.read_text() == await file.aread_text() == TEXT
    assert file.exists()
    assert await file.aexists()
    path.unlink()
    assert not file.exists()
    assert not await file.aexists()
    with pytest.raises(FileNotFoundError, match=r"there is nothing at .*a b\.txt"):
        file.open()
    with pytest.raises(FileNotFoundError, match=r"there is nothing at .*a b\.txt"):
        File.existing(path)


def test_what_is_too_large_is_not_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    file = File.existing(path)
    assert file.read_bytes(most=5) == b"12345"
    for most in (4, 0):
        with pytest.raises(ValueTooLarge, match=rf"more than {most} bytes; read it with open\(\)"):
            file.read_bytes(most=most)
    path.write_bytes(b"123456")  # it has grown since
    with pytest.raises(ValueTooLarge):
        file.read_bytes(most=5)


def test_a_file_that_can_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="can't be read: Not a directory"):
        File.existing(tmp_path / "file" / "a")


async def test_a_download_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(CONTENT)
    file = File.existing(path)
    assert file.download() == path  # it is here
    copy = file.download(tmp_path / "copies" / "b.txt")
    assert copy == tmp_path / "copies" / "b.txt"
    assert copy.read_bytes() == CONTENT
    path.write_bytes(b"new")
    assert await file.adownload(copy) == copy  # over what is there, at once
    assert copy.read_bytes() == b"new"
    assert below(tmp_path) == ["a.txt", "copies/b.txt"]


# -- as a value ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=12), st.binary(max_size=300))
def test_any_name_that_is_taken_comes_back(name: str, data: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            file = in_a_run(folder, lambda: File.save(name, data))
        except ValueError:
            return
        assert (file.name, file.read_bytes()) == (name, data)
        assert Path(folder) / "r" == file.path.parent.parent
        assert msgspec.json.decode(msgspec.json.encode(file), type=File) == file


def test_it_encodes_as_its_address() -> None:
    file = File(uri="s3://my-bucket/a", size=3, content_hash="sha256:0")
    plain = msgspec.to_builtins(file)
    assert plain == {
        "type": "trouper.File",
        "uri": "s3://my-bucket/a",
        "size": 3,
        "content_hash": "sha256:0",
        "version": "",
        "mime": "application/octet-stream",
    }
    assert msgspec.convert(plain, File | trouper.io.Dir) == file  # the tag tells which
    assert {file: 1}[msgspec.convert(plain, File)] == 1
    assert pickle.loads(pickle.dumps(file)) == file


@pytest.mark.parametrize("uri", ["/a", "file:///a/../b", "s3:/x", "http://host/a", ""])
def test_no_file_has_an_address_of_another_form(uri: str) -> None:
    with pytest.raises(ValueError, match="a File"):
        File(uri=uri, size=1)


def test_arguments_and_results_are_checked(tmp_path: Path) -> None:
    env = trouper.TaskEnvironment("checks")
    wrong: Any = {"a str": "a.txt", "a folder": trouper.io.Dir(uri="file:///a", size=1, count=1)}
    forged: Any = File(uri="file:///a", size="large")  # type: ignore[arg-type]  # the point

    @env.task
    async def take(file: File) -> File | None:
        return None if file.size else wrong["a str"]

    @env.task
    async def root() -> str:
        right = File(uri="file:///a", size=1)
        assert await take(right) is None
        for each in (*wrong.values(), forged):
            with pytest.raises(TypeError, match="argument file of task 'take' takes File, not "):
                await take(each)
        with pytest.raises(trouper.errors.RuntimeUserError, match="task 'take' returns"):
            await take(File(uri="file:///a", size=0))
        return "checked"

    assert trouper.run(root).outputs() == ("checked",)


def test_what_is_in_it_is_its_key_in_a_cache_if_that_is_known() -> None:
    here = File(uri="file:///x/a", size=1, content_hash="sha256:0")
    there = File(uri="s3://my-bucket/a", size=1, content_hash="sha256:0")
    assert here.__cache_key__() == there.__cache_key__()
    other = [
        File(uri="file:///x/b", size=1, content_hash="sha256:0"),
        File(uri="file:///x/a", size=1, content_hash="sha256:1"),
        File(uri="file:///x/a", size=1),
        File(uri="file:///x/a", size=1, version="2"),
    ]
    assert len({file.__cache_key__() for file in (here, *other)}) == 5
