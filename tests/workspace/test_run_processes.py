"""Runs of a workspace and several processes: one holds a run, others look, kills are found out."""

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.stores import child, go, line, told
from trouper.errors import RunNameTaken

PROGRAM = """
import trio, trouper

workspace = trouper.Workspace(root)
experiment = workspace.project("p").experiment("e")
wf = trouper.Workflow("etl")

@wf.task
async def first(ctx):
    ctx.set_result("first", 1)
    say("first")
    return {"rows": (1, 2)}

@wf.task(depends_on=[first])
async def second(ctx):
    say("second", ctx.inputs)
    if len(sys.argv) > 2:
        wait()
    return len(ctx.inputs["rows"])
"""
START = PROGRAM + 'trio.run(lambda: wf.execute(run=experiment.run({"n": 1}, id="r")))'
RESUME = (
    PROGRAM + 'print(trio.run(lambda: wf.execute(run=experiment.run(id="r").resume())).outputs)'
)


def run_at(root: Path) -> trouper.Run:
    return trouper.Workspace(root).project("p").experiment("e").run(id="r")


def test_a_killed_run_is_failed_and_resumes_where_it_was(tmp_path: Path) -> None:
    """F10, F13, F21: nothing was left of a killed run, and no other process could resume it."""
    root = tmp_path / "ws"
    with child(START, root, "wait") as process:
        assert [line(process), line(process)] == ["first", "second {'rows': (1, 2)}"]
        run = run_at(root)
        assert (run.phase, run.done(), run.results) == ("running", False, {"first": 1})
        with pytest.raises(RunNameTaken, match=rf"'r' goes on: process {process.pid} on"):
            run.rerun().begin()
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert (run.phase, run.done(), run.results) == ("failed", True, {"first": 1})
        (execution,) = run.executions()
        assert (execution.is_lost, execution.error_code) == (True, "ProcessLost")
        assert f"process {process.pid} on" in (execution.error or "")
    with child(RESUME, root) as process:
        assert told(process) == [
            "second {'rows': (1, 2)}",
            "{'first': {'rows': (1, 2)}, 'second': 2}",
        ]
    assert run.phase == "completed"
    assert [each.phase for each in run.executions()] == ["failed", "completed"]
    told_in_file: dict[str, Any] = json.loads((run.path / "run.json").read_bytes())
    assert [each["phase"] for each in told_in_file["executions"]] == ["failed", "completed"]
    assert (told_in_file["results"], told_in_file["parameters"]) == ({"first": 1}, {"n": 1})


RACE = (
    PROGRAM
    + """
from trouper.runtime.store import _errors as errors
say("ready")
wait()
try:
    result = trio.run(lambda: wf.execute(run=experiment.run(id="r")))
except (errors.RunNameTaken, errors.WrongPhase):
    say("refused")
else:
    say(result.status)
"""
)


def test_of_several_processes_that_start_a_run_one_does(tmp_path: Path) -> None:
    """F13: a second attempt took the first one's execution id."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(RACE, tmp_path / "ws")) for _ in range(4)]
        for process in processes:
            assert line(process) == "ready"
        for process in processes:
            go(process)
        words = [told(process)[-1] for process in processes]
    assert sorted(words) == ["completed", "refused", "refused", "refused"]
    assert [each.number for each in run_at(tmp_path / "ws").executions()] == [1]


MAKE = """
import trouper
say("ready")
wait()
for n in range(5):
    experiment = trouper.Workspace(root).project(f"p{n % 2}").experiment("e", params={"x": 1})
    with experiment.run({"process": int(sys.argv[2]), "n": n}).start() as run_context:
        run_context.results["n"] = n
say("done")
"""


def test_several_processes_make_one_workspace(tmp_path: Path) -> None:
    """F14: of several at once most rows were lost."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(MAKE, tmp_path / "ws", n)) for n in range(4)]
        for process in processes:
            assert line(process) == "ready"
        for process in processes:
            go(process)
        for process in processes:
            assert told(process) == ["done"]
    workspace = trouper.Workspace(tmp_path / "ws")
    runs = workspace.runs()
    assert len(runs) == 20
    assert {each.phase for each in runs} == {"completed"}
    assert all(each.results == {"n": each.parameters["n"]} for each in runs)
    assert [each.name for each in workspace.projects()] == ["p0", "p1"]


def test_another_process_waits_for_the_end_and_asks_for_it(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    with child(START, root, "wait") as process:
        assert [line(process).split()[0] for _ in range(2)] == ["first", "second"]
        run = run_at(root)
        assert run.wait(timeout=0.01) is False
        go(process)
        assert run.wait(timeout=60) is True
        told(process)
    assert dict(run.outputs().items()) == {"first": {"rows": [1, 2]}, "second": 2}


FORK = """
import trouper
experiment = trouper.Workspace(root).project("p").experiment("e")
with experiment.run(id="r").start() as run_context:
    run_context.results["from"] = "parent"
    if os.fork() == 0:
        with experiment.run(id="s").start() as own:
            own.results["from"] = "child"
        os._exit(0)
    say(os.wait()[1])
"""


def test_a_child_of_a_fork_has_runs_of_its_own(tmp_path: Path) -> None:
    with child(FORK, tmp_path / "ws") as process:
        assert told(process) == ["0"]
    run = run_at(tmp_path / "ws")
    assert (run.phase, run.results) == ("completed", {"from": "parent"})
    other = run.experiment.run(id="s")
    assert (other.phase, other.results) == ("completed", {"from": "child"})
