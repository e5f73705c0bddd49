"""Runs and what they run under; what is asked of them in memory, in threads, in other words."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.etl import Etl
from trouper.errors import NotTheSame, StoreError, StoreFull
from trouper.runtime._execution import Execution
from trouper.runtime.store._records import RunKey


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        yield workspace.project("p").experiment("e", params={"dataset": "mnist"})


async def test_the_configuration_is_a_part_of_the_run_and_comes_back(experiment: Any) -> None:
    """F18: an override without a profile's name reused the old run and skipped."""
    etl, profile = Etl(failures=1), trouper.ProfileConfig({"scale": 3}, name="big")
    run = experiment.run({"n": 1}, profile_config=profile)
    assert not (await etl.execute(run=run)).ok
    again = experiment.run({"n": 1}, profile_config={"scale": 3})
    assert again.id == run.id
    with pytest.raises(ValueError, match="profile_config is not the one that the run was asked fo"):
        await etl.execute(run=again.resume({"scale": 4}))
    found = experiment.workspace.find_run(run.id)
    with pytest.raises(NotTheSame, match="was begun with another configuration"):
        await etl.execute(run=found.resume({"scale": 4}))
    assert (await etl.execute(run=found.resume())).outputs["total"] == 18
    told = [(each.profile, each.config) for each in run.executions()]
    assert told == [("big", {"scale": 3})] * 2
    assert run.executions()[0].config_hash == profile.content_hash()


async def test_a_secret_is_not_recorded_and_has_to_be_given_again(experiment: Any) -> None:
    etl, run = Etl(failures=1), experiment.run(id="r")
    config = {"token": trouper.Secret("hunter22")}
    await etl.execute(run=run.start(config))
    assert run.executions()[0].config == {"token": "***"}
    with pytest.raises(ValueError, match=r"what is not recorded.*resume\(profile_config=\.\.\."):
        await etl.execute(run=run.resume())
    assert (await etl.execute(run=run.resume(config))).ok


async def test_no_secret_is_recorded_with_results_and_outputs(experiment: Any) -> None:
    wf = trouper.Workflow("leaky")

    @wf.task
    async def leak(ctx: trouper.TaskContext) -> list[str]:
        text = f"the token is {ctx.config['token'].reveal()}"
        ctx.set_result("token", {"told": [text]})
        return [text]

    run = experiment.run(id="r")
    result = await wf.execute(run=run.start({"token": trouper.Secret("hunter22")}))
    assert result.outputs["leak"] == ["the token is hunter22"]
    assert run.outputs()[0] == ["the token is ***"]
    assert run.results == {"token": {"told": ["the token is ***"]}}
    assert b"hunter22" not in (run.path / "run.json").read_bytes()


async def test_equal_runs_of_two_experiments_keep_apart(experiment: Any) -> None:
    """F14: equal experiment names in two projects collided."""
    other = experiment.workspace.project("q").experiment("e").run(id="r")
    await Etl().execute(run=experiment.run(id="r"))
    assert (other.phase, other.results) == ("pending", {})
    await Etl(failures=1).execute(run=other)
    assert (experiment.run(id="r").phase, other.phase) == ("completed", "failed")


async def test_what_a_node_calls_is_below_it(experiment: Any) -> None:
    env = trouper.TaskEnvironment("env")

    @env.task
    async def double(n: int) -> int:
        return n * 2

    wf = trouper.Workflow("calls")

    @wf.task
    async def both() -> list[int]:
        return [await double(1), await double(2)]

    run = experiment.run(id="r")
    assert (await wf.execute(run=run)).ok
    names = [each.name for each in run.actions().walk()]
    assert names == ["calls", "both", "both/double-1", "both/double-2"]


def test_blocking_code_may_use_runs_too(experiment: Any) -> None:
    etl, run = Etl(failures=1), experiment.run(id="r")
    assert trouper.run(etl.wf, run=run).status == "failed"
    assert trouper.run(etl.wf, run=run.resume()).ok
    assert run.wait() is True
    with run.rerun() as run_context:
        assert experiment.run(id="r").wait(timeout=0) is False
        assert trouper.run(etl.wf, run_context=run_context).ok
    assert run.phase == "completed"


async def test_waiting_in_a_loop_is_refused_while_it_goes_on(experiment: Any) -> None:
    run = experiment.run(id="r")
    with run.start(), pytest.raises(RuntimeError, match=r"would block trio.*await run\.wait\.aio"):
        run.wait()
    assert run.wait() is True


def test_a_run_that_lies_in_no_workspace_says_so() -> None:
    run = trouper.Run(RunKey("r"), None)
    assert repr(run) == "<run 'r' in memory>"
    assert run == run
    assert run != trouper.Run(RunKey("r"), None)
    asks: list[Callable[[], Any]] = [
        lambda: run.path,
        lambda: run.experiment,
        lambda: run.workspace,
        lambda: run.store,
        lambda: run.data_assets,
    ]
    for ask in asks:
        with pytest.raises(RuntimeError, match="the run 'r' is kept in memory alone, so it has no"):
            ask()


def test_what_never_began_has_nothing_to_tell(experiment: Any) -> None:
    run = experiment.run(id="r")
    for ask, what in ((run.outputs, "outputs"), (run.actions, "actions")):
        with pytest.raises(RuntimeError, match=f"has not begun, so it has no {what}"):
            ask()
    assert (run.parameters, run.inputs(), list(run.logs())) == ({}, {}, [])
    with pytest.raises(StoreError, match="no run 'p/e/r' is recorded"):
        run.abort()
    assert experiment.params == {"dataset": "mnist"}
    assert experiment.project.experiment("e").params == {}


def test_a_run_of_tasks_is_read_the_same_way(tmp_path: Path) -> None:
    """One `Run` class for both pages."""
    env = trouper.TaskEnvironment("env")

    @env.task
    async def double(n: int, by: int = 2) -> int:
        return n * by

    live = trouper.with_runcontext(name="r", project="q", workspace=tmp_path / "ws").run(double, 4)
    with trouper.Workspace(tmp_path / "ws") as workspace:
        run = workspace.project("q").experiment().run(id="r")
        assert run == live
        assert (run.phase, tuple(run.outputs())) == ("completed", (8,))
        assert run.inputs() == {"n": 4, "by": 2}
        assert (run.actions().name, run.actions().phase) == ("double", "completed")
        with pytest.raises(StoreError, match="has completed"):
            run.start().begin()
        for begin, verb in ((run.rerun, "rerun"), (run.resume, "recover")):
            problem = rf"one of the task 'double', not of a workflow; trouper\.{verb}\('r'\) does"
            with pytest.raises(TypeError, match=problem):
                begin().begin()
        assert len(run.executions()) == 1


def test_a_thread_waits_while_another_runs(experiment: Any) -> None:
    run, go_on = experiment.run(id="r"), threading.Event()

    def hold() -> None:
        with experiment.run(id="r").start():
            held.set()
            assert go_on.wait(60)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    assert run.wait(timeout=0.05) is False
    go_on.set()
    assert run.wait(timeout=60) is True
    thread.join()


async def test_a_cancel_from_outside_is_recorded(experiment: Any) -> None:
    wf = trouper.Workflow("slow")

    @wf.task
    async def forever() -> None:
        scope.cancel()
        await trio.sleep_forever()

    run = experiment.run(id="r")
    with trio.CancelScope() as scope:
        await wf.execute(run=run)
    assert scope.cancelled_caught
    assert run.phase == "cancelled"


async def test_a_run_that_is_opened_after_a_cancel_is_let_go(experiment: Any) -> None:
    run = experiment.run(id="r")
    with trio.CancelScope() as scope:
        scope.cancel()
        async with Etl().wf.open(run=run):
            assert run.phase == "running"
    assert (scope.cancelled_caught, run.phase) == (True, "cancelled")


async def test_what_fails_in_the_telling_lets_the_run_go(
    experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    etl, run = Etl(), experiment.run(id="r")

    def no_result(_: object) -> None:
        raise LookupError("no result")

    monkeypatch.setattr(Execution, "result", no_result)
    with pytest.raises(LookupError):
        await etl.execute(run=run)
    assert (run.phase, run.executions()[0].error_code) == ("failed", "LookupError")


async def test_a_journal_that_takes_no_more_ends_the_run_as_failed(
    experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    etl, run = Etl(), experiment.run(id="r")
    start = run.start()

    def full(*_: object) -> int:
        raise StoreFull("the journal is full")

    with pytest.raises(StoreFull, match="the journal is full"), start as run_context:
        monkeypatch.setattr(start.open_run.tracked.journal, "begins", full)
        result = await etl.execute(run_context=run_context)
        assert (result.status, str(result.error)) == ("failed", "the journal is full")
        assert "load" in etl.calls
    assert run.phase == "failed"
