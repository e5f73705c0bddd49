"""What a process that was killed could not write into a run's folder, the next one that opens the
workspace writes: what the folder tells and what the database tells is the same then."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import trio

import trouper
from harness.rebuilding import copied, file_of, finished, other, run_at, told_of_run
from trouper.errors import StoreFull
from trouper.runtime.workspace import _left_behind, _tracked
from trouper.runtime.workspace._journal import FOLDER, KEPT
from trouper.runtime.workspace._run_file import Over, tell_run

__all__ = ["other"]


@trouper.TaskEnvironment("env").task
async def dies() -> None:
    os._exit(3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ws"


def graph(calls: list[str], *, fails: bool = False) -> trouper.Workflow:
    wf = trouper.Workflow("wf")

    @wf.task
    async def first() -> int:
        calls.append("first")
        return 1

    @wf.task(depends_on=[first])
    async def second(first: int) -> int:
        calls.append("second")
        if fails:
            raise OSError("disk")
        return first + 1

    return wf


def killed_before_it_tells(root: Path, *, fails: bool) -> None:
    """Have a process end where the database knows the end of its run, and the folder does not."""
    child = os.fork()
    if child == 0:
        try:

            def die(*args: object, ended: Over | None = None, **more: object) -> None:
                if ended is not None:
                    os._exit(3)
                tell_run(*args, ended=ended, **more)  # type: ignore[arg-type]  # as they came

            pytest.MonkeyPatch().setattr(_tracked, "tell_run", die)
            workspace = trouper.Workspace(root)
            trio.run(lambda: graph([], fails=fails).execute(run=run_at(workspace)))
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def journals(root: Path) -> list[str]:
    return [each.name for each in (root / FOLDER).iterdir()]


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_was_killed_when_it_was_to_tell_the_end(
    root: Path, other: trouper.Workspace, fails: bool
) -> None:
    killed_before_it_tells(root, fails=fails)
    phase = "failed" if fails else "completed"
    with trouper.Workspace(root) as workspace:
        run = run_at(workspace)
        assert (run.phase, file_of(run)["phase"]) == (phase, "running")
        assert len(journals(root)) == 1
        assert workspace.store is not None  # opened to write
        assert (file_of(run)["phase"], journals(root)) == (phase, [])
        assert (run.path / KEPT).exists() is fails
        there = copied(run, other)
        assert other.catalog.rebuild().taken_in == ("p/e/r",)
        assert told_of_run(there) == told_of_run(run)


def test_a_process_that_was_killed_as_its_run_began(root: Path, other: trouper.Workspace) -> None:
    child = os.fork()
    if child == 0:
        try:
            trouper.with_runcontext(workspace=root, name="r", project="p").run(dies)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    with trouper.Workspace(root) as workspace:
        assert workspace.store is not None
        run = workspace.find_run("r")
        assert (run.phase, file_of(run)["phase"]) == ("failed", "running")  # nobody could tell
        assert (run.path / KEPT).exists()
        there = other.project("p").experiment("default").run(id="r")
        shutil.copytree(run.path, there.path)
        assert other.catalog.rebuild().taken_in == ("p/default/r",)
        assert there.executions()[0].error_code == "ProcessLost"
        assert told_of_run(there) == told_of_run(run)


async def test_a_moved_run_goes_on_where_it_was(root: Path, other: trouper.Workspace) -> None:
    """What it has kept to go on with lies in its folder."""
    with trouper.Workspace(root) as workspace:
        calls: list[str] = []
        run = run_at(workspace)
        assert not (await graph(calls, fails=True).execute(run=run)).ok
        assert journals(root) == []
        there = copied(run, other)
        other.catalog.rebuild()
        result = await graph(calls).execute(run=there.resume())
        assert (result.outputs, calls) == ({"first": 1, "second": 2}, ["first", "second", "second"])
        assert not (there.path / KEPT).exists()
        # And so it does where it was; begun anew, nothing of it is taken up.
        with suppress(ValueError), run.rerun():
            raise ValueError("no")
        assert (await graph(calls).execute(run=run.resume())).ok
        assert calls[3:] == ["first", "second"]


def test_what_is_to_be_told_by_somebody_else_is_left_alone(root: Path) -> None:
    with trouper.Workspace(root) as workspace:
        run = finished(workspace)
        record = run.record()
        assert record is not None
    with trouper.Workspace(root) as workspace:
        for name in (f"{record.run}.{record.execution}", "999.999"):
            (root / FOLDER / name).touch()
        (run.path / "run.json").unlink()
        assert workspace.store is not None
        # The process that has recorded it lives: it is this one.
        assert not (run.path / "run.json").exists()
        assert len(journals(root)) == 2
        finished(workspace)
        with workspace.store.connections.writing() as db:
            db.execute("UPDATE execution SET born = '0'")  # now it is dead
        (run.path / "run.json").unlink()
        workspace.catalog.rebuild()
        # It has begun anew since: who did that has told of it.
        assert not [each for each in journals(root) if each[0].isdecimal()]
        assert [each.phase for each in run.executions()] == ["completed", "completed"]


def test_an_end_that_comes_late_hides_no_later_execution(root: Path) -> None:
    with trouper.Workspace(root) as workspace:
        run = finished(workspace)
        record = run.record()
        assert record is not None
        finished(workspace)
        (run.path / "run.json").unlink()
        tell_run(workspace.store, run.key, run.path, ended=Over(record.execution, 1))
        assert not (run.path / "run.json").exists()


def test_what_can_not_be_told_now_is_told_the_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_it_tells(root, fails=True)

    def full(*_: object) -> None:
        raise StoreFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(_left_behind, "write_told", full)
        with trouper.Workspace(root) as workspace:
            assert workspace.store is not None
            assert file_of(run_at(workspace))["phase"] == "running"
    with trouper.Workspace(root) as workspace:
        assert workspace.store is not None
        assert file_of(run_at(workspace))["phase"] == "failed"
