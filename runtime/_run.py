"""The live handle of a run."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

import trio

from ..actors._ask import WhenRestarting
from ..actors._child import ActorChild, Child
from ..actors._dead_letters import DeadLetter
from ..channels._context import message_context
from ..channels._envelope import NO_CONTEXT
from ..channels._outlet import EndOfOutput
from ..channels._overflow import OverflowPolicy, check_capacity, check_overflow
from ..channels._tracking import open_piece
from ._convert_message import convert_message
from ._execution import Execution
from ._group_report import report_group
from ._message_types import expected_types
from ._names import suggest
from ._node_ended import NodeEnded
from ._outside_context import outside_context
from ._redeliver import redeliver
from ._report import StatusReport, WorkflowResult
from ._run_control import RunControl
from ._sources import RUN
from ._stream import Stream

DRAIN_BUDGET = 10.0
"""Seconds."""


class LiveRun(RunControl):
    """What `async with wf.open(...) as run:` gives. Leaving the block drains the run."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._desk = execution.desk
        self._nursery: Any = None

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> "LiveRun":
        if self._execution.is_begun:
            raise RuntimeError("this run was entered before; call wf.open() again for another")
        recording = self._execution.recording
        if recording is not None:
            recording.begin(self._execution)
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        started = trio.Event()
        nursery.start_soon(self._go, started)
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
                self.cancel(f"the block that opened it raised {exc!r}")
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
            if recording is not None:
                recording.end(self._execution, exc)
        if recording is not None and recording.failure is not None and exc is None:
            raise recording.failure

    @property
    def name(self) -> str:
        return self._execution.settings.run_context.run_name

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the run goes on any more."""
        return self._execution.finished.is_set()

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

    def _check_begun(self, what: str) -> None:
        if not self._execution.is_begun:
            raise RuntimeError(
                f"run.{what}() before the run has begun; write `async with wf.open() as run:`"
            )

    # -- messages ----------------------------------------------------------------------------

    async def send(
        self,
        x: Any,
        to: Any = None,
        *,
        source: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        custom_context: Mapping[str, str] | None = None,
    ) -> None:
        """Send a message into a node from outside; wait while its inlet is full.

        Args:
            x: converted to the node's input type, strictly.
            to: the node, by name or object; may be left out if only one node has no upstream.
            source: the upstream to stand in for; needed by zip and latest nodes.
            timeout: seconds until the message's deadline: it, and what is made from it, is
                dead-lettered as `expired` when it is not handled by then.
            correlation_id, traceparent, custom_context: travel with the message and with what is
                made from it; `traceparent` is a W3C header, `custom_context` goes over the run's.

        Raises:
            TypeError: `x` is not of the node's input type, or `custom_context` not of str.
            ValueError: there is no such node or upstream, or none was named and several could be;
                or `timeout` or `traceparent` is not legal.
            NodeEnded: the node takes nothing more. `x` was not accepted.
        """
        self._check_begun("send")
        execution = self._execution
        name = self._target(to)
        cell = execution.cells[name]
        child = cell.child
        assert isinstance(child, ActorChild)
        x = convert_message(x, self._type_of(name, source), node=name)
        current = message_context.get()
        context = outside_context(
            execution.settings.message_context if current is NO_CONTEXT else current,
            timeout=timeout,
            correlation_id=correlation_id,
            traceparent=traceparent,
            custom_context=custom_context,
        )
        token = message_context.set(context)
        try:
            await self._put(child, x, source)
        except EndOfOutput:
            raise NodeEnded(
                f"{name!r} takes nothing more (it is {child.state.value}, the run is "
                f"{execution.status}); the message was not accepted",
                x,
            ) from None
        finally:
            message_context.reset(token)

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any = None,
        timeout: float | None = 30.0,
        restarting: WhenRestarting = "wait",
    ) -> Any:
        """Send a question into a node from outside, and return the reply.

        It is answered by `await ctx.reply(y)` in whichever node handles what came from it; the
        first reply wins.

        Args:
            x: converted to the node's input type, strictly.
            to: the node, by name or object.
            reply_from: a node (or `node.output`) whose first output that descends from the question
                is the reply.
            timeout: seconds; None: no limit.
            restarting: "wait" while the node is being restarted, or "raise".

        Raises:
            TypeError, ValueError: `x` is not of the node's input type, there is no such node, or an
                argument is not legal.
            NoReply: all that came from the question is settled, and nobody has replied.
            AskFailed: the question is a dead letter: every attempt at it has failed.
            AskTimeout: no reply came in time.
            NodeEnded: the node takes nothing more; the question comes back as `error.payload`.
            TargetRestarting: the node is being restarted (`restarting="raise"`).
            BufferOverflow: the node's inlet is full, and has overflow="fail".
        """
        if not self._execution.is_begun:
            self._check_begun("ask")
        return await self._execution.settings.asking.ask(
            x,
            to,
            reply_from=reply_from,
            timeout=timeout,
            restarting=restarting,
            convert=self._convert,
        )

    def _convert(self, name: str, x: Any) -> Any:
        return convert_message(x, self._type_of(name, None), node=name)

    async def _put(self, child: ActorChild, x: Any, source: str | None) -> None:
        if _is_over(child) or self._execution.status != "running":
            raise EndOfOutput("", None)
        if source is not None:
            await self._send_as(child, source, x)
        else:
            context = message_context.get()
            inlet = self._execution.inlet(child.name)
            # What follows the message that is handled here follows what is made from it too.
            await (inlet.put_with(x, context) if context.tracking else inlet.put(x))

    async def _send_as(self, child: ActorChild, source: str, x: Any) -> None:
        lanes = {lane.source: lane for lane in child.mailbox.lanes}
        if source not in lanes:
            raise ValueError(
                f"{child.name!r} has no stream upstream {source!r};{suggest(source, lanes)}"
            )
        lane = lanes[source]
        # Its readers have a turn before each message: with an overflow that drops, none ever waits.
        await trio.lowlevel.checkpoint()
        while lane.is_full():
            await lane.wait_room()
        if lane.ended or lane.reader_gone:
            raise EndOfOutput("", None)
        lane.check_room()
        open_piece(lane, message_context.get())
        lane.place(x, message_context.get(), None, False)

    def _type_of(self, name: str, source: str | None) -> Any:
        node = self._execution.cells[name].node
        if not node.keyed:
            return node.types.input
        if source is None:
            if node.options.fan_in != "merge":
                keys = ", ".join(repr(upstream.key) for upstream in node.upstreams)
                raise ValueError(
                    f"{name!r} joins its upstreams ({node.options.fan_in}); say which one the "
                    f"message stands for: run.send(..., source=...), one of {keys}"
                )
            source = RUN
        keys_in_order = [*(upstream.key for upstream in node.upstreams), RUN]
        return expected_types(node.types.input, keys_in_order).get(source, Any)

    def _target(self, to: Any) -> str:
        cells = self._execution.cells
        if to is None:
            free = [n for n, c in cells.items() if not c.node.upstreams and c.node.kind == "actor"]
            if len(free) != 1:
                raise ValueError(
                    f"name the node: run.send(x, to=...); without an upstream are {free or 'none'}"
                )
            return free[0]
        name = self._name_of(to)
        if cells[name].node.kind != "actor":
            raise ValueError(f"{name!r} is a batch task, which takes no messages; send to an actor")
        return name

    def _name_of(self, node: Any) -> str:
        cells = self._execution.cells
        if not isinstance(node, str):
            found = next((n for n, c in cells.items() if c.node.obj is node), repr(node))
        else:
            found = node
        if found not in cells:
            raise ValueError(f"there is no node {found!r};{suggest(found, cells)}")
        return found

    def stream(
        self, node: Any, *, capacity: float = 64, overflow: OverflowPolicy = "block"
    ) -> Stream:
        """Return the node's output as a stream: of an actor, by name (`node` or `node.output`).

        Raises:
            ValueError: there is no such node or output, it is a batch task, or an option is not
                legal.
        """
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
        return Stream(outlet, key, capacity, overflow, partial(_is_over, child))

    # -- looking -----------------------------------------------------------------------------

    def status(self) -> StatusReport:
        """Return what can be said of the run right now."""
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


def _is_over(child: Child) -> bool:
    return child.state.value in ("done", "failed", "cancelled")


LiveRun.__module__ = "trouper"
