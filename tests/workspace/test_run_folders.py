"""A run's folder holds all that is recorded of it: it can be moved, and nothing is lost by it."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.rebuilding import lose_database, told_of_run
from trouper.errors import NotTheSame, StoreFull
from trouper.runtime.workspace import _run_file

MOVED = "moved"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[trouper.Workspace]:
    with trouper.Workspace(tmp_path / "ws") as place:
        yield place


@pytest.fixture
def other(tmp_path: Path) -> Iterator[trouper.Workspace]:
    with trouper.Workspace(tmp_path / "other") as place:
        yield place


def run_at(workspace: trouper.Workspace, name: str = "r") -> trouper.Run:
    return workspace.project("p").experiment("e").run(id=name)


def finished(workspace: trouper.Workspace, name: str = "r", **results: Any) -> trouper.Run:
    run = run_at(workspace, name)
    with run.start() if run.phase == "pending" else run.rerun() as run_context:
        run_context.results.update(results)
    return run


def copied(run: trouper.Run, to: trouper.Workspace, name: str = "r") -> trouper.Run:
    there = run_at(to, name)
    shutil.copytree(run.path, there.path, dirs_exist_ok=True)
    return there


def flush() -> None:
    """Do what the thread of the recorder does a moment after a run has begun."""
    context = trouper.ctx()
    assert context is not None
    assert context.run_context is not None
    assert context.run_context.workspace is not None
    context.run_context.workspace.store.recorder.flush()


def file_of(run: trouper.Run) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((run.path / "run.json").read_bytes())
    return told


# -- what the files tell --------------------------------------------------------------------------


def test_results_are_in_the_folder_while_the_run_goes_on(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    """F10: and what JSON does not know comes back as it was."""
    run = run_at(workspace)
    with run.start() as run_context:
        run_context.results["bytes"] = b"\xff"
        run_context.results["number"] = 1
        run_context.results["number"] = 2
        assert file_of(run)["phase"] == "running"
        there = copied(run, other)
        with (there.path / "results.jsonl").open("ab") as file:
            file.write(b'{"key": "half')  # as if its process had been killed
        assert other.catalog.rebuild().taken_in == ("p/e/r",)
        assert there.phase == "running"  # for its process lives
        assert there.results == {"bytes": b"\xff", "number": 2}
        run_context.results["number"] = 3
        copied(run, other)
        assert other.catalog.rebuild().taken_in == ()  # nor is a live run touched
    assert not (run.path / "results.jsonl").exists()
    assert file_of(run)["results"] == {
        "bytes": {"trouper": "msgpack", "base64": "xAH/"},
        "number": 3,
    }
    shutil.rmtree(there.path)
    copied(run, other)
    assert other.catalog.rebuild().taken_in == ("p/e/r",)
    assert told_of_run(there) == told_of_run(run)


def test_a_run_that_was_killed_is_known_by_its_process_elsewhere_too(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    """F21."""
    run = finished(workspace, n=1)
    told = file_of(run)
    (execution,) = told["executions"]
    execution.update(phase="running", ended=None, born="0")
    (run.path / "run.json").write_text(json.dumps(told))
    line: dict[str, Any] = {"key": "n", "value": 2, "at": told["results_set_at"]["n"] + 1}
    (run.path / "results.jsonl").write_text(f"{json.dumps(line)}\n")
    there = copied(run, other)
    assert other.catalog.rebuild().taken_in == ("p/e/r",)
    assert (there.phase, there.executions()[0].error_code) == ("failed", "ProcessLost")
    assert there.results == {"n": 2}
    # What is known later of a lost run is taken in too.
    line["value"], line["at"] = 3, line["at"] + 1
    (there.path / "results.jsonl").write_text(f"{json.dumps(line)}\n")
    assert other.catalog.rebuild().taken_in == ("p/e/r",)
    assert there.results == {"n": 3}
    execution.update(phase="completed", ended=execution["heartbeat"] + 1)
    (there.path / "run.json").write_text(json.dumps(told))
    assert other.catalog.rebuild().taken_in == ("p/e/r",)
    assert there.phase == "completed"
    assert other.catalog.rebuild().taken_in == ()


def test_results_go_on_behind_what_a_killed_process_left(
    workspace: trouper.Workspace, other: trouper.Workspace
) -> None:
    run = run_at(workspace)
    run.path.mkdir(parents=True)
    left = run.path / "results.jsonl"
    left.write_bytes(b'{"key": "old", "value": 1, "at": 1.0}\n{"key": "ha')
    with run.start() as run_context:
        run_context.results["new"] = 2
        assert [json.loads(each)["key"] for each in left.read_bytes().splitlines()] == [
            *("old", "new"),
        ]
        there = copied(run, other)
        other.catalog.rebuild()
        assert there.results == {"new": 2}  # what is older the database has, if it is so


def test_the_result_that_was_set_last_counts_whatever_the_clock_says(
    workspace: trouper.Workspace, other: trouper.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(workspace, n=1)
    now = time.time()
    with run.rerun() as run_context:
        for number, at in enumerate((now + 9, now - 9, now - 99), 2):
            monkeypatch.setattr(time, "time", lambda at=at: at)
            run_context.results["n"] = number
        there = copied(run, other)
        other.catalog.rebuild()
        assert there.results == run.results == {"n": 4}
    lose_database(workspace)
    workspace.catalog.rebuild()
    assert run.results == {"n": 4}


def test_a_forked_process_sets_results_too(workspace: trouper.Workspace) -> None:
    run = run_at(workspace)
    with run.start() as run_context:
        run_context.results["parent"] = 1
        child = os.fork()
        if child == 0:
            try:
                run_context.results["child"] = 2
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        run_context.results["parent"] = 3
        lines = (run.path / "results.jsonl").read_bytes().splitlines()
        assert [json.loads(each)["value"] for each in lines] == [1, 2, 3]
    assert run.results == {"child": 2, "parent": 3}


def test_a_task_that_goes_on_has_its_record_in_its_folder(workspace: trouper.Workspace) -> None:
    env = trouper.TaskEnvironment("env")
    seen: list[dict[str, Any]] = []

    @env.task
    async def root() -> None:
        flush()
        seen.append(file_of(workspace.find_run("slow")))

    run = trouper.with_runcontext(name="slow", workspace=workspace).run(root)
    assert seen[0]["phase"] == "running"
    assert file_of(run)["phase"] == "completed"
    assert [each["name"] for each in file_of(run)["executions"][0]["actions"]] == ["root"]


def test_a_folder_that_takes_no_record_ends_the_run(
    workspace: trouper.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = trouper.TaskEnvironment("env")

    def full(*_: object) -> None:
        raise StoreFull("full")

    @env.task
    async def root() -> None:
        monkeypatch.setattr(_run_file, "_replace", full)
        flush()
        await trio.sleep_forever()

    with pytest.raises(StoreFull, match="full"):
        trouper.with_runcontext(workspace=workspace).run(root)


def test_a_result_that_the_folder_does_not_take_is_an_error(
    workspace: trouper.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_at(workspace)

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    with run.start() as run_context:
        run_context.results["a"] = 1
        before = (run.path / "results.jsonl").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(_run_file, "write_all", half)
            with pytest.raises(StoreFull, match=r"results\.jsonl' can't be written"):
                run_context.results["b"] = 2
        assert (run.path / "results.jsonl").read_bytes() == before
        run_context.results["b"] = 3
    assert run.results == {"a": 1, "b": 3}


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
    with pytest.raises(ValueError, match="no"), run_at(workspace, "old").start():
        raise ValueError("no")
    finished(workspace, "new")
    journals = workspace.path / "journals"
    assert len([each for each in journals.rglob("*") if each.is_file()]) == 1
    shutil.rmtree(run_at(workspace, "old").path)
    lose_database(workspace)
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


def test_what_goes_on_is_not_forgotten(workspace: trouper.Workspace) -> None:
    run = run_at(workspace)
    with run.start():
        shutil.rmtree(run.path)
        assert workspace.catalog.rebuild().forgotten == ()
    assert run.phase == "completed"
