"""What a run does: a task with all that it calls, or a workflow."""

import sys
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from functools import partial
from time import time
from typing import Any, Literal, Protocol, Unpack

import trio

from ...actors._current import current_context
from ...actors._profile_config import ProfileConfig
from ...actors._run_context import ActionID, RunContext
from ...actors._task_context import TaskContext
from ...channels._context import message_context
from .._execution import Execution
from .._interrupts import obey_interrupts
from .._leaf import only_leaf
from .._report import NodeReport
from .._run import DRAIN_BUDGET
from .._settings import ExecuteOptions, Settings
from .._watchdog import watch_loop
from .._workflow import Workflow
from ..bundle._of_run import say_code
from ..logs._of_run import know_nodes
from ..store._records import ActionRecord
from ..store._records import Ended as EndPhase
from ._action import Action, ActionReport, Phase, report
from ._calls import Calls, calls_of
from ._drive import drive
from ._groups import current_group
from ._node_records import NodeRecords
from ._outputs import Outputs, outputs_of, outputs_of_nodes
from ._run import TaskRun
from ._served import in_queue, join_run, performer
from ._source import source_of
from ._spec import Spec
from ._stream import last_of_stream
from .errors import RuntimeUserError

STALL = 1.0
"""Seconds that a task may block the event loop before a warning names its line."""

Ended = tuple[EndPhase, Outputs, BaseException | None]


class Work(Protocol):
    """What the handle of a run asks of it."""

    name: str
    inputs: Mapping[str, Any]
    raises: bool
    """Whether `runner.run` raises what it failed by."""
    kind: Literal["task", "workflow"]
    failed_in: str | None
    """Name of the action, or node, that it failed in; None: it has not failed so."""

    @property
    def config(self) -> ProfileConfig:
        """What its tasks read as `ctx.config`."""
        ...

    async def obey(self, run: TaskRun, interrupts: trio.MemoryReceiveChannel[int]) -> None:
        """Do what Ctrl-C asks for, each time it comes. Runs until it is cancelled."""
        ...

    async def run(self) -> Ended:
        """Do all of it. Raises what has to pass, as a cancel from outside."""
        ...

    def cancel(self, reason: str) -> None:
        """Cancel all of it, in the thread of the event loop."""
        ...

    def actions(self) -> ActionReport: ...

    def look(self, execution: int) -> Iterable[ActionRecord]:
        """Return records of what does not tell of itself. From any thread."""
        ...

    def source(self) -> dict[str, str]:
        """Return where its code is, for those who run it again."""
        ...


async def abort_at_interrupts(run: TaskRun, interrupts: trio.MemoryReceiveChannel[int]) -> None:
    """Cancel a run at the first signal, and say what more of them do."""
    async for count in interrupts:
        run.interrupted = True
        more = "twice more" if count == 1 else "once more"
        sys.stderr.write(f"\ncancelling; {more} to leave at once\n")
        run.abort("interrupted")


class TaskWork:
    """A task, its first action, and all that this calls."""

    raises = True
    kind: Literal["task", "workflow"] = "task"
    failed_in: str | None = None

    def __init__(
        self, spec: Spec, context: RunContext, args: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self.name = spec.name
        self._spec = spec
        self._args, self._named = spec.binder.bind(args, named)
        self.inputs: Mapping[str, Any] = spec.binder.as_mapping(self._args, self._named)
        join_run(context, spec)
        say_code(context, spec.name, [spec.function])
        self._calls: Calls = calls_of(context)
        self._root = Action(spec.name, spec.name, self._calls, None, None)
        self._root.interruptible = spec.settings.interruptible
        self._calls.add(self._root)
        self._context = context
        self._scope = trio.CancelScope()

    @property
    def config(self) -> ProfileConfig:
        return ProfileConfig()

    def cancel(self, reason: str) -> None:
        self._scope.cancel()

    async def obey(self, run: TaskRun, interrupts: trio.MemoryReceiveChannel[int]) -> None:
        """Cancel at the first signal: a call has nothing to drain. The third ends the process."""
        await abort_at_interrupts(run, interrupts)

    def actions(self) -> ActionReport:
        return report(self._root)

    def look(self, execution: int) -> Iterable[ActionRecord]:
        return ()  # each of its actions notes itself

    def source(self) -> dict[str, str]:
        return source_of(self._spec.function)

    async def run(self) -> Ended:
        value: Any = None
        failure: RuntimeUserError | None = None
        try:
            # A run that a task starts has the watchdog of the run around it.
            limit = STALL if current_context.get() is None else None
            with watch_loop(limit), self._scope:
                async with trio.open_nursery() as self._calls.nursery:
                    try:
                        value = await self._run_root()
                    except RuntimeUserError as error:  # kept: the nursery would wrap it
                        failure = error
        except BaseException as error:
            raise only_leaf(error) from None
        finally:
            self._calls.nursery = None
        if failure is not None:
            self.failed_in = failure.action or self.name
            return "failed", Outputs(), failure
        if self._root.phase == "completed":
            return "completed", outputs_of(value), None
        return "cancelled", Outputs(), None

    async def _run_root(self) -> Any:
        """Run the first action, with nothing of the context variables of another run (case X1)."""
        run = self._context
        base = TaskContext[Any, Any, Any](
            run_context=run,
            action=ActionID(
                name=self.name,
                run_name=run.run_name,
                project=run.project,
                domain=run.domain,
                org=run.org,
            ),
        )
        own = copy_context()
        own.run(message_context.set, Settings(run_context=run).message_context)
        own.run(current_context.set, None)
        own.run(current_group.set, None)
        do = performer(self._spec, self._calls)
        if self._spec.kind == "stream":
            do = partial(in_queue, last_of_stream)
        return await drive(own.run, do(self._spec, self._root, base, self._args, self._named))


class WorkflowWork:
    """A graph. Its nodes may call tasks, which are actions below theirs."""

    raises = False
    kind: Literal["task", "workflow"] = "workflow"
    failed_in: str | None = None

    def __init__(
        self, workflow: Workflow, context: RunContext, **options: Unpack[ExecuteOptions]
    ) -> None:
        self.name = workflow.name
        self.inputs: Mapping[str, Any] = {}
        self._context = context
        join_run(context, None)
        chosen: ExecuteOptions = {**options, "run_context": context}
        self.execution: Execution = workflow.prepare(**chosen)
        self._nodes = NodeRecords(self.execution)
        self._phase: Phase = "waiting"
        self._started = self._ended = 0.0
        know_nodes(context, self.execution.cells)
        say_code(context, workflow.name, [cell.node.obj for cell in self.execution.cells.values()])

    @property
    def config(self) -> ProfileConfig:
        return self.execution.settings.config

    def cancel(self, reason: str) -> None:
        self.execution.cancel(reason)

    async def obey(self, run: TaskRun, interrupts: trio.MemoryReceiveChannel[int]) -> None:
        """Drain at the first signal, cancel at the second."""
        await obey_interrupts(self.execution, interrupts, DRAIN_BUDGET)

    async def run(self) -> Ended:
        self._phase, self._started = "running", time()
        self._nodes.begin()
        ended: EndPhase = "cancelled"
        try:
            await self.execution.run()
            result = self.execution.result()
            if result.status in ("completed", "failed"):
                ended = result.status
            self.failed_in = result.failed_node
            return ended, outputs_of_nodes(result.outputs), result.error
        finally:
            self._phase, self._ended = ended, time()

    def source(self) -> dict[str, str]:
        for cell in self.execution.cells.values():
            found = source_of(cell.node.obj)
            if found:
                return found
        return {}

    def look(self, execution: int) -> Iterable[ActionRecord]:
        """Return how the nodes stand, as far as that has changed since the last look."""
        return self._nodes.changed(execution)

    def actions(self) -> ActionReport:
        """Return the nodes, and below each the tasks that it has called."""
        nodes = self.execution.node_reports(0.0, of_all=True) if self._started else {}
        called = calls_of(self._context).roots
        return ActionReport(
            name=self.name,
            task=self.name,
            phase=self._phase,
            attempts=1 if self._started else 0,
            started=self._started,
            ended=self._ended,
            children=tuple(
                _report_node(name, node, called.get(name), self._nodes.times(name))
                for name, node in nodes.items()
            ),
        )


def _report_node(
    name: str, node: NodeReport, called: Action | None, times: tuple[float, float]
) -> ActionReport:
    return ActionReport(
        name=name,
        task=name,
        phase=_PHASES.get(node.state, "running"),
        attempts=node.incarnation,
        started=times[0],
        ended=times[1],
        error=node.failures[-1] if node.failures else None,
        children=() if called is None else report(called).children,
    )


_PHASES: Mapping[str, Phase] = {
    "waiting": "waiting",
    "done": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
