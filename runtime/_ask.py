"""Asking a node, and waiting for the reply: `run.ask` and `ctx.ask`."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio
from msgspec.structs import replace
from trio.lowlevel import current_task, wait_task_rescheduled

from ..actors._ask import Question, WhenRestarting, check_restarting, check_timeout
from ..actors._ask_errors import AskFailed, AskTimeout, NoReply, TargetRestarting
from ..actors._child import ActorChild
from ..actors._dead_letters import LATE_REPLY, DeadLetter
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
    from ._wiring import Cell

DEFAULT_TIMEOUT = 30.0
"""Seconds."""


class Route:
    """How a question gets to one node."""

    __slots__ = ("box", "child", "inlet", "is_typed", "lane", "plain")

    def __init__(self, child: ActorChild, inlet: Outlet, takes: Any) -> None:
        self.child = child
        self.box = child.mailbox
        self.inlet = inlet
        self.lane = inlet.lanes[0]
        self.is_typed = takes is not Any
        """Whether what enters from outside is converted to a type of the node's."""
        self.plain = takes if takes in (str, int, float, bool, bytes) else None
        """A type whose instances need no look."""


class Asking:
    """The questions of one run. Open to its contexts from the start, empty until one asks."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._taps: dict[str, tuple[ReplyTap, int]] = {}
        self.late: dict[str, int] = {}
        """Node -> replies of it that came when nobody waited for them any more."""

    def begin(self, execution: "Execution") -> None:
        """Belong to a run."""
        self._run = execution
        self._watch = AskWatch(execution)

    @property
    def is_watching(self) -> bool:
        """Whether somebody looks after questions that nobody has answered."""
        return self._watch.is_watching

    def look(self) -> None:
        """A node has ended: let nothing of this keep the run when it was the last."""
        self._watch.look()

    def end(self) -> None:
        """The run has ended: no question gets a reply any more."""
        for question in tuple(self._watch.owners.values()):
            question.fail("abandoned")

    def complete(self, reports: dict[str, NodeReport]) -> None:
        """Put into the nodes' reports what is known here."""
        for name, late in self.late.items():
            reports[name] = replace(reports[name], late_replies=late)

    # -- who asks ----------------------------------------------------------------------------

    def _cell(self, node: str) -> "Cell | None":
        execution = self._run
        return execution.cells.get(node) or execution.spawner.cells.get(node)

    def attempt_of(self, node: str) -> int:
        cell = self._cell(node)
        return 1 if cell is None else cell.child.incarnation

    def upstreams_of(self, node: str) -> tuple[str, ...]:
        cell = self._cell(node)
        upstreams = () if cell is None else cell.node.upstreams
        return tuple(dict.fromkeys(each.node for each in upstreams))

    # -- asking ------------------------------------------------------------------------------

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        restarting: WhenRestarting = "wait",
        asker: Leases | None = None,
        convert: Callable[[str, Any], Any] | None = None,
    ) -> Any:
        """Send a question and return the reply.

        Args:
            asker: the mailbox of the actor that asks; None: asked from outside of an actor.
            convert: (node, question) -> what the node takes.

        Raises: as told by `LiveRun.ask`.
        """
        route = self._routes.get(to) if type(to) is str else None
        if route is None:
            route = self._find_route(to, x)
        if timeout != DEFAULT_TIMEOUT or restarting != "wait":
            check_timeout(timeout)
            check_restarting(restarting)
        if convert is not None and route.is_typed and type(x) is not route.plain:
            x = convert(route.child.name, x)
        if route.child.state is not State.RUNNING or route.lane.ended:
            route = self._look_at(route, x, restarting, asker)
        question, context = self._question(route, asker, timeout, reply_from)
        task, owners = question.owner, self._watch.owners
        owners[task] = question
        try:
            if not self._place_at_once(route, question, x, context):
                await self._place(route, question, x, context)
            if question.outcome is None and question.reply is NOTHING:
                question.task = task
                await wait_task_rescheduled(question.give_up)
        finally:
            del owners[task]
            if question.reply is NOTHING:
                question.outcome = question.outcome or "abandoned"
            if question.reply_from is not None:
                self._untap(question.reply_from)
        if question.reply is not NOTHING:
            return question.reply
        raise self._error(route.child, question, x, timeout)

    def _question(
        self, route: Route, asker: Leases | None, timeout: float | None, reply_from: Any
    ) -> tuple[Question, MessageContext]:
        """Return a question and the context that its message carries."""
        context = message_context.get()
        if context is NO_CONTEXT:
            context = self._run.settings.message_context
        deadline = math.inf if timeout is None else trio.current_time() + timeout
        watch = self._watch
        if deadline < watch.wakes_at:
            watch.hurry(deadline)
        tap = None if reply_from is None else self._tap(reply_from)
        question = Question(
            route.child.name,
            current_task(),
            asker,
            deadline,
            tap,
            context.tracking,
            self.note_late,
        )
        return question, replace(context, tracking=(*context.tracking, question))

    # -- where it goes -----------------------------------------------------------------------

    def _find_route(self, to: Any, x: Any) -> Route:
        cell = self._run.desk.cell(to)
        name, child = cell.node.name, cell.child
        if not isinstance(child, ActorChild):
            raise ValueError(
                f"{name!r} is a batch task: it runs once, when its inputs stand, and takes no "
                "messages; wait for its result with run.wait(), or have its function called for "
                "each question by wf.map(function, over=...) over a stream, or by an actor"
            )
        if child.mailbox.join is not None:
            raise ValueError(
                f"{name!r} joins its upstreams ({cell.node.options.fan_in}): a question is one "
                "message, and none of theirs; ask a node with fan_in='merge'"
            )
        if child.state in OVER:
            raise self._ended(child, x)
        self._routes[name] = route = Route(child, self._run.inlet(name), cell.node.types.input)
        return route

    def _look_at(
        self, route: Route, x: Any, restarting: WhenRestarting, asker: Leases | None
    ) -> Route:
        """Return where a question enters a node that does not simply run."""
        child, box = route.child, route.box
        if child.state is State.RESTARTING and restarting == "raise":
            raise TargetRestarting(
                f"{child.name!r} is being restarted (incarnation {child.incarnation} has failed); "
                "ask again, or wait with restarting='wait'"
            )
        is_over = child.state in OVER or box.closed
        if is_over or (route.lane.ended and asker is None):
            raise self._ended(child, x)
        if not route.lane.ended:
            return route
        if box.at_end() and not box.comes_again():
            raise self._ended(child, x)
        # While the run drains, what was accepted may still have questions.
        lane = Lane("@ask", child.name, box)
        lane.weak = True
        self._routes[child.name] = route = Route(child, self._run.open_lane(lane, child), Any)
        return route

    def _place_at_once(
        self, route: Route, question: Question, x: Any, context: MessageContext
    ) -> bool:
        """Send a question if nothing has to be looked at before; return whether it was sent."""
        if question.asked_by is not None:
            box = route.box
            if box.shared is not None or box.owner in self._watch.owners:
                return False
        lane = route.lane
        if not lane.armed and (lane.overflow != "block" or lane.is_full()):
            return False
        open_piece(lane, context)
        lane.place(x, context, route.inlet.lineage.next_origin(), False)
        return True

    async def _place(
        self, route: Route, question: Question, x: Any, context: MessageContext
    ) -> None:
        """Send a question, unless it could never be answered; wait for room."""
        if question.asked_by is not None:
            cycle = self._watch.find_cycle(question)
            if cycle is not None:
                raise cycle
        with trio.CancelScope(deadline=question.deadline) as question.scope:
            try:
                await route.inlet.put_with(x, context)
            except EndOfOutput:
                raise self._ended(route.child, x) from None
        if question.scope.cancelled_caught:
            question.fail(OVERDUE)
        question.scope = None

    # -- the reply ---------------------------------------------------------------------------

    def _tap(self, reply_from: Any) -> str:
        execution = self._run
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
        name, _, output = key.partition(".")
        child = self._run.desk.cell(name).child
        if not isinstance(child, ActorChild) or child.outlet is None:
            raise ValueError(
                f"reply_from={key!r}: {name!r} is a batch task, whose one output comes at the end "
                "of the streams into it; name an actor, or a map over a stream"
            )
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

    def note_late(self, question: Question, reply: Any, by: str) -> None:
        self.late[by] = self.late.get(by, 0) + 1
        if question.reply is NOTHING:
            # Nobody has had a reply, and now nobody will: it must not be lost without a record.
            envelope = Envelope(reply, by, self.late[by])
            self._run.dead_letters.add(DeadLetter(by, envelope, LATE_REPLY))

    # -- why there is none -------------------------------------------------------------------

    def _ended(self, child: ActorChild, x: Any) -> NodeEnded:
        return NodeEnded(
            f"{child.name!r} takes no questions any more (it is {child.state.value}, the run is "
            f"{self._run.status}); the question was not handled",
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
        letters = self._run.dead_letters.choose(
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
        execution = self._run
        places: list[str] = []
        for name in sorted(question.held_by()):
            cell = execution.cells.get(name)
            if cell is not None and isinstance(cell.child, ActorChild):
                queued = sum(lane.queued for lane in cell.child.mailbox.lanes)
                places.append(f"{name!r} ({cell.child.state.value}, {queued} queued)")
        if not places:
            return "it waited for room"
        return f"under way at {', '.join(places)}; allow more with timeout="
