"""The part of a run's handle that hands messages and questions to its nodes."""

from collections.abc import Mapping
from typing import Any, Never

import trio

from ..actors._ask import WhenRestarting
from ..actors._child import ActorChild, Child
from ..channels._context import message_context
from ..channels._envelope import NO_CONTEXT, MessageContext
from ..channels._outlet import EndOfOutput
from ..channels._tracking import open_piece
from ._convert_message import convert_message
from ._execution import Execution
from ._message_types import expected_types
from ._names import parameters_of, refuse_unknown, suggest
from ._node_ended import NodeEnded
from ._outside_context import outside_context
from ._sources import ENDED, RUN

_NONE: Mapping[str, object] = {}


class RunMessages:
    """Send, ask, and find the node that is meant."""

    _execution: Execution

    def _check_begun(self, what: str, unknown: Mapping[str, object] = _NONE) -> None:
        """Refuse what needs a run that has begun.

        Args:
            unknown: options that were given, and that there are not.

        Raises:
            TypeError: there are such options; names the nearest one that there is.
            RuntimeError: it has not.
        """
        if unknown:
            refuse_unknown(f"run.{what}()", unknown, parameters_of(getattr(self, what)))
        if not self._execution.is_begun:
            raise RuntimeError(
                f"run.{what}() before the run has begun; write `async with wf.open() as run:`"
            )

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
        **unknown: Never,
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
            TypeError: `x` is not of the node's input type, `custom_context` not of str, or there is
                no such option.
            ValueError: there is no such node or upstream, or none was named and several could be;
                or `timeout` or `traceparent` is not legal.
            NodeEnded: the node takes nothing more. `x` was not accepted.
        """
        self._check_begun("send", unknown)
        execution = self._execution
        name = self._target(to)
        cell = execution.cells[name]
        child = cell.child
        assert isinstance(child, ActorChild)
        x = convert_message(x, self._type_of(name, source), node=name)
        context = self._context_from_outside(
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
        correlation_id: str | None = None,
        traceparent: str | None = None,
        custom_context: Mapping[str, str] | None = None,
        **unknown: Never,
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
            correlation_id, traceparent, custom_context: as of `send`.

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
        if unknown or not self._execution.is_begun:
            self._check_begun("ask", unknown)
        token = None
        if correlation_id is not None or traceparent is not None or custom_context is not None:
            context = self._context_from_outside(
                correlation_id=correlation_id,
                traceparent=traceparent,
                custom_context=custom_context,
            )
            token = message_context.set(context)
        try:
            return await self._execution.settings.asking.ask(
                x,
                to,
                reply_from=reply_from,
                timeout=timeout,
                restarting=restarting,
                convert=self._convert,
            )
        finally:
            if token is not None:
                message_context.reset(token)

    def _context_from_outside(self, **given: Any) -> MessageContext:
        current = message_context.get()
        base = self._execution.settings.message_context if current is NO_CONTEXT else current
        return outside_context(base, **{"timeout": None, **given})

    def _convert(self, name: str, x: Any) -> Any:
        return convert_message(x, self._type_of(name, None), node=name)

    async def _put(self, child: ActorChild, x: Any, source: str | None) -> None:
        if is_over(child) or self._execution.status != "running":
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

    def input_type(self, node: Any) -> Any:
        """Return the type of messages that a node takes from outside; Any: it does not say.

        Raises:
            ValueError: there is no such node, it is a batch task, or it joins its upstreams.
        """
        return self._type_of(self._target(node), None)

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


def is_over(child: Child) -> bool:
    """Return whether a node has ended for good."""
    return child.state in ENDED
