"""Where the values of a run go, and what is proved of it before anything runs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import trouper
from trouper.io import DataFrame, Dir, File, NoStorage, StorageError
from trouper.runtime.io._location import parse_location
from trouper.runtime.io._places import Places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPER_HOME")


def env() -> trouper.TaskEnvironment:
    return trouper.TaskEnvironment("places")


def everything_below(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


@pytest.mark.parametrize("given", ["raw", "./raw/", "file://{}/raw", "{}/raw"])
def test_values_go_to_the_raw_data_path_below_the_runs_name(given: str, tmp_path: Path) -> None:
    given = given.format(tmp_path)

    @env().task
    async def root() -> File:
        context = trouper.ctx()
        assert context is not None
        assert context.raw_data_path == given  # a plain str, as it was given
        return await File.asave("a.txt", "text")

    [file] = trouper.with_runcontext(name="my-run", raw_data_path=given).run(root).outputs()
    assert file.path.parent.parent == tmp_path / "raw" / "my-run"
    assert file.path.parent.name.startswith("root-")
    assert file.uri == file.path.as_uri()
    assert file.path.read_text() == "text"


def test_the_folder_of_a_value_begins_with_its_action(tmp_path: Path) -> None:
    tasks = env()

    @tasks.task
    def inner() -> File:
        return File.save("a", b"")

    @tasks.task
    async def root() -> list[File]:
        return [await inner.aio(), await inner.aio()]

    [files] = trouper.with_runcontext(raw_data_path="raw").run(root).outputs()
    labels = [file.path.parent.name.rpartition("-")[0] for file in files]
    assert labels == ["root.inner-1", "root.inner-2"]


def test_a_task_that_changes_the_working_directory_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()

    @env().task
    async def root() -> File:
        monkeypatch.chdir(tmp_path / "elsewhere")
        return await File.asave("a", b"")

    [file] = trouper.with_runcontext(raw_data_path="raw").run(root).outputs()
    assert tmp_path / "raw" in file.path.parents


def test_without_one_values_go_into_the_workspace(tmp_path: Path) -> None:
    @env().task
    async def root() -> File:
        context = trouper.ctx()
        assert context is not None
        assert context.raw_data_path == str(tmp_path / ".trouper" / "raw")
        return await File.asave("a.txt", "text")

    run = trouper.with_runcontext(name="r").run(root)
    [file] = run.outputs()
    assert file.path.parent.parent == tmp_path / ".trouper" / "raw" / "r"


def test_without_a_workspace_nothing_is_written_and_the_error_names_the_way() -> None:
    @env().task
    async def root() -> str:
        context = trouper.ctx()
        assert context is not None
        with pytest.raises(NoStorage, match=r"give with_runcontext\(raw_data_path=\.\.\.\) one"):
            await File.asave("a", b"")
        return context.raw_data_path

    assert trouper.with_runcontext(workspace=False).run(root).outputs() == ("",)
    assert everything_below(Path.cwd()) == []


def test_outside_of_a_run_the_error_names_the_way() -> None:
    with pytest.raises(NoStorage, match=r"outside of any run.*File\.existing\(path\)"):
        File.save("a", b"")
    with pytest.raises(NoStorage, match=r"Dir\.save\('a'\) was called outside"):
        Dir.save("a", ".")


async def test_tasks_of_a_graph_have_the_places_of_their_run_context(tmp_path: Path) -> None:
    workflow = trouper.Workflow("graph")

    @workflow.task
    def make() -> File:
        return File.save("a.txt", "text", keep=False)

    @workflow.task(depends_on=[make])
    async def read(file: File) -> str:
        return await file.aread_text()

    context = trouper.RunContext(run_name="g", run_base_dir=str(tmp_path / "base"))
    result = await workflow.execute(run_context=context)
    assert result.outputs["read"] == "text"
    assert (tmp_path / "base" / "g") in result.outputs["make"].path.parents
    bare = await workflow.execute()
    assert "this run has no run_base_dir" in str(bare.error)


def test_what_is_only_passed_between_tasks_goes_with_the_run(tmp_path: Path) -> None:
    """F41: no run leaves a temporary folder behind."""
    seen: list[Path] = []
    tasks = env()

    @tasks.task
    def make() -> tuple[File, Dir]:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x").write_text("y")
        return File.save("a", b"1", keep=False), Dir.save("d", tmp_path / "in", keep=False)

    @tasks.task
    async def root() -> bytes:
        file, folder = await make.aio()
        seen.append(file.path)
        context = trouper.ctx()
        assert context is not None
        base = Path(context.run_base_dir)
        assert base in file.path.parents
        assert base in folder.path.parents
        assert folder.file("x").read_text() == "y"
        return await file.aread_bytes()

    for workspace in (None, False):
        assert trouper.with_runcontext(workspace=workspace).run(root).outputs() == (b"1",)
        assert not seen[-1].parent.parent.exists()
        (tmp_path / "in" / "x").unlink()
        (tmp_path / "in").rmdir()


def test_a_base_dir_that_was_given_stays(tmp_path: Path) -> None:
    @env().task
    def root() -> File:
        return File.save("a", b"1", keep=False)

    [file] = trouper.with_runcontext(name="r", run_base_dir="base").run(root).outputs()
    assert file.read_bytes() == b"1"
    assert file.path.parent.parent == tmp_path / "base" / "r"


@pytest.mark.parametrize("given", ["blocked/base", "blocked", "/proc/nobody/base"])
def test_a_base_dir_that_may_not_be_written_is_refused_before_anything_runs(
    given: str, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file, no folder")
    ran: list[str] = []

    @env().task
    def root() -> None:
        ran.append("it ran")

    with pytest.raises(StorageError, match="can't be written") as caught:
        trouper.with_runcontext(run_base_dir=given).run(root)
    assert given.rpartition("/")[0] in str(caught.value)
    assert ran == []


def test_nothing_is_on_disk_until_it_is_needed(tmp_path: Path) -> None:
    @env().task
    def root() -> int:
        return 1

    trouper.with_runcontext(raw_data_path="raw", workspace=False).run(root)
    assert everything_below(tmp_path) == []


def test_a_place_on_another_machine_needs_no_copy_without_a_run() -> None:
    far = Places("r", None, parse_location("s3://my-bucket/base", "it"))
    with pytest.raises(NoStorage, match=r"say where: download\(to=\.\.\.\)"):
        far.local_folder()
    near = Places("r", None, parse_location("base", "it"))
    assert near.local_folder().parent == Path("base/r").absolute()


# -- in records ----------------------------------------------------------------------------------


def test_another_process_reads_addresses_from_the_record(tmp_path: Path) -> None:
    """The record of a run holds references, and gives back what they were."""

    @env().task
    def root() -> tuple[File, Dir, list[File]]:
        file = File.save("a.txt", "text")
        with Dir.create("d") as out:
            (out.path / "x").write_text("y")
        assert out.dir is not None
        return file, out.dir, [file]

    outputs = trouper.with_runcontext(name="r").run(root).outputs()
    code = (
        "import trouper; run = trouper.Workspace('.trouper').project('default')"
        ".experiment('default').run(id='r'); "
        "file, folder, [again] = run.outputs(); "
        "print(file.read_text(), folder.file('x').read_text(), again == file, file.uri)"
    )
    python = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert python.stdout.split() == ["text", "y", "True", outputs[0].uri]


def test_a_cached_file_is_taken_again_unless_it_is_gone(tmp_path: Path) -> None:
    made: list[int] = []
    tasks = env()

    @tasks.task(cache="auto")
    def make(n: int) -> File:
        made.append(n)
        return File.save("a", bytes([n]))

    @tasks.task(cache="auto")
    def size(file: File) -> int:
        made.append(-1)
        return file.size

    @tasks.task
    async def root() -> tuple[File, int]:
        file = await make.aio(3)
        return file, await size.aio(file)

    runner = trouper.with_runcontext()
    first, _ = runner.run(root).outputs()
    again, _ = runner.run(root).outputs()
    assert again == first
    assert made == [3, -1]
    first.path.unlink()
    new, _ = runner.run(root).outputs()
    assert new.read_bytes() == b"\3"
    assert new.path != first.path
    assert made == [3, -1, 3]  # what is in it is the same, so what was made of it is, too


def test_a_run_that_is_recovered_does_again_what_gave_a_file_that_is_gone(tmp_path: Path) -> None:
    made: list[str] = []
    tasks = env()

    @tasks.task
    def make(name: str) -> File:
        made.append(name)
        return File.save(name, "text", keep=name == "kept")

    @tasks.task
    async def root() -> str:
        kept, passed = await make.aio("kept"), await make.aio("passed")
        if len(made) == 2:
            raise LookupError("fails the first time")
        return kept.read_text() + passed.read_text()

    runner = trouper.with_runcontext(name="r")
    with pytest.raises(trouper.errors.RuntimeUserError, match="fails the first time"):
        runner.run(root)
    run = trouper.recover("r", root)
    assert run.outputs() == ("texttext",)
    assert made == ["kept", "passed", "passed"]


def test_references_are_looked_for_where_values_are() -> None:
    from trouper.runtime.io._references import gone_in, revived

    gone = File(uri="file:///nowhere/at/all", size=1)
    far = File(uri="s3://my-bucket/x", size=1)
    frame = DataFrame(uri="file:///nowhere/f.parquet", size=1, rows=1, columns=("n",))
    assert gone_in(far) is None
    assert gone_in({"a": [1, (far, frame)]}) is frame
    assert gone_in([gone]) is gone
    deep: Any = gone
    for _ in range(9):
        deep = [deep]
    assert gone_in(deep) is None
    assert revived({"type": "trouper.File", "uri": "s3://my-bucket/x", "size": 1}) == far
    other = {"type": "trouper.File", "uri": 3}
    assert revived(other) is other
    assert revived({"type": "x"}) == {"type": "x"}
    assert os.fspath(gone.path) == "/nowhere/at/all"
