"""Run a workflow from synchronous code, with Ctrl-C as people expect it.

First Ctrl-C: drain within a budget. Second: cancel. Third: exit 130 at once.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sniffio
import trio
from msgspec.structs import replace

from ..actors._profile_config import ProfileConfig
from ..actors._run_context import RunContext
from ._alone import among_runs
from ._execution import Execution
from ._in_worker import refuse_in_a_worker
from ._interrupts import catch_interrupts, obey_interrupts
from ._leaf import only_leaf
from ._report import WorkflowResult
from ._run import DRAIN_BUDGET, LiveRun
from ._settings import ExecuteOptions, Harness
from ._workflow import Workflow

if TYPE_CHECKING:
    from .tasks._run import TaskRun


def run(
    workflow: Workflow,
    *,
    run: Any = None,
    run_context: RunContext | None = None,
    profile_config: ProfileConfig | Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    deps: Any = None,
    state: Any = None,
    duration: float | None = None,
    drain_budget: float = DRAIN_BUDGET,
    on_start: Callable[[LiveRun], Any] | None = None,
    harness: Harness | None = None,
    workspace: Any = None,
) -> WorkflowResult:
    """Run a workflow to its end and return how it ended; never raises for a failed node.

    Args:
        duration: seconds after which the run is drained; None: until it ends by itself.
        drain_budget: seconds that a drain may take (after `duration`, or Ctrl-C).
        on_start: called once with the live handle when the run has started; if it gives back a
            coroutine, that runs beside the graph and is cancelled at its end.
        run, run_context, profile_config, config, deps, state, harness: as in `Workflow.execute`.
        workspace: as of `with_runcontext`. With `run_context` the run is that one, and whoever
            made it has it recorded.

    Raises:
        GraphError: the graph can't run.
        StoreError: the workspace can't be written; nothing has run.
        RuntimeError: an event loop already runs in this thread; the text names the awaitable form.
    """
    _refuse_inside_a_loop(workflow)
    refuse_in_a_worker(workflow.name)
    if duration is not None and not duration >= 0:
        raise ValueError(f"duration must be >= 0 s or None, got {duration!r}")
    options: ExecuteOptions = {
        "profile_config": profile_config,
        "config": config,
        "deps": deps,
        "state": state,
        "harness": harness,
    }
    if run is not None:
        options["run"] = run
    execution, recorded = _prepared(workflow, run_context, workspace, options)
    return run_to_end(
        execution,
        duration=duration,
        drain_budget=drain_budget,
        on_start=on_start,
        recorded=recorded,
    )


def _prepared(
    workflow: Workflow, run_context: RunContext | None, workspace: Any, options: ExecuteOptions
) -> "tuple[Execution, TaskRun | None]":
    if run_context is not None or "run" in options:
        if workspace is not None:
            given = "run" if run_context is None else "run_context"
            raise ValueError(
                f"{given} and workspace can't both be given: whoever made the {given} has it "
                "recorded; give one of them"
            )
        chosen: ExecuteOptions = {**options, "run_context": run_context}
        return workflow.prepare(**chosen), None
    # Here, for the tasks import this module.
    from .tasks._parameters import check_parameters
    from .tasks._runner import prepare_graph

    return prepare_graph(workflow, check_parameters(None, {"workspace": workspace}), **options)


def run_to_end(
    execution: Execution,
    *,
    duration: float | None,
    drain_budget: float,
    on_start: Callable[[LiveRun], Any] | None,
    last_words: bytes = b"",
    recorded: "TaskRun | None" = None,
) -> WorkflowResult:
    """Run what was prepared; arguments as of `run`.

    Args:
        last_words: as of `catch_interrupts`.
        recorded: what runs it; None: it runs itself, and nobody writes down how it went.

    Raises:
        StoreError: the workspace can't be written; nothing has run.
        BaseException: what passes through every supervisor, as `sys.exit()` in a body; bare.
    """

    async def main() -> WorkflowResult:
        with catch_interrupts(last_words) as interrupts:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(obey_interrupts, execution, interrupts, drain_budget)
                if duration is not None:
                    nursery.start_soon(_drain_after, execution, duration, drain_budget)
                if on_start is not None:
                    nursery.start_soon(_beside, on_start, LiveRun(execution))
                result = await _executed(execution, recorded)
                nursery.cancel_scope.cancel()
        return result

    if recorded is not None:
        recorded.begin()
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        error = only_leaf(group)
    finally:
        if recorded is not None:
            recorded.give_up()
    # Outside of the clause above: it would get the group as its context.
    raise error


async def _executed(execution: Execution, recorded: "TaskRun | None") -> WorkflowResult:
    if recorded is None:
        with among_runs(execution.settings.run_context):
            if execution.recording is not None:
                return await execution.recording.execute(execution)
            await execution.run()
            return execution.result()
    await recorded.go()
    result, refusal = execution.result(), recorded.refusal
    if refusal is None or result.status == "failed":
        return result
    # What was finished stands in it; but that it went well is not on record.
    return replace(result, status="failed", error=refusal, reason=str(refusal))


def _refuse_inside_a_loop(workflow: Workflow) -> None:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    # Only trio can run a workflow; any other loop needs a thread for it.
    instead = "wf.execute(...)" if library == "trio" else f"{library}.to_thread(trouper.run, wf)"
    raise RuntimeError(
        f"trouper.run() blocks, and {library} already runs in this thread; write "
        f"`await {instead}` for {workflow.name!r} instead"
    )


async def _drain_after(execution: Execution, duration: float, budget: float) -> None:
    with trio.move_on_after(duration):
        await execution.finished.wait()
        return
    await execution.drain(budget)


async def _beside(on_start: Callable[[LiveRun], Any], handle: LiveRun) -> None:
    beside = on_start(handle)
    if beside is not None:
        await beside


run.__module__ = "trouper"
