"""`trouper.io.Dir` on this machine: folders by reference."""

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.storing import below, in_a_run, in_an_async_run
from trouper.io import Dir, DirWriter, NoStorage, StorageError


def make_tree(folder: Path) -> Path:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "er" / "b.txt").write_text("bb")
    (folder / "empty").mkdir()
    return folder


def contents(folder: Dir) -> dict[str, str]:
    return {inner: file.read_text() for inner, file in folder.files()}


TREE = {"a.txt": "a", "deep/er/b.txt": "bb"}


async def test_the_ways_to_make_one(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "in")

    async def body() -> list[Dir]:
        with Dir.create("d") as out:
            assert out.dir is None
            make_tree(out.path)
        async with Dir.acreate("d") as aout:
            make_tree(aout.path)
        made = [out.dir, aout.dir, Dir.save("d", source), await Dir.asave("d", str(source))]
        return [each for each in made if each is not None]

    made = await in_an_async_run(tmp_path / "raw", body)
    assert [contents(each) for each in made] == [TREE] * 4
    assert {(each.name, each.size, each.count) for each in made} == {("d", 3, 2)}
    assert len({each.content_hash for each in made}) == 1
    assert len({each.__cache_key__() for each in made}) == 1
    assert len({each.uri for each in made}) == 4
    assert all(each.path.parent.parent == tmp_path / "raw" / "r" for each in made)
    for each in made:
        modes = {stat.S_IMODE(inner.stat().st_mode) for inner in each.path.rglob("*.txt")}
        assert modes == {0o600}
        assert stat.S_IMODE((each.path / "deep").stat().st_mode) == 0o700
    existing = await Dir.aexisting(source)
    assert contents(existing) == TREE
    assert (existing.size, existing.count, existing.content_hash) == (3, 2, "")


async def test_the_ways_to_read_one(tmp_path: Path) -> None:
    folder = Dir.existing(make_tree(tmp_path / "in"))
    assert folder.path == tmp_path / "in"
    assert folder.exists()
    assert await folder.aexists()
    assert [inner async for inner, _ in folder.afiles()] == list(TREE)
    assert folder.file("deep/er/b.txt").read_text() == "bb"
    assert (await folder.afile(PurePosixPath("a.txt"))).read_text() == "a"
    for path in ("../a.txt", "deep//er", "/etc/passwd", "."):
        with pytest.raises(ValueError, match="can't be called"):
            folder.file(path)
    with pytest.raises(FileNotFoundError, match=r"nothing at .*deep/b"):
        folder.file("deep/b")
    assert folder.download() == folder.path
    assert await folder.adownload() == folder.path
    copy = folder.download(tmp_path / "copies" / "one")
    assert contents(Dir.existing(copy)) == TREE
    acopy = await folder.adownload(tmp_path / "two")
    assert contents(Dir.existing(acopy)) == TREE
    with pytest.raises(StorageError, match="two' is there already; choose another `to`"):
        folder.download(tmp_path / "two")
    gone = Dir(uri=(tmp_path / "gone").as_uri(), size=0, count=0)
    assert not gone.exists()
    with pytest.raises(FileNotFoundError, match=r"nothing at .*gone"):
        list(gone.files())
    with pytest.raises(FileNotFoundError, match=r"nothing at .*gone"):
        gone.download(tmp_path / "three")
    assert not (tmp_path / "three").exists()
    assert not [name for name in below(tmp_path) if ".part" in name]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        FileNotFoundError, match=r"file' is no folder; Dir\.save\(\) takes a folder"
    ):
        in_a_run(tmp_path / "raw", lambda: Dir.save("d", tmp_path / "file"))
    with pytest.raises(FileNotFoundError, match="gone' is not there"):
        in_a_run(tmp_path / "raw", lambda: Dir.save("d", tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"is a file; of that make a trouper\.io\.File"):
        Dir.existing(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match=r"nothing at"):
        Dir.existing(tmp_path / "gone")
    assert below(tmp_path / "raw") == []


@pytest.mark.parametrize("strange", ["link to a folder", "broken link", "pipe", "name"])
async def test_a_folder_with_something_strange_is_refused_and_nothing_is_left(
    strange: str, tmp_path: Path
) -> None:
    source = make_tree(tmp_path / "in")
    path = source / "z"
    match = "neither a file nor a folder, or is a link to a folder"
    if strange == "link to a folder":
        path.symlink_to(tmp_path)
    elif strange == "broken link":
        path.symlink_to(tmp_path / "nowhere")
    elif strange == "pipe":
        os.mkfifo(path)
    else:
        match = "leave the control characters out"
        (source / "z\n").write_text("z")

    async def body() -> None:
        with pytest.raises((StorageError, ValueError), match=match):
            Dir.save("d", source)
        with pytest.raises((StorageError, ValueError), match=match):
            await Dir.asave("d", source)
        if strange == "name":
            with pytest.raises(ValueError, match=match), Dir.create("d") as out:
                (out.path / "z\n").write_text("z")

    await in_an_async_run(tmp_path / "raw", body)
    assert [name for name in below(tmp_path / "raw") if name != "r"] == []


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "in")
    (source / "link").symlink_to(source / "a.txt")
    saved = in_a_run(tmp_path / "raw", lambda: Dir.save("d", source))
    assert contents(saved) == {**TREE, "link": "a"}
    assert not (saved.path / "link").is_symlink()


async def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    kept: list[DirWriter] = []

    def visible() -> list[str]:
        names = below(tmp_path / "raw")
        return [name for name in names if ".part" not in name and name != "r"]

    async def body() -> None:
        with pytest.raises(LookupError), Dir.create("d") as out:
            make_tree(out.path)
            seen.append(visible())
            raise LookupError
        with trio.CancelScope() as scope:
            async with Dir.acreate("d") as aout:
                kept.append(aout)
                make_tree(aout.path)
                seen.append(visible())
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert (out.dir, kept[0].dir) == (None, None)
        with trio.CancelScope() as scope:
            scope.cancel()
            await Dir.asave("d", make_tree(tmp_path / "in"))
        assert scope.cancelled_caught

    await in_an_async_run(tmp_path / "raw", body)
    assert seen == [[], []]
    assert [name for name in below(tmp_path / "raw") if name != "r"] == []


def test_outside_of_a_run_a_copy_needs_a_place() -> None:
    folder = Dir(uri="s3://my-bucket/d", size=1, count=1)
    with pytest.raises(NoStorage, match=r"Dir\.download\(\) without `to` was called outside"):
        folder.download()


PARTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


@settings(max_examples=40)
@given(
    st.dictionaries(st.lists(PARTS, min_size=1, max_size=3).map("/".join), st.binary(max_size=9))
)
def test_any_tree_that_is_taken_comes_back(tree: dict[str, bytes]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        source, raw = Path(name, "in"), Path(name, "raw")
        source.mkdir()
        for inner, data in tree.items():
            try:
                (source / inner).parent.mkdir(parents=True, exist_ok=True)
                (source / inner).write_bytes(data)
            except (OSError, ValueError):  # a file where a folder is, or no name at all
                return
        if any(not each.resolve().is_relative_to(source.resolve()) for each in source.rglob("*")):
            return
        written = {
            p.relative_to(source).as_posix(): p.read_bytes()
            for p in source.rglob("*")
            if p.is_file()
        }
        try:
            saved = in_a_run(raw, lambda: Dir.save("d", source))
        except ValueError:
            assert [each for each in below(raw) if each != "r"] == []
            return
        assert {inner: file.read_bytes() for inner, file in saved.files()} == written
        assert msgspec.json.decode(msgspec.json.encode(saved), type=Dir) == saved


def test_no_folder_has_an_address_of_another_form() -> None:
    with pytest.raises(ValueError, match="a Dir has an address as 'file:///a'"):
        Dir(uri="/a", size=1, count=1)


def test_arguments_are_checked() -> None:
    env = trouper.TaskEnvironment("checks")

    @env.task
    async def take(folder: Dir) -> None: ...

    @env.task
    async def root() -> None:
        wrong: Any = "folder"
        with pytest.raises(
            TypeError, match="argument folder of task 'take' takes Dir, not 'folder'"
        ):
            await take(wrong)
        await take(Dir(uri="file:///a", size=1, count=1))

    trouper.run(root)
