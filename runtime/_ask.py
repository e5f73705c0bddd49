"""Asking a node, and waiting for the reply: `run.ask` and `ctx.ask`."""

import math
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from ..actors._ask import Question, WhenRestarting, check_timeout
from ..actors._ask_errors import AskFailed, AskTimeout, NoReply, TargetRestarting
from ..actors._child import ActorChild
from ..actors._dead_letters import DeadLetter
from ..actors._lease import Leases
from ..actors._lifecycle import State
from ..channels._context import message_context
from ..channels._envelope import NO_CONTEXT, Envelope, MessageContext
from ..channels._lane import Lane
from ..channels._outlet import NOTHING, EndOfOutput, Outlet
from ..channels._tracking import open_piece
from ._ask_tap import ReplyTap
from ._ask_watch import OVER, OVERDUE, AskWatch
from ._names import suggest
from ._node_ended import NodeEnded
from ._report import NodeReport

if TYPE_CHECKING:
    from ._execution import Execution

DEFAULT_TIMEOUT = 30.0
"""Seconds."""


class Asking:
    """The questions of one run. Open to its contexts from the start, empty until one asks."""

    def __init__(self) -> None:
        self._execution: Execution | None = None
        self._watch: AskWatch | None = None
        self._routes: dict[str, tuple[ActorChild, Outlet]] = {}
        self._taps: dict[str, tuple[ReplyTap, int]] = {}
        self.late: dict[str, int] = {}
        """Node -> replies of it that came when nobody waited for them any more."""

    def begin(self, execution: "Execution") -> None:
        """Belong to a run."""
        self._execution = execution

    def look(self) -> None:
        """A node has ended: let nothing of this keep the run when it was the last."""
        if self._watch is not None:
            self._watch.look()

    def end(self) -> None:
        """The run has ended: no question gets a reply any more."""
        for question in () if self._watch is None else tuple(self._watch.open):
            question.fail("abandoned")

    def complete(self, reports: dict[str, NodeReport]) -> None:
        """Put into the nodes' reports what is known here."""
        for name, late in self.late.items():
            reports[name] = msgspec.structs.replace(reports[name], late_replies=late)

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        restarting: WhenRestarting = "wait",
        asker: Leases | None = None,
    ) -> Any:
        """Send a question and return the reply.

        Args:
            asker: the mailbox of the actor that asks; None: asked from outside of an actor.

        Raises: as told by `Run.ask`.
        """
        route = self._routes.get(to) if type(to) is str else None
        child, inlet = self._route(to) if route is None else route
        if timeout != DEFAULT_TIMEOUT:
            check_timeout(timeout)
        if child.state is not State.RUNNING or inlet.one is None or inlet.one.ended:
            inlet = self._look_at(child, inlet, x, restarting, asker)
        now = trio.current_time()
        context = message_context.get()
        if context is NO_CONTEXT:
            context = self._execution.settings.message_context  # type: ignore[union-attr]  # begun
        question = Question(
            child.name,
            owner=current_task(),
            asked_by=asker,
            deadline=math.inf if timeout is None else now + timeout,
            reply_from=None if reply_from is None else self._tap(reply_from),
            on_late=self._note_late,
            parents=context.tracking,
        )
        watch = self._watch
        assert watch is not None
        watch.add(question)
        try:
            await self._place(child, inlet, question, x, context)
            if not question.is_over:
                question.task = question.owner
                await wait_task_rescheduled(question.give_up)
        finally:
            watch.remove(question)
            if question.reply is NOTHING:
                question.outcome = question.outcome or "abandoned"
            if question.reply_from is not None:
                self._untap(question.reply_from)
        if question.reply is not NOTHING:
            return question.reply
        raise self._error(child, question, x, timeout)

    # -- where it goes -----------------------------------------------------------------------

    def _route(self, to: Any) -> tuple[ActorChild, Outlet]:
        execution = self._execution
        assert execution is not None
        cell = execution.desk.cell(to)
        name, child = cell.node.name, cell.child
        if not isinstance(child, ActorChild):
            raise ValueError(f"{name!r} is a batch task, which takes no messages; ask an actor")
        if cell.node.options.fan_in != "merge" and len(child.mailbox.lanes) > 1:
            raise ValueError(
                f"{name!r} joins its upstreams ({cell.node.options.fan_in}): a "
                "question is one message, and none of theirs; ask a node with fan_in='merge'"
            )
        if self._watch is None:
            self._watch = AskWatch(execution)
        if child.state in OVER:
            return child, Outlet(child.mailbox)
        self._routes[name] = route = (child, execution.inlet(name))
        return route

    def _look_at(
        self,
        child: ActorChild,
        inlet: Outlet,
        x: Any,
        restarting: WhenRestarting,
        asker: Leases | None,
    ) -> Outlet:
        """Return where a question enters a node that does not simply run."""
        execution = self._execution
        assert execution is not None
        if restarting not in ("wait", "raise"):
            raise ValueError(f"restarting can't be {restarting!r}; choose one of: wait, raise")
        if child.state is State.RESTARTING and restarting == "raise":
            raise TargetRestarting(
                f"{child.name!r} is being restarted (incarnation {child.incarnation} has failed); "
                "ask again, or wait with restarting='wait'"
            )
        box = child.mailbox
        lane = inlet.one
        if child.state in OVER or box.closed or (lane is not None and lane.ended):
            may_wait = not (child.state in OVER or box.closed or asker is None)
            if not may_wait or (box.at_end() and not box.comes_again()):
                raise self._ended(child, x)
            # While the run drains, what was accepted may still have questions.
            return self._second_inlet(child)
        return inlet

    def _second_inlet(self, child: ActorChild) -> Outlet:
        execution = self._execution
        assert execution is not None
        lane = Lane("@ask", child.name, child.mailbox)
        lane.weak = True
        outlet = execution.open_lane(lane, child)
        self._routes[child.name] = (child, outlet)
        return outlet

    async def _place(
        self,
        child: ActorChild,
        inlet: Outlet,
        question: Question,
        x: Any,
        context: MessageContext,
    ) -> None:
        watch = self._watch
        assert watch is not None
        asker = question.asked_by
        if asker is not None:
            owner = child.mailbox.owner
            if owner is question.owner or owner in watch.owners or child.mailbox.shared is not None:
                cycle = watch.find_cycle(question)
                if cycle is not None:
                    raise cycle
        context = msgspec.structs.replace(context, tracking=(*context.tracking, question))
        lane = inlet.one
        if lane is not None and not lane.is_full() and lane.overflow == "block":
            open_piece(lane, context)
            lane.place(x, context, inlet.lineage.next_origin(), False)
            return
        with trio.CancelScope(deadline=question.deadline) as question.scope:
            try:
                await inlet.put_with(x, context)
            except EndOfOutput:
                raise self._ended(child, x) from None
        if question.scope.cancelled_caught:
            question.fail(OVERDUE)
        question.scope = None

    # -- the reply ---------------------------------------------------------------------------

    def _tap(self, reply_from: Any) -> str:
        execution = self._execution
        assert execution is not None
        key = (
            reply_from if isinstance(reply_from, str) else execution.desk.cell(reply_from).node.name
        )
        tap, users = self._taps.get(key, (None, 0))
        if tap is None:
            tap = ReplyTap(key)
            self._outlet(key).add_tap(tap)
        self._taps[key] = (tap, users + 1)
        return key

    def _outlet(self, key: str) -> Outlet:
        assert self._execution is not None
        name, _, output = key.partition(".")
        child = self._execution.desk.cell(name).child
        if not isinstance(child, ActorChild) or child.outlet is None:
            raise ValueError(f"reply_from={key!r}: {name!r} is a batch task; name an actor")
        if output and output not in child.outputs:
            raise ValueError(
                f"reply_from={key!r}: {name!r} has no output {output!r};"
                f"{suggest(output, child.outputs)}"
            )
        return child.outputs[output] if output else child.outlet

    def _untap(self, key: str) -> None:
        tap, users = self._taps.pop(key)
        if users > 1:
            self._taps[key] = (tap, users - 1)
        else:
            self._outlet(key).remove_lane(tap)

    def _note_late(self, question: Question, reply: Any, by: str) -> None:
        self.late[by] = self.late.get(by, 0) + 1
        if question.reply is NOTHING:
            # Nobody has had a reply, and now nobody will: it must not be lost without a record.
            assert self._execution is not None
            envelope = Envelope(reply, by, self.late[by])
            self._execution.dead_letters.add(DeadLetter(by, envelope, "late_reply"))

    # -- why there is none -------------------------------------------------------------------

    def _ended(self, child: ActorChild, x: Any) -> NodeEnded:
        assert self._execution is not None
        return NodeEnded(
            f"{child.name!r} takes no questions any more (it is {child.state.value}, the run is "
            f"{self._execution.status}); the question was not handled",
            x,
        )

    def _error(
        self, child: ActorChild, question: Question, x: Any, timeout: float | None
    ) -> BaseException:
        outcome, name = question.outcome, child.name
        if outcome is OVERDUE:
            assert timeout is not None
            return AskTimeout(
                f"no reply from {name!r} within {timeout:g} s; {self._whereabouts(question)}",
                name,
                timeout,
            )
        if isinstance(outcome, BaseException):
            return outcome
        assert outcome is not None
        reasons = question.reasons
        if outcome == "abandoned" or f"{name}: reader_ended" in reasons:
            return self._ended(child, x)
        if outcome == "dead_lettered":
            return self._failed(question, name)
        why = {
            "acknowledged": "was handled",
            "dropped": f"was dropped ({', '.join(reasons)})",
            "expired": f"has expired ({', '.join(reasons)})",
        }[outcome]
        return NoReply(
            f"the question to {name!r} {why}, and nobody has replied: reply with `await "
            "ctx.reply(...)` before the next message, or name with reply_from= whose output it is",
            name,
            outcome,
            reasons,
        )

    def _failed(self, question: Question, name: str) -> AskFailed:
        assert self._execution is not None
        letters = self._execution.dead_letters.choose(
            lambda letter: question in letter.envelope.context.tracking
        )
        failures = tuple(failure for letter in letters for failure in letter.failures)
        last = f"; the last failure: {failures[-1]}" if failures else ""
        error = AskFailed(
            f"the question to {name!r} is a dead letter ({', '.join(question.reasons)}){last}",
            name,
            "dead_lettered",
            question.reasons,
        )
        error.failures = failures
        return error

    def _whereabouts(self, question: Question) -> str:
        execution = self._execution
        assert execution is not None
        places: list[str] = []
        for name in sorted(question.held_by()):
            cell = execution.cells.get(name)
            if cell is not None and isinstance(cell.child, ActorChild):
                queued = sum(lane.queued for lane in cell.child.mailbox.lanes)
                places.append(f"{name!r} ({cell.child.state.value}, {queued} queued)")
        if not places:
            return "it waited for room"
        return f"under way at {', '.join(places)}; allow more with timeout="
