"""The assets of a run of a real workspace, from its block, its tasks and other processes."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.runtime.assets import _incoming
from trouper.runtime.assets._manifest import Manifest


@pytest.fixture
def workspace(tmp_path: Path) -> trouper.Workspace:
    return trouper.Workspace(tmp_path / "ws")


async def test_a_block_and_its_tasks_share_the_assets_of_the_run(
    workspace: trouper.Workspace,
) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        assert ctx.run_context is not None
        assert ctx.artifact.load("before") == [1]
        ctx.run_context.artifact.save("inside", b"")
        ctx.run_context.log("l").append("line")
        ctx.run_context.checkpoint("c", data=1)

    run = workspace.project("p").experiment("e").run(id="r")
    with workspace, run.start() as run_context:
        run_context.artifact.save("before", [1])
        run_context.data_assets.import_asset("data", __file__)
        (await wf.execute(run_context=run_context)).unwrap()
        assert run_context.checkpoints("c").latest().load() == 1
        found = run_context.find_asset("inside")
        assert found.path.is_relative_to(run.path)
    with workspace:
        made = {each.name: each.producer for each in workspace.catalog.query_assets()}
    assert made["before"] == trouper.Producer(run="r", project="p", experiment="e", execution=1)
    assert made["data"].task is None
    inside = trouper.Producer(
        run="r",
        project="p",
        experiment="e",
        execution=1,
        task="train",
        attempt=1,
        consumes=made["inside"].consumes,
    )
    assert made["inside"] == inside
    assert len(inside.consumes) == 1
    assert made["l"].task == made["c"].task == "train"


def test_without_a_workspace_it_is_soft() -> None:
    run = trouper.RunContext(run_name="r")
    assert run.artifact is None
    assert run.data_assets is None
    assert run.log("x") is None
    assert run.checkpoint("x", data=1) is None
    assert run.checkpoints("x") is None
    assert run.find_asset("x") is None


async def test_a_run_that_another_task_opens_is_not_credited_to_that_task(
    workspace: trouper.Workspace,
) -> None:
    """What a task of one run does with another run is no deed of that other run's tasks."""
    experiment = workspace.project("p").experiment("e")
    wf = trouper.Workflow()

    @wf.task
    async def outer(ctx: trouper.TaskContext) -> None:
        with experiment.run(id="inner").start() as inner:
            inner.artifact.save("x", b"")
        await trio.lowlevel.checkpoint()

    with workspace:
        (await wf.execute(run=experiment.run(id="outer"))).unwrap()
        (made,) = workspace.catalog.query_assets(name="x")
    assert (made.producer.run, made.producer.task) == ("inner", None)


async def test_a_failure_leaves_its_trace_and_what_was_kept(workspace: trouper.Workspace) -> None:
    """F12: a failing task leaves no error, no trace."""
    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("partial", b"half")
        ctx.log("train").append("it begins")
        raise OSError("no network")

    with workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        assert (await wf.execute(run=run)).status == "failed"
        catalog = workspace.catalog
        assert catalog.query_assets(name="partial")[0].load() == b"half"
        assert catalog.query_assets(kind="log")[0].load() == "it begins\n"
        (trace,) = catalog.query_assets(kind="error_trace")
        assert "OSError: no network" in trace.load()
        assert catalog.query_assets(kind="error_trace", producer_task=trace.name) == [trace]
        (state,) = catalog.query_assets(kind="execution_state")
        assert state.load() == {
            "execution": 1,
            "phase": "failed",
            "error": "OSError: no network",
        }


async def test_how_an_execution_ended_and_what_it_gave_are_assets(
    workspace: trouper.Workspace,
) -> None:
    """Of each execution of a workflow."""
    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> list[int]:
        return [1, 2]

    with workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        (await wf.execute(run=run)).unwrap()
        (await wf.execute(run=run.rerun())).unwrap()
        first, second = workspace.catalog.query_assets(kind="output", order="oldest")
        assert isinstance(first, trouper.OutputAsset)
        assert (first.version, second.version) == (1, 2)
        assert (first.producer.execution, second.producer.execution) == (1, 2)
        assert second.load()[:2] == [["train"], [[1, 2]]]
        states = workspace.catalog.query_assets(kind="execution_state", order="oldest")
        assert [each.load()["phase"] for each in states] == ["completed"] * 2


def test_the_trace_of_a_task_that_failed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = trouper.TaskEnvironment("env")

    @env.task
    async def fetch() -> None:
        raise OSError("no network")

    @env.task
    async def root() -> None:
        await fetch()

    with pytest.raises(trouper.errors.RuntimeUserError):
        trouper.with_runcontext().run(root)
    with trouper.Workspace() as workspace:
        (trace,) = workspace.catalog.query_assets(kind="error_trace")
        assert "OSError: no network" in trace.load()
        assert trace.producer.task == "root/fetch-1"
        assert workspace.catalog.query_assets(producer_task="root/fetch-1") == [trace]
        (state,) = workspace.catalog.query_assets(kind="execution_state")
        assert state.load()["phase"] == "failed"
        (run,) = workspace.runs()
        told = json.loads((run.path / "run.json").read_bytes())
        (execution,) = told["executions"]
        assert (told["name"], execution["error"]) == (
            *(run.name, "root/fetch-1 failed: OSError: no network"),
        )


def test_a_run_that_keeps_nothing_leaves_its_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing on disk that is not needed."""
    monkeypatch.chdir(tmp_path)
    env = trouper.TaskEnvironment("env")

    @env.task
    async def root() -> int:
        return 1

    assert trouper.with_runcontext().run(root).outputs() == (1,)
    with trouper.Workspace() as workspace:
        (run,) = workspace.runs()
        assert [each.name for each in run.path.iterdir()] == ["run.json"]
        assert workspace.catalog.query_assets() == []


async def test_a_manifest_that_cant_be_written_anew_holds_all_the_same(
    workspace: trouper.Workspace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_args: Any, **_named: Any) -> None:
        raise trouper.AssetsFull("no room")

    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("x", b"")

    with workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        with monkeypatch.context() as patch:
            patch.setattr(Manifest, "compact", refuse)
            (await wf.execute(run=run)).unwrap()
        assert "is not compacted: no room" in caplog.text
        assert run.phase == "completed"
        assert len(workspace.catalog.query_assets(name="x")) == 1


async def test_what_cant_be_kept_at_the_end_makes_the_run_failed(
    workspace: trouper.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: an honest `failed`, with all kept that was finished."""

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("x", b"kept")
        monkeypatch.setattr(_incoming, "write_all", full)

    with workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        result = await wf.execute(run=run)
        assert result.status == "failed"
        assert run.phase == "failed"
        monkeypatch.undo()
        assert workspace.catalog.query_assets(name="x")[0].load() == b"kept"


def test_tasks_under_trouper_run_never_meet_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8: the page's `Train` calls `ctx.artifact.save(...)` unguarded."""
    monkeypatch.chdir(tmp_path)
    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("metrics.json", {"loss": 0.05})
        ctx.log("train").append("loss=0.05")

    trouper.run(wf).unwrap()
    with trouper.Workspace() as workspace:
        made = workspace.catalog.query_assets(producer_task="train")
        assert {each.name for each in made} == {"metrics.json", "train"}
        assert workspace.catalog.query_assets(kind="log")[0].load() == "loss=0.05\n"


def test_called_tasks_keep_assets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = trouper.TaskEnvironment("env")

    @env.task
    def leaf(number: int) -> int:
        context = trouper.ctx()
        assert context is not None
        context.artifact.save(f"leaf-{number}", b"")
        return number

    @env.task
    async def root() -> list[int]:
        return [await leaf.aio(number) for number in range(2)]

    run = trouper.with_runcontext().run(root)
    assert run.outputs() == ([0, 1],)
    with trouper.Workspace() as workspace:
        found = workspace.catalog.query_assets(kind="artifact")
        made = {each.name: each.producer for each in found}
    assert {name: by.task for name, by in made.items()} == {
        "leaf-0": "root/leaf-1",
        "leaf-1": "root/leaf-2",
    }
    assert {by.run for by in made.values()} == {run.name}
