"""A run's folder holds all that is recorded of it: it can be moved, and nothing is lost by it."""

import json
import os
import shutil
import time
from typing import Any

import pytest
import trio

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
from trouper.errors import StoreFull
from trouper.runtime.workspace import _run_file

__all__ = ["other", "workspace"]


def flush() -> None:
    """Do what the thread of the recorder does a moment after a run has begun."""
    context = trouper.ctx()
    assert context is not None
    assert context.run_context is not None
    assert context.run_context.workspace is not None
    context.run_context.workspace.store.recorder.flush()


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
