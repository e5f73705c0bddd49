"""Runs when the disk, the clock or the claim is wrong: it is told, and nothing is lost."""

import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.stores import child, told
from trouper.errors import ClaimLost, NewerSchema, StoreError, StoreFull, StoreReadOnly
from trouper.runtime.workspace import _node_outputs
from trouper.runtime.workspace._run_file import tell_run


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        yield workspace.project("p").experiment("e")


def workflow(body: Callable[[trouper.TaskContext], Any] = lambda _: None) -> trouper.Workflow:
    wf = trouper.Workflow("wf")

    @wf.task
    async def first(ctx: trouper.TaskContext) -> int:
        return 1

    @wf.task(depends_on=[first])
    async def second(ctx: trouper.TaskContext) -> Any:
        return body(ctx)

    return wf


def lose(experiment: Any) -> None:
    """Have another process take this one for dead."""
    with experiment.store.connections.writing() as db:
        db.execute("UPDATE execution SET phase = 'failed', ended = started, error = 'taken over'")


async def test_a_run_that_was_taken_over_fails_and_says_so(experiment: Any) -> None:
    run = experiment.run(id="r")
    refused: list[Exception] = []

    def body(ctx: trouper.TaskContext) -> str:
        lose(experiment)
        with pytest.raises(ClaimLost) as caught:
            ctx.set_result("late", 1)
        refused.append(caught.value)
        return "done"

    result = await workflow(body).execute(run=run)
    assert len(refused) == 1
    assert (result.status, result.outputs) == ("failed", {"first": 1, "second": "done"})
    assert isinstance(result.error, ClaimLost)
    assert result.reason.startswith("not all of it is recorded: execution 1 of the run 'r' is fail")
    assert (run.phase, run.results) == ("failed", {})
    assert run.executions()[0].error == "taken over"


async def test_a_failure_stays_what_failed_when_it_cannot_be_recorded(experiment: Any) -> None:
    def body(ctx: trouper.TaskContext) -> None:
        lose(experiment)
        raise ValueError("the real one")

    result = await workflow(body).execute(run=experiment.run(id="r"))
    assert isinstance(result.error, ValueError)


def test_a_block_whose_end_is_not_recorded_raises(experiment: Any) -> None:
    with pytest.raises(ClaimLost), experiment.run(id="a").start():
        lose(experiment)
    with pytest.raises(ValueError, match="mine") as caught, experiment.run(id="b").start():
        lose(experiment)
        raise ValueError("mine")
    assert "and the end of the run 'b' was not recorded" in caught.value.__notes__[0]


async def test_an_open_workflow_whose_end_is_not_recorded_raises(experiment: Any) -> None:
    wf = trouper.Workflow("live")

    @wf.actor
    async def echo(ctx: trouper.ActorContext) -> Any:
        async for n in ctx:
            yield n

    with pytest.raises(ClaimLost):
        async with wf.open(run=experiment.run(id="a")) as live:
            lose(experiment)
            await live.send(1)
    with pytest.raises(ValueError, match="mine"):
        async with wf.open(run=experiment.run(id="b")):
            lose(experiment)
            raise ValueError("mine")


async def test_a_database_that_is_full_ends_the_run_as_failed(tmp_path: Path) -> None:
    with trouper.Workspace(tmp_path / "ws", max_bytes=1 << 20) as workspace:
        run = workspace.project().experiment().run(id="r")

        def body(ctx: trouper.TaskContext) -> None:
            ctx.set_result("small", 1)
            for n in range(100):
                ctx.set_result(f"large {n}", "x" * 50_000)

        result = await workflow(body).execute(run=run)
        assert (result.status, result.failed_node) == ("failed", "second")
        assert isinstance(result.error, StoreFull)
        assert run.results["small"] == 1
        assert run.results["large 0"] == "x" * 50_000


async def test_a_place_that_cannot_be_written_is_told_before_anything_runs(
    experiment: Any,
) -> None:
    called: list[int] = []
    run = experiment.run(id="r")
    run.path.parent.mkdir(parents=True)
    run.path.write_text("in the way")
    with pytest.raises(StoreReadOnly, match=r"run\.json' can't be written: File exists; check the"):
        await workflow(lambda _: called.append(1)).execute(run=run)
    assert (called, run.phase) == ([], "failed")
    assert run.executions()[0].error_code == "StoreReadOnly"
    run.path.unlink()
    assert (await workflow().execute(run=run.resume())).ok


def test_a_run_file_is_replaced_whole_or_left_alone(
    experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.run({"n": 1}, id="r")
    with run.start():
        pass
    before = (run.path / "run.json").read_bytes()
    assert json.loads(before)["phase"] == "completed"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreFull, match="No space left on device; free some space there"):
        tell_run(experiment.store, run.key, run.path)
    assert (run.path / "run.json").read_bytes() == before
    assert not [each for each in run.path.iterdir() if each.name.endswith(".tmp")]


async def test_what_fails_at_the_very_end_makes_the_result_failed(
    experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.run(id="r")

    def body(_: trouper.TaskContext) -> str:
        monkeypatch.setattr(os, "replace", full)
        return "done"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    result = await workflow(body).execute(run=run)
    assert (result.status, result.outputs["second"]) == ("failed", "done")
    assert isinstance(result.error, StoreFull)


def test_files_and_folders_are_for_their_owner_alone(experiment: Any) -> None:
    before = os.umask(0o022)
    try:
        run = experiment.run(id="r")
        with run.start():
            logging.getLogger("trouper").warning("said")
        with pytest.raises(ValueError, match="no"), experiment.run(id="s").start():
            raise ValueError("no")
        for place in experiment.workspace.path.rglob("*"):
            mode = stat.S_IMODE(place.stat().st_mode)
            assert (place, mode) == (place, 0o700 if place.is_dir() else 0o600)
    finally:
        os.umask(before)
    names = {each.name for each in run.path.rglob("*")}
    assert {"run.json", "logs", "records.jsonl"} <= names
    assert [each.message for each in run.logs()] == ["said"]
    traces = [each.read_text() for each in (run.path.parent / "s" / "errors").iterdir()]
    assert len(traces) == 1
    assert 'raise ValueError("no")' in traces[0]


def test_clocks_that_jump_change_no_phase_and_no_time_is_negative(experiment: Any) -> None:
    run = experiment.run(id="r")
    with run.start():
        with experiment.store.connections.writing() as db:  # as if set back by ten years
            db.execute("UPDATE execution SET started = started + 3e8, heartbeat = heartbeat + 3e8")
        assert (run.phase, run.executions()[0].seconds) == ("running", None)
        with pytest.raises(StoreError, match="goes on"):
            run.rerun().begin()
    assert (run.phase, run.executions()[0].seconds) == ("completed", 0.0)
    with run.rerun():
        with experiment.store.connections.writing() as db:
            db.execute("UPDATE execution SET heartbeat = 0")
        assert run.phase == "running"
    assert [each.number for each in run.executions()] == [1, 2]


def test_a_newer_schema_is_refused_for_writing_too(experiment: Any) -> None:
    with experiment.run(id="r").start():
        pass
    experiment.store.connections.get().pragma("user_version", 999)
    experiment.workspace.close()
    with pytest.raises(NewerSchema, match="Upgrade trouper"):
        experiment.run(id="s").start().begin()


WITHOUT_RIGHTS = """
import tempfile, trio, trouper
wf = trouper.Workflow("wf")
wf.task(name="t")(print)
# Once with rights: what is loaded late may lie where nobody else may look.
with tempfile.TemporaryDirectory() as name, trouper.Workspace(name) as workspace:
    run = workspace.project().experiment().run()
    trio.run(lambda: wf.execute(run=run))
    run.phase, run.results, run.executions()
    workspace.data_assets.import_asset("data", trouper.__file__)
    workspace.catalog.query_assets()
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
experiment = trouper.Workspace(root).project("p").experiment("e")
try:
    trio.run(lambda: wf.execute(run=experiment.run(id="new")))
except errors.StoreReadOnly as error:
    say(error)
run = experiment.run(id="r")
say(run.phase, run.results, [each.id for each in experiment.runs()])
workspace = experiment.workspace
say([each.name for _ in range(2) for each in workspace.catalog.query_assets()])
workspace.close()
"""


def test_a_folder_that_may_not_be_written_is_told_and_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = Path(name, "ws")
        workspace = trouper.Workspace(root)
        with workspace.project("p").experiment("e").run(id="r").start() as run_context:
            run_context.results["n"] = 1
        workspace.data_assets.import_asset("data", __file__)
        assert len(workspace.catalog.query_assets(kind="data")) == 1
        workspace.close()
        (root / "trouper.db").chmod(0o444)
        root.chmod(0o555)
        with child(WITHOUT_RIGHTS, root) as process:
            refused, seen, assets = told(process)[-3:]
        root.chmod(0o700)
    assert "may not be written; check the rights" in refused
    assert seen == "completed {'n': 1} ['r']"
    assert "'data'" in assets


class Gone:
    """A value whose class is not there any more when it is wanted again."""


async def test_a_value_that_cannot_be_read_any_more_is_made_again(
    experiment: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    wf = trouper.Workflow("gone")

    @wf.task
    async def make() -> Gone:
        calls.append("make")
        return Gone()

    @wf.task(depends_on=[make])
    async def use(make: Gone) -> int:
        calls.append("use")
        if len(calls) == 2:
            raise OSError("disk")
        return 1

    run = experiment.run(id="r")
    assert not (await wf.execute(run=run)).ok

    def no_class(*_: object) -> None:
        raise AttributeError("no Gone here")

    monkeypatch.setattr(_node_outputs, "restore", no_class)
    assert (await wf.execute(run=run.resume())).ok
    assert calls == ["make", "use", "make", "use"]
    assert "what 'make' gave back before can't be read (AttributeError: no Gone" in caplog.text
