"""How an execution has ended is decided from what happened in it; which run one belongs to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trouper
from trouper.runtime.workspace._config_of import config_of
from trouper.runtime.workspace._endings import Ending, Outcome, ending

OK = Outcome(workflow="a", status="completed")
CUT = Outcome(workflow="c", status="cancelled")
BAD = Outcome(workflow="b", status="failed", error=ValueError("no"), node="n")

outcomes = st.builds(
    lambda which, status: Outcome(
        workflow=which, status=status, error=OSError() if status == "failed" else None
    ),
    st.sampled_from("abc"),
    st.sampled_from(["completed", "failed", "cancelled"]),
)


@given(st.lists(outcomes), st.booleans())
def test_the_last_outcome_of_each_workflow_counts(told: list[Outcome], is_aborted: bool) -> None:
    """F12: a run whose task had failed said completed."""
    last = {each.workflow: each.status for each in told}.values()
    found = ending(None, told, is_aborted=is_aborted)
    if "failed" in last:
        assert (found.phase, isinstance(found.error, OSError)) == ("failed", True)
    elif is_aborted or "cancelled" in last:
        assert found == Ending(phase="cancelled")
    else:
        assert found == Ending(phase="completed")


@pytest.mark.parametrize(
    ("raised", "phase"),
    [
        (None, "completed"),
        (ValueError(), "failed"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(3), "cancelled"),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), "cancelled"),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [ValueError(), SystemExit()])]), "failed"),
        (ExceptionGroup("", [ValueError()]), "failed"),
    ],
)
def test_what_left_the_block_counts_before_its_workflows(
    raised: BaseException | None, phase: str
) -> None:
    """F11: cancel was recorded as failed."""
    found = ending(raised, [OK], is_aborted=False)
    assert found.phase == phase
    assert found.error is (raised if phase == "failed" else None)
    if raised is not None:
        assert ending(raised, [BAD, CUT], is_aborted=True) == found


def test_an_empty_attempt_turns_nothing_green() -> None:
    """F21: an empty attempt turned a failed run green."""
    found = ending(None, [], is_aborted=False, before="etl")
    assert (found.phase, str(found.error)) == (
        *("cancelled", "nothing has run in it; execute 'etl' inside of the block"),
    )
    assert ending(None, [OK], is_aborted=False, before="etl") == Ending(phase="completed")


def test_the_first_failure_is_told_with_its_node() -> None:
    assert ending(None, [OK, BAD, CUT], is_aborted=False) == Ending(
        phase="failed", error=BAD.error, node="n"
    )


def test_two_configurations_that_differ_contradict_each_other() -> None:
    small, large = (trouper.ProfileConfig({"n": n}, name=f"n{n}") for n in (1, 2))
    assert config_of("start", None, None, None) == {}
    assert config_of("start", small, None, None) is small
    assert config_of("start", None, small, None) is small
    again = trouper.ProfileConfig({"n": 1})
    assert config_of("start", again, small, None) is again
    with pytest.raises(ValueError, match=r"asked for with \('n1', hash \w+, now 'n2', hash \w+\)"):
        config_of("start", large, small, None)


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        yield workspace.project().experiment()


def small_workflow() -> trouper.Workflow:
    wf = trouper.Workflow("small")

    @wf.task
    async def one() -> int:
        return 1

    return wf


async def test_a_run_and_a_context_contradict_each_other_and_so_does_a_configuration(
    experiment: Any,
) -> None:
    wf, run = small_workflow(), experiment.run(id="r")
    with experiment.run(id="open").start({"n": 1}) as run_context:
        refused: list[tuple[dict[str, Any], str]] = [
            (
                {"run": run, "run_context": run_context},
                r"run= and run_context= were both given: run=<run 'r' at .*joins that of 'open'",
            ),
            ({"run": run, "profile_config": {}}, "run= and profile_config= were both given"),
            ({"run": run, "config": {"n": 2}}, r"run= and config= were both given.*run\.start\(\)"),
            (
                {"run_context": run_context, "profile_config": {}},
                "run_context= and profile_config=",
            ),
        ]
        for options, problem in refused:
            with pytest.raises(ValueError, match=problem):
                await wf.execute(**options)
            with pytest.raises(ValueError, match=problem):
                wf.open(**options)
        for wrong in ("r", wf, experiment):
            with pytest.raises(TypeError, match=r"run= takes a run, from experiment\.run\(\), got"):
                await wf.execute(run=wrong)
    assert run.phase == "pending"
    # A context that is no open run of a workspace takes a configuration, as before.
    context = trouper.RunContext(run_name="mine")
    result = await wf.execute(run_context=context, profile_config={"n": 1})
    assert (result.ok, result.run_name) == (True, "mine")


def test_blocking_run_refuses_what_execute_refuses(experiment: Any) -> None:
    wf, run = small_workflow(), experiment.run(id="r")
    with pytest.raises(ValueError, match="run= and config= were both given"):
        trouper.run(wf, run=run, config={"n": 1})
    with pytest.raises(ValueError, match="run and workspace can't both be given"):
        trouper.run(wf, run=run, workspace=False)


async def test_results_are_recorded_as_they_are_set_and_stay(experiment: Any) -> None:
    """F10: results were in memory until the end."""
    run = experiment.run(id="r")
    wrong: Any = 3
    start = run.start()
    start.context.results["before"] = object()  # in memory: nothing goes on yet
    with start as run_context:
        results = run_context.results
        results["a"] = (1, {"b": None})
        results.update({"c": 1}, d=2)
        results |= {"e": 5}
        assert results.setdefault("f", [6]) == [6]
        assert results.setdefault("f", 7) == [6]
        recorded = {"a": [1, {"b": None}], "c": 1, "d": 2, "e": 5, "f": [6]}
        assert run.results == recorded
        assert results["a"] == (1, {"b": None})  # as it was set
        with pytest.raises(TypeError, match="the result 'g' can't be kept"):
            results["g"] = object()
        with pytest.raises(TypeError, match="the key of a result is a str, got 3"):
            results[wrong] = 1
        removals: list[Callable[[], Any]] = [
            lambda: results.pop("a"),
            results.popitem,
            results.clear,
        ]
        for remove in removals:
            with pytest.raises(TypeError, match="results are recorded and stay; set one to None"):
                remove()
        with pytest.raises(TypeError, match="results are recorded and stay"):
            del results["a"]
        assert run.results == recorded
    results["late"] = 1
    assert run.results == recorded
    with run.rerun() as run_context:
        assert run_context.results == recorded


async def test_waiting_is_the_same_in_asyncio(experiment: Any) -> None:
    run = experiment.run(id="r")
    with run.start():
        pass
    with trio.fail_after(60):
        await run.wait.aio()
