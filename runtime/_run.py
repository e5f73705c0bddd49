"""The live handle of a run."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Never, TypeVar

import trio

from ..actors._child import ActorChild
from ..actors._dead_letters import DeadLetter
from ..channels._overflow import OverflowPolicy, check_capacity, check_overflow
from ._alone import among_runs
from ._async_only import AsyncOnly
from ._execution import Execution
from ._group_report import report_group
from ._names import parameters_of, refuse_unknown, suggest
from ._redeliver import redeliver
from ._report import StatusReport, WorkflowResult
from ._run_control import RunControl
from ._run_messages import RunMessages, is_over
from ._stream import Stream
from ._trio_only import refuse_outside_trio

T = TypeVar("T")

DRAIN_BUDGET = 10.0
"""Seconds."""


class LiveRun(RunMessages, RunControl, AsyncOnly):
    """What `async with wf.open(...) as run:` gives. Leaving the block drains the run."""

    _opened_as = "async with wf.open() as run:"

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._desk = execution.desk
        self._nursery: Any = None
        self._among_runs: Any = None

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> "LiveRun":
        refuse_outside_trio("wf.open()", "`async with trouper.open(wf) as run:`")
        if self._execution.is_begun:
            raise RuntimeError("this run was entered before; call wf.open() again for another")
        self._among_runs = among_runs(self._execution.settings.run_context)
        self._among_runs.__enter__()
        recording = self._execution.recording
        if recording is not None:
            try:
                recording.begin(self._execution)
            except BaseException:
                self._among_runs.__exit__(None, None, None)
                raise
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        started = trio.Event()
        nursery.start_soon(self._go, started)
        # A cancel is for the block: nobody would close the nursery of one that was not entered.
        with trio.CancelScope(shield=True):
            await started.wait()
        return self

    async def _go(self, started: trio.Event) -> None:
        started.set()
        await self._execution.run()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The nursery never sees the block's exception, so that it is not wrapped in a group.
        try:
            if exc is None:
                await self.drain()
            else:
                self.cancel(why_left(exc, trio.Cancelled))
        finally:
            await self._leave(exc)

    async def _leave(self, exc: BaseException | None) -> None:
        recording = self._execution.recording
        try:
            await self._nursery.__aexit__(None, None, None)
        except BaseException as error:
            exc = error
            raise
        finally:
            self._among_runs.__exit__(None, None, None)
            if recording is not None:
                recording.end(self._execution, exc)
        if recording is not None and recording.failure is not None and exc is None:
            raise recording.failure

    @property
    def name(self) -> str:
        return self._execution.settings.run_context.run_name

    @property
    def has_begun(self) -> bool:
        """Whether its block was entered."""
        return self._execution.is_begun

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the run goes on any more."""
        return self._execution.finished.is_set()

    async def call_there(self, fn: Callable[..., Awaitable[T]], /, *args: Any, **named: Any) -> T:
        """Await `fn(...)` here, where the actors run: what handles of other hosts do, for them."""
        self._check_begun("call_there")
        return await fn(*args, **named)

    def result(self) -> WorkflowResult:
        """Return how the run ended.

        Raises:
            RuntimeError: it goes on; `await run.wait()`.
        """
        if not self.has_ended:
            raise RuntimeError(f"run {self.name!r} goes on; `await run.wait()` gives its result")
        return self._execution.result()

    def cancel(self, reason: str = "run.cancel() was called") -> None:
        """Cancel everything at once; what was in hand is recorded. Idempotent."""
        self._execution.cancel(reason)

    async def drain(self, budget: float = DRAIN_BUDGET) -> WorkflowResult:
        """End the sources, handle everything that was accepted, and return the result.

        Args:
            budget: seconds; what has not ended by then is cancelled and named in `cut_short`.
        """
        if isinstance(budget, bool) or not isinstance(budget, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
            raise TypeError(f"drain() takes a budget in seconds, got {budget!r}")
        if not budget > 0:
            raise ValueError(f"drain() takes a budget > 0 s, got {budget}; run.cancel() is at once")
        self._check_begun("drain")
        if not self._execution.finished.is_set():
            await self._execution.drain(budget)
        return self._execution.result()

    async def wait(self) -> WorkflowResult:
        """Wait for the end and return the result; never raises for a failed node."""
        self._check_begun("wait")
        await self._execution.finished.wait()
        return self._execution.result()

    # -- messages ----------------------------------------------------------------------------

    def stream(
        self,
        node: Any,
        *,
        capacity: float = 64,
        overflow: OverflowPolicy = "block",
        **unknown: Never,
    ) -> Stream:
        """Return the node's output as a stream: of an actor, by name (`node` or `node.output`).

        Raises:
            ValueError: there is no such node or output, it is a batch task, or an option is not
                legal.
            TypeError: there is no such option.
        """
        refuse_unknown("run.stream()", unknown, parameters_of(self.stream))
        owner = f"the stream of {node!r}"
        check_capacity(capacity, overflow=check_overflow(overflow, owner=owner), owner=owner)
        if overflow == "fail":
            raise ValueError(
                f"overflow of {owner} can't be 'fail': a slow reader outside would fail the node; "
                "choose 'block', or one that drops"
            )
        key = node if isinstance(node, str) else self._name_of(node)
        name, _, output = key.partition(".")
        child = self._execution.cells[self._name_of(name)].child
        if not isinstance(child, ActorChild) or child.outlet is None:
            raise ValueError(f"{name!r} is a batch task; read its output from the run's result")
        if output and output not in child.outputs:
            raise ValueError(f"{name!r} has no output {output!r};{suggest(output, child.outputs)}")
        outlet = child.outputs[output] if output else child.outlet
        return Stream(outlet, key, capacity, overflow, partial(is_over, child))

    # -- looking -----------------------------------------------------------------------------

    def status(self) -> StatusReport:
        """Return what can be said of the run right now.

        Raises:
            RuntimeError: it has not begun.
        """
        self._check_begun("status")
        execution = self._execution
        is_over = execution.finished.is_set()
        now = execution.ended_at if is_over else execution.now()
        return StatusReport(
            run_name=self.name,
            workflow=execution.workflow,
            status=execution.outcome() if is_over else execution.status,
            seconds=now - execution.started_at,
            nodes=execution.node_reports(now),
            edges=execution.edge_reports(),
            dead_letters=execution.dead_letters.total,
            groups={
                name: report_group(group, is_over=is_over)
                for name, group in execution.groups.items()
            },
        )

    async def redeliver(
        self, what: DeadLetter | Iterable[DeadLetter] | Callable[[DeadLetter], object]
    ) -> int:
        """Put dead letters back to the nodes that gave them up; return how many.

        They come before new messages, as a first attempt, and keep their id and history. Waits
        while as many as the node's `capacity` come again already.

        Args:
            what: letters, of this run or of an earlier one of such a graph, or what chooses among
                this run's.

        Raises:
            NodeEnded: a node takes nothing more; letters not put back by then stay where they are.
                What a function has chosen is passed over then, and a log line counts it.
            ValueError, TypeError: a letter of another run fits no edge of this graph.
        """
        self._check_begun("redeliver")
        return await redeliver(self._execution, what)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Return the messages that were given up, oldest first (the newest 10,000)."""
        return tuple(self._execution.dead_letters)

    @property
    def results(self) -> dict[str, Any]:
        """What `ctx.set_result` has kept so far."""
        return dict(self._execution.settings.run_context.results)


def why_left(exc: BaseException | None, *cancels: type[BaseException]) -> str:
    """Return why a run is cancelled whose block was left by `exc`; "": it is not.

    Args:
        cancels: what the loop cancels a task by.
    """
    if exc is None:
        return ""
    if isinstance(exc, cancels):
        return "the task that opened it was cancelled"
    return f"the block that opened it raised {exc!r}"


LiveRun.__module__ = "trouper"
