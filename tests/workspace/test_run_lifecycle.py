"""Runs of an experiment: begun, ended, resumed and done again; what is recorded of each attempt."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.etl import Etl
from trouper.errors import RunNameTaken, RuntimeUserError, WrongPhase


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        yield workspace.project("p").experiment("e", params={"dataset": "mnist"})


async def test_a_run_is_recorded_with_all_that_it_was(experiment: Any) -> None:
    run = experiment.run({"lr": 0.1}, id="first")
    assert (run.phase, run.done(), run.executions()) == ("pending", False, [])
    result = await Etl().execute(run=run)
    assert (result.status, result.run_name) == ("completed", "first")
    assert (run.phase, run.done(), run.results) == ("completed", True, {"rows": 3})
    assert (tuple(run.outputs()), run.outputs().names) == (([1, 2, 3], 6), ("load", "total"))
    (execution,) = run.executions()
    assert (execution.id, execution.number, execution.target) == ("first.1", 1, "etl")
    assert (execution.error, execution.trace, execution.is_lost) == (None, None, False)
    assert execution.seconds >= 0
    tree = run.actions()
    assert [(each.name, each.phase, each.attempts) for each in tree.walk()] == [
        ("etl", "completed", 1),
        ("load", "completed", 1),
        ("total", "completed", 1),
    ]
    again = trouper.Workspace(experiment.workspace.path).find_run("p/e/first")
    assert (again.parameters, again.experiment.params) == ({"lr": 0.1}, {"dataset": "mnist"})
    assert again.inputs() == {}
    assert again.url == run.path.as_uri()


async def test_a_failure_is_recorded_and_what_was_finished_is_kept(experiment: Any) -> None:
    """F12: a failing task left no error, no trace, and a state that said completed."""
    run = experiment.run(id="r")
    result = await Etl(failures=1).execute(run=run)
    assert (result.status, run.phase, run.done()) == ("failed", "failed", True)
    (execution,) = run.executions()
    assert (execution.error_code, execution.error) == ("ValueError", "no total today")
    assert 'raise ValueError("no total today")' in execution.trace
    assert dict(execution.outputs.items()) == {"load": [1, 2, 3]}
    with pytest.raises(RuntimeUserError, match="run 'r' failed: ValueError: no total") as caught:
        run.outputs()
    assert caught.value.code == "ValueError"
    phases = {each.name: each.phase for each in run.actions().children}
    assert phases == {"load": "completed", "total": "failed"}
    assert run.actions().error.message == "no total today"


async def test_resume_keeps_what_was_finished_and_rerun_does_not(experiment: Any) -> None:
    """F21: resume takes what failed, and keeps what it has finished; rerun begins at the top."""
    etl, run = Etl(failures=2), experiment.run(id="r")
    await etl.execute(run=run)
    with pytest.raises(WrongPhase, match=r"run 'r' has failed; run\.resume\(\) goes on and keeps"):
        await etl.execute(run=run)
    etl.calls.clear()
    assert (await etl.execute(run=run.resume())).status == "failed"
    assert (await etl.execute(run=run.resume())).outputs == {"load": [1, 2, 3], "total": 6}
    assert etl.calls == ["total", "total"]
    for verb in (run.start, run.resume):
        with pytest.raises(WrongPhase, match=r"has completed; run\.rerun\(\) does it again"):
            await etl.execute(run=verb())
    etl.calls.clear()
    assert (await etl.execute(run=run.rerun())).ok
    assert etl.calls == ["load", "total"]
    assert [each.phase for each in run.executions()] == [
        *["failed", "failed", "completed", "completed"]
    ]
    assert [each.id for each in run.executions()] == ["r.1", "r.2", "r.3", "r.4"]
    with pytest.raises(WrongPhase, match="never began, so there is nothing to resume; use"):
        await etl.execute(run=experiment.run(id="new").resume())


async def test_the_graph_decides_which_outputs_are_kept(experiment: Any) -> None:
    run = experiment.run(id="r")
    await Etl(failures=1).execute(run=run)
    calls: list[str] = []
    wf = trouper.Workflow("etl")

    @wf.task
    async def load() -> list[int]:  # another function of the same name
        calls.append("load")
        return [10]

    @wf.task(depends_on=[load])
    async def total(load: list[int]) -> int:
        return sum(load)

    result = await wf.execute(run=run.resume())
    assert (calls, result.outputs["total"]) == (["load"], 10)


async def test_resume_begins_streams_again_and_what_is_downstream_of_them(experiment: Any) -> None:
    calls: list[str] = []
    failures = [1]
    wf = trouper.Workflow("stream")

    @wf.task
    async def first() -> int:
        calls.append("first")
        return 2

    @wf.actor(depends_on=[first])
    async def count(ctx: trouper.ActorContext) -> Any:
        calls.append("count")
        for n in range(ctx.inputs):
            yield n

    @wf.task(depends_on=[count], collect="all")
    async def listed(count: list[int]) -> list[int]:
        calls.append("listed")
        return count

    @wf.task(depends_on=[listed])
    async def last(listed: list[int]) -> int:
        if failures:
            failures.pop()
            raise OSError("disk")
        return len(listed)

    run = experiment.run(id="r")
    assert not (await wf.execute(run=run)).ok
    result = await wf.execute(run=run.resume())
    assert result.outputs == {"first": 2, "count": 1, "listed": [0, 1], "last": 2}
    assert calls == ["first", "count", "listed", "count", "listed"]


class Odd:
    """Can't be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


async def test_an_output_that_cannot_be_kept_is_made_again(experiment: Any) -> None:
    calls: list[str] = []
    failures = [1]
    wf = trouper.Workflow("odd")

    @wf.task
    async def make() -> Odd:
        calls.append("make")
        return Odd()

    @wf.task(depends_on=[make])
    async def use(make: Odd) -> str:
        calls.append("use")
        return type(make).__name__

    @wf.task(depends_on=[use])
    async def end(use: str) -> str:
        if failures:
            failures.pop()
            raise OSError("disk")
        return use

    run = experiment.run(id="r")
    await wf.execute(run=run)
    assert "Odd object at" in repr(run.executions()[0].outputs["make"])
    assert (await wf.execute(run=run.resume())).outputs["end"] == "Odd"
    # What is downstream of it is done again too: it was made from another object.
    assert calls == ["make", "use", "make", "use"]


async def test_a_block_holds_the_run_and_workflows_join_it(experiment: Any) -> None:
    run, etl = experiment.run(id="r"), Etl()
    with run.start({"scale": 2}) as run_context:
        assert run.phase == "running"
        with pytest.raises(RuntimeError, match=r"goes on; write run\.wait"):
            run.outputs()
        with pytest.raises(RunNameTaken, match="a run named 'r' goes on: process"):
            await etl.execute(run=experiment.run(id="r"))
        first = await etl.execute(run_context=run_context)
        second = await etl.execute(run_context=run_context)
        assert (first.outputs["total"], second.outputs["total"]) == (12, 12)
        run_context.results["by hand"] = (1,)
        assert experiment.run(id="r").results == {"by hand": [1], "rows": 3}
    assert run.phase == "completed"
    assert run.outputs().names == ("load", "total", "etl-2/load", "etl-2/total")
    assert [each.name for each in run.actions().children] == [
        *["load", "total", "etl-2/load", "etl-2/total"]
    ]
    with pytest.raises(RuntimeError, match="the execution of the run 'r' has ended, so its run_co"):
        await etl.execute(run_context=run_context)
    assert run_context.workspace is experiment.workspace
    assert run_context.project == "p"


async def test_a_block_is_as_its_workflows_and_its_exceptions_were(experiment: Any) -> None:
    """F11, F12: cancel was recorded as failed, and a failed task as completed."""

    async def block(name: str, body: Any) -> str:
        run = experiment.run(id=name)
        with run.start() as run_context:
            await body(run_context)
        return str(run.phase)

    async def fails(run_context: trouper.RunContext) -> None:
        await Etl(failures=1).execute(run_context=run_context)

    async def fails_then_works(run_context: trouper.RunContext) -> None:
        etl = Etl(failures=1)
        await etl.execute(run_context=run_context)
        await etl.execute(run_context=run_context)

    async def raises(run_context: trouper.RunContext) -> None:
        raise LookupError("no data")

    async def stops(run_context: trouper.RunContext) -> None:
        raise KeyboardInterrupt

    async def sleeps(run_context: trouper.RunContext) -> None:
        await trio.sleep_forever()

    async def nothing(run_context: trouper.RunContext) -> None: ...

    assert await block("a", fails) == "failed"
    assert await block("b", fails_then_works) == "completed"
    assert await block("c", nothing) == "completed"
    with pytest.raises(LookupError):
        await block("d", raises)
    (execution,) = experiment.run(id="d").executions()
    assert (execution.phase, execution.error_code) == ("failed", "LookupError")
    with pytest.raises(KeyboardInterrupt):
        await block("e", stops)
    with trio.CancelScope() as scope:
        scope.cancel()
        await block("f", sleeps)
    assert [experiment.run(id=name).phase for name in "ef"] == ["cancelled", "cancelled"]
    with pytest.raises(trouper.RunCancelled, match="run 'e' was cancelled"):
        experiment.run(id="e").outputs()


async def test_an_empty_attempt_leaves_a_run_as_far_as_it_was(experiment: Any) -> None:
    """F21: an empty attempt turned a failed run green."""
    run, etl = experiment.run(id="r"), Etl(failures=1)
    await etl.execute(run=run)
    for begin in (run.resume, run.rerun):
        with begin():
            pass
        assert (run.phase, run.executions()[-1].error_code) == ("cancelled", "NothingRan")
    with run.resume() as run_context:
        assert (await etl.execute(run_context=run_context)).ok
    assert run.phase == "completed"


async def test_a_start_is_used_once(experiment: Any) -> None:
    start = experiment.run(id="r").start()
    assert repr(start) == "<start of the run 'r'>"
    with start:
        pass
    with pytest.raises(RuntimeError, match=r"was used before; call run\.start\(\) again"), start:
        pass  # pragma: no cover - it is not entered


async def test_an_open_workflow_is_a_run_until_it_is_left(experiment: Any) -> None:
    wf = trouper.Workflow("live")

    @wf.actor
    async def double(ctx: trouper.ActorContext) -> Any:
        async for n in ctx:
            yield n * 2

    run = experiment.run(id="r")
    async with wf.open(run=run) as live:
        assert run.phase == "running"
        await live.send(4)
    assert (run.phase, dict(run.outputs().items())) == ("completed", {"double": 8})
    with pytest.raises(LookupError):
        async with wf.open(run=run.rerun()):
            raise LookupError
    assert run.executions()[-1].error_code == "LookupError"
    with pytest.raises(WrongPhase):
        async with wf.open(run=experiment.run(id="r")):
            pass  # pragma: no cover - it is not entered


async def test_an_abort_reaches_a_run_from_outside(experiment: Any) -> None:
    wf = trouper.Workflow("slow")

    @wf.task
    async def forever() -> None:
        await trio.sleep_forever()

    run = experiment.run(id="r")
    async with trio.open_nursery() as nursery:
        results: list[trouper.WorkflowResult] = []

        async def execute() -> None:
            results.append(await wf.execute(run=run))

        nursery.start_soon(execute)
        await wait_all_tasks_blocked()
        other = experiment.run(id="r")
        other.abort()
        with trio.fail_after(60):
            await other.wait.aio()
    assert (results[0].status, other.phase) == ("cancelled", "cancelled")
    assert results[0].reason == "an abort was asked for"


async def test_what_joins_an_aborted_run_is_cancelled_at_once(experiment: Any) -> None:
    run = experiment.run(id="r")
    with run.start() as run_context:
        run_context.kept["open run"].abort("enough")
        result = await Etl().execute(run_context=run_context)
    assert (result.status, result.reason, run.phase) == ("cancelled", "enough", "cancelled")
