"""`trouper.run`: a workflow or a task, from synchronous code."""

from collections.abc import Callable, Mapping
from typing import Any, overload

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from .. import _blocking
from .._names import parameters_of, refuse_unknown
from .._report import WorkflowResult
from .._run import DRAIN_BUDGET, LiveRun
from .._settings import Harness
from .._workflow import Workflow
from ._bound_task import take_task
from ._run import TaskRun
from ._runner import with_runcontext


@overload
def run(
    workflow: Workflow,
    /,
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
) -> WorkflowResult: ...
@overload
def run(task: Callable[..., Any], /, *args: Any, **named: Any) -> TaskRun: ...
def run(target: Any, /, *args: Any, **named: Any) -> Any:
    """Run a workflow, or a task of an environment with its arguments, to its end.

    A task is run as by `trouper.with_runcontext().run(task, ...)`: that returns the run, and raises
    what the task failed by. A workflow never raises for a failed node; it takes these arguments.

    Args:
        duration: seconds after which the run is drained; None: until it ends by itself.
        drain_budget: seconds that a drain may take (after `duration`, or Ctrl-C).
        on_start: called once with the live handle when the run has started; if it gives back a
            coroutine, that runs beside the graph and is cancelled at its end.
        run, run_context, profile_config, config, deps, state, harness: as in `Workflow.execute`.
        workspace: where the run is recorded, as of `with_runcontext`; False: nowhere. (All
            arguments beside a task are the task's: use `with_runcontext(workspace=...)` there.)

    Raises:
        GraphError: the graph can't run.
        RuntimeUserError: the task failed.
        StoreError: the workspace can't be written; nothing has run.
        RuntimeError: an event loop already runs in this thread; the text names the awaitable form.
        TypeError: `target` is neither, or takes no such argument.
    """
    if take_task(target) is not None:
        return with_runcontext().run(target, *args, **named)
    if not isinstance(target, Workflow):
        raise TypeError(
            f"trouper.run() takes a trouper.Workflow or a task of an environment, got {target!r}"
        )
    refuse_unknown("trouper.run()", named, parameters_of(_blocking.run))
    return _blocking.run(target, *args, **named)


run.__module__ = "trouper"
