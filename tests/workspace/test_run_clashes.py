"""Folders of runs that clash or can't be read: neither is lost, and no other goes with them."""

import os
import shutil

import pytest

import trouper
from harness.rebuilding import (
    copied,
    file_of,
    finished,
    lose_database,
    other,
    run_at,
    told_of_run,
    workspace,
)
from trouper.errors import NotTheSame

__all__ = ["other", "workspace"]

MOVED = "moved"


# -- clashes --------------------------------------------------------------------------------------


def test_another_run_of_the_same_name_is_refused_and_neither_is_lost(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    mine, theirs = finished(workspace, mine=1), finished(other, theirs=1)
    told = told_of_run(theirs)
    os.rename(theirs.path, theirs.path.with_name("aside"))
    there = copied(mine, other)
    finished(workspace, "fine")
    copied(run_at(workspace, "fine"), other, "fine")
    with pytest.raises(NotTheSame, match=r"r' was left out: there is another run 'p/e/r'"):
        other.catalog.rebuild()
    assert run_at(other, "fine").phase == "completed"  # all others are taken in
    assert (there.results, run_at(other, "aside").results) == ({"theirs": 1}, {"theirs": 1})
    os.rename(there.path, there.path.with_name(MOVED))
    os.rename(there.path.with_name("aside"), theirs.path)
    rebuilt = other.catalog.rebuild()
    assert (rebuilt.taken_in, rebuilt.forgotten) == ((f"p/e/{MOVED}",), ("p/e/aside",))
    assert run_at(other, MOVED).results == {"mine": 1}
    record = run_at(other, MOVED).record()
    assert record is not None
    assert record.annotations == {"moved_from": "p/e/r"}
    assert told_of_run(theirs) == told


def test_a_run_that_went_on_elsewhere_is_taken_in_as_far_as_it_came(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    run = finished(workspace, n=1)
    there = copied(run, other)
    other.catalog.rebuild()
    finished(other, n=2)
    shutil.rmtree(run.path)
    shutil.copytree(there.path, run.path)
    assert workspace.catalog.rebuild().taken_in == ("p/e/r",)
    assert told_of_run(run) == told_of_run(there)
    # Both went on: that is no longer one run.
    finished(workspace, n=3)
    finished(other, n=4)
    shutil.rmtree(run.path)
    shutil.copytree(there.path, run.path)
    with pytest.raises(NotTheSame):
        workspace.catalog.rebuild()
    assert run.results == {"n": 3}


def test_nothing_is_begun_over_a_run_that_is_not_known(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    there = copied(finished(workspace, n=1), other)
    with pytest.raises(NotTheSame, match=r"`trouper ws rebuild`.* takes it in"):
        there.start().begin()
    assert there.phase == "pending"
    other.catalog.rebuild()
    assert [each.phase for each in finished(other).executions()] == ["completed"] * 2


def test_a_run_that_is_taken_in_does_not_take_up_what_another_one_kept(
    workspace: trouper.Workspace,
) -> None:
    """Journals are known by the numbers of rows, and these begin anew."""
    old, journals = finished(workspace, "old"), workspace.path / "journals"
    before = old.record()
    assert before is not None
    finished(workspace, "new")
    shutil.rmtree(old.path)
    lose_database(workspace)
    (journals / f"{before.run}.{before.execution}").touch()  # as of a process that was killed
    workspace.catalog.rebuild()
    record = run_at(workspace, "new").record()
    assert record is not None
    assert not (journals / f"{record.run}.{record.execution}").exists()
    assert [each.phase for each in finished(workspace, "new").executions()] == ["completed"] * 2


# -- what can't be taken in -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("run.json", "no json", "is no record of a run"),
        ("run.json", '{"trouper": "assets", "version": 1}', "is no record of a run"),
        ("run.json", '{"trouper": "run", "version": 1}', "is no record of a run"),
        ("run.json", '{"trouper": "run", "version": 9}', "has version 9, and this trouper knows 1"),
        ("results.jsonl", "[]\n", "holds a line that is no result"),
        ("results.jsonl", '{"key": "a", "value": null, "at": 1.0}\n', "a result is null"),
    ],
)
def test_a_damaged_record_is_named_and_takes_no_other_with_it(
    workspace: trouper.Workspace, name: str, text: str, told: str
) -> None:
    run = finished(workspace)
    finished(workspace, "fine")
    lose_database(workspace)
    (run.path / name).write_text(text)
    with pytest.raises(trouper.ManifestDamaged, match=told):
        workspace.catalog.rebuild()
    assert [each.name for each in workspace.runs()] == ["fine"]
    assert (run.path / name).read_text() == text


def test_folders_that_no_run_can_have_are_named(workspace: trouper.Workspace) -> None:
    run = finished(workspace)
    shutil.copytree(run.path, run.path.with_name("no run"))
    shutil.copytree(run.path.parents[1], run.path.parents[1].with_name("what?"))
    with pytest.raises(NotTheSame, match=r"no run' can't be taken in.*'what%3F'; rename it"):
        workspace.catalog.rebuild()
    assert [each.name for each in workspace.runs()] == ["r"]


def test_damaged_actions_keep_a_run_out(
    workspace: trouper.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = trouper.TaskEnvironment("env")

    @env.task
    async def leaf(n: int) -> int:
        return n

    @env.task
    async def root() -> None:
        for number in range(101):
            await leaf(number)

    run = trouper.with_runcontext(workspace=workspace).run(root)
    actions = run.path / "actions-1.jsonl"
    assert len(actions.read_bytes().splitlines()) == 102
    lose_database(workspace)
    whole = actions.read_bytes()
    actions.write_bytes(whole + b"[]\n")
    with pytest.raises(trouper.ManifestDamaged, match="holds a line that is no action"):
        workspace.catalog.rebuild()
    assert workspace.runs() == []
    actions.write_bytes(whole)
    workspace.catalog.rebuild()
    (found,) = workspace.runs()
    assert len(found.actions().children) == 101


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    copied(finished(workspace, n=1), other)
    gone = finished(other, "gone")
    shutil.rmtree(gone.path)
    rebuilt = other.catalog.rebuild(dry_run=True)
    assert (rebuilt.taken_in, rebuilt.forgotten) == (("p/e/r",), ("p/e/gone",))
    assert (run_at(other).phase, gone.phase) == ("pending", "completed")
    assert other.catalog.rebuild() == rebuilt
    assert (run_at(other).phase, gone.phase) == ("completed", "pending")


def test_a_record_that_is_missing_in_its_folder_is_written_again(
    workspace: trouper.Workspace,
) -> None:
    run = finished(workspace, n=1)
    told = file_of(run)
    (run.path / "run.json").unlink()
    assert workspace.catalog.rebuild(dry_run=True).forgotten == ()
    assert not (run.path / "run.json").exists()
    assert workspace.catalog.rebuild().forgotten == ()
    assert file_of(run) == told


def test_what_goes_on_is_not_forgotten(workspace: trouper.Workspace) -> None:
    run = run_at(workspace)
    with run.start():
        shutil.rmtree(run.path)
        assert workspace.catalog.rebuild().forgotten == ()
    assert run.phase == "completed"
