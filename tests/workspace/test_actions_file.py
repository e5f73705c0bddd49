"""The actions of an execution that has many stand in a file that grows while it goes on."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import trouper
from harness.rebuilding import file_of, other, told_of_run
from trouper.runtime.assets._errors import ManifestDamaged
from trouper.runtime.store._records import ActionRecord
from trouper.runtime.workspace import _actions_file
from trouper.runtime.workspace._actions_file import ActionsFile, read_actions

__all__ = ["other"]

env = trouper.TaskEnvironment("env")
MANY = 150


@env.task
async def leaf(n: int) -> int:
    return n


@env.task
async def many(then: str) -> None:
    for n in range(MANY):
        await leaf(n)
    context = trouper.ctx()
    assert context is not None
    assert context.run_context is not None
    context.run_context.workspace.store.recorder.flush()
    if then == "die":
        os._exit(3)


def records(*numbers: int, phase: str = "completed") -> Sequence[ActionRecord]:
    return [
        ActionRecord(execution=1, name=f"a-{n}", task="a", phase=phase, started=1.0)  # type: ignore[arg-type]  # one of them
        for n in numbers
    ]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[ActionsFile]:
    made = ActionsFile(tmp_path / "run", 1)
    yield made
    made.close()


def copied_to(other: trouper.Workspace, run: trouper.Run) -> trouper.Run:
    there = other.project().experiment().run(id=run.id)
    shutil.copytree(run.path, there.path)
    return there


def test_there_is_none_of_few_and_the_last_line_of_an_action_counts(
    tmp_path: Path, file: ActionsFile
) -> None:
    file.add(records(*range(100)))
    file.add(records(*range(100)))
    assert not (tmp_path / "run").exists()
    file.add(records(100, phase="running"))
    file.add(records(101, 100))
    found = read_actions(tmp_path / "run", 1)
    assert [each.name for each in found] == [f"a-{n}" for n in range(102)]
    assert {each.phase for each in found} == {"completed"}
    assert read_actions(tmp_path / "run", 2) == ()


@pytest.mark.parametrize("wrong", ["disk", "text", "bound", "closed"])
def test_what_it_does_not_take_leaves_it_as_not_whole(
    tmp_path: Path, file: ActionsFile, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.add(records(*range(101)))
    more = records(200)
    if wrong == "disk":

        def half(descriptor: int, lines: bytes) -> None:
            os.write(descriptor, lines[:9])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(_actions_file, "write_all", half)
    elif wrong == "text":
        more = [ActionRecord(execution=1, name="\udcff", started=1.0)]
    elif wrong == "bound":
        monkeypatch.setattr(_actions_file, "MOST_ACTIONS", 101)
    else:
        file.close()
    file.add(more)
    assert not file.is_whole
    monkeypatch.undo()
    file.add(records(201))
    assert len(read_actions(tmp_path / "run", 1)) == 101


def test_a_file_that_is_none_of_ours_is_told(tmp_path: Path) -> None:
    (tmp_path / "actions-1.jsonl").write_text("none\n")
    (tmp_path / "actions-2.jsonl").mkdir()
    with pytest.raises(ManifestDamaged, match=r"actions-1\.jsonl' holds a line that is no action"):
        read_actions(tmp_path, 1)
    with pytest.raises(ManifestDamaged, match=r"actions-2\.jsonl' can't be read: Is a directory"):
        read_actions(tmp_path, 2)


def test_it_moves_with_the_run_also_if_the_process_was_killed(
    tmp_path: Path, other: trouper.Workspace
) -> None:
    root = tmp_path / "ws"
    child = os.fork()
    if child == 0:
        try:
            trouper.with_runcontext(workspace=root, name="r").run(many, "die")
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    run = trouper.Workspace(root).find_run("r")
    there = copied_to(other, run)  # before anybody opens the workspace to write
    other.catalog.rebuild()
    assert len(there.actions().walk()) == 1 + MANY
    assert [each.task for each in run.actions().walk()] == [
        each.task for each in there.actions().walk()
    ]


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_end_writes_it_anew_only_where_it_is_not_whole(
    tmp_path: Path, other: trouper.Workspace, is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_whole:
        monkeypatch.setattr(ActionsFile, "is_whole", False)
    with trouper.Workspace(tmp_path / "ws") as workspace:
        run = trouper.with_runcontext(workspace=workspace, name="r").run(many, "")
        written = (run.path / "actions-1.jsonl").read_bytes().splitlines()
        # The caller was noted when the task flushed, and once more at its end.
        assert (len(written) == 1 + MANY) is not is_whole
        assert file_of(run)["executions"][0]["actions"] is None
        there = copied_to(other, run)
        other.catalog.rebuild()
        told = told_of_run(workspace.find_run("r"))
        assert told == told_of_run(there)
