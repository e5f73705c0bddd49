"""A batch task or an actor under supervision: how an incarnation runs, and how it ends."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from inspect import isasyncgen
from typing import TYPE_CHECKING, Any, Protocol, cast

import trio
from attrs import define, field

from ..channels._context import message_context
from ..channels._outlet import NOTHING, EndOfOutput, Outlet
from ._actor_context import ActorContext
from ._cancelled import split_cancelled, stray_cancel
from ._current import current_context
from ._driver import drive_generator, is_own_end
from ._failure import summarize
from ._lifecycle import Event, State
from ._mailbox import Mailbox
from ._record import Behaviour as Behaviour
from ._record import Child as Child
from ._record import Hook as Hook
from ._record import Keeper as Keeper
from ._record import Probe as Probe
from ._rejected import origin_of, rejected_by
from ._restart_on import Verdict
from ._resume import gives_up_message, resumes
from ._stopping import Stopping
from ._task_context import TaskContext
from ._timeout import failure_of

if TYPE_CHECKING:
    from ._children import Children

log = logging.getLogger("trouper")

_WHOEVER_READS = suppress(EndOfOutput)
"""Around what follows the body: that is a normal end, whether anybody reads or not."""


class TaskSpec(Protocol):
    """What a task's child asks for at each incarnation."""

    def call(self, context: TaskContext[Any, Any, Any]) -> Awaitable[Any]: ...
    def task_context(self) -> TaskContext[Any, Any, Any]: ...


class ActorSpec(Protocol):
    """What an actor's child asks for at each incarnation."""

    def behaviour(self) -> Behaviour: ...
    def actor_context(self) -> ActorContext[Any, Any, Any, Any]: ...


@define(eq=False)
class TaskChild(Child):
    """A batch task: one call, one result."""

    spec: TaskSpec | None = None

    async def incarnate(self, keeper: Keeper) -> None:
        if self.boss is not None:
            return await self._incarnate_in_scope(keeper)
        assert self.spec is not None
        try:
            self.begin()
            self.move(Event.READY)
            context = self.spec.task_context()
            current_context.set(context)
            self.value = await self.spec.call(context)
            self.move(Event.END)
        except BaseException as error:
            self._fail(error, keeper)
        else:
            keeper.returned(self)

    async def _incarnate_in_scope(self, keeper: Keeper) -> None:
        """Do so where a boss may stop it: in a scope of its own."""
        assert self.spec is not None
        if self.retired or self.halted:  # before it has begun
            return self._leave(keeper)
        try:
            with trio.CancelScope() as self.scope:
                self.begin()
                self.be_ready()
                context = self.spec.task_context()
                current_context.set(context)
                self.value = await self.spec.call(context)
                self.move(Event.END)
        except BaseException as error:
            self._fail(error, keeper)
        else:
            self._leave(keeper)

    def accept(self, verdict: Verdict) -> Verdict:
        if verdict.answer not in ("resume", "stop"):
            return verdict
        why = f"restart_on answered {verdict.answer!r}, which means nothing for a task"
        return Verdict("escalate", why)

    def _fail(self, error: BaseException, keeper: Keeper) -> None:
        failure = error if isinstance(error, Exception) else stray_cancel(error)
        if failure is None:
            return keeper.broken_off(self, error)
        now = trio.current_time()
        self.note_failure(failure, now)
        self.count_failure(now)
        keeper.failed(self, failure)

    def _leave(self, keeper: Keeper) -> None:
        if self.state is not State.DONE:
            self.move(Event.CANCEL) if self.retired else self.lie_down()
        keeper.returned(self)


@define(eq=False)
class ActorChild(Child):
    """A streaming actor: a mailbox and outputs that outlive its incarnations."""

    mailbox: Mailbox = field(factory=lambda: Mailbox(""))
    outlet: Outlet | None = None
    outputs: Mapping[str, Outlet] = field(factory=dict[str, Outlet])
    """Further named outputs."""
    spec: ActorSpec | None = None
    stopping: Stopping = field(factory=Stopping)
    shutdown: float = 5.0
    """Seconds that the `stop` hook may take, at any end."""
    _taken_before: int = 0
    expired: int = 0
    """Incarnations that ended because the deadline of their message passed."""
    timed_out: BaseException | None = None
    """Why this incarnation was cut off, until the keeper is told."""
    children: "Children | None" = None
    """What this incarnation has spawned; None: nothing."""

    def all_outlets(self) -> Sequence[Outlet]:
        if not self.outputs:
            return () if self.outlet is None else (self.outlet,)
        return (*(() if self.outlet is None else (self.outlet,)), *self.outputs.values())

    async def incarnate(self, keeper: Keeper) -> None:
        if self.retired or self.halted:  # before it has begun
            if self.retired:
                self.move(Event.CANCEL)
            return keeper.returned(self)
        box = self.mailbox
        try:
            with trio.CancelScope() as scope:
                self._open(scope)
                stop = context = None
                reason = "failed"
                try:
                    # A failure anywhere here counts, a factory's too: else it would be restarted
                    # for ever.
                    self.begin()
                    behaviour, context = self._make()
                    stop = behaviour.stop
                    if behaviour.start is not None:
                        await behaviour.start(context)
                    if behaviour.restarted is not None and self.failed:
                        await behaviour.restarted(self.failures[-1])
                    self.be_ready()
                    body: Any = behaviour.run(context)
                    again = None if self.policy.rule is None else behaviour.run
                    del behaviour
                    while body is not None:
                        try:
                            if isasyncgen(cast("object", body)):
                                assert self.outlet is not None
                                await drive_generator(body, box, self.outlet)
                            else:
                                await body
                            body = None
                        except BaseException as end:
                            body = self._body_after(end, again, context, keeper)
                            if body is NOTHING:
                                raise
                    if self.probe is not None:
                        self.probe.at("finish", self.name)
                    with _WHOEVER_READS:
                        await box.finish()
                    if self.children is not None:
                        await self.children.drain()
                    reason = "normal"
                except BaseException as error:
                    reason = self._settle(error, box)
                    raise
                finally:
                    if self.children is not None:
                        await self.children.close()
                    if stop is not None and self.shutdown > 0:  # 0: brutally, with no time for it
                        await self._stop(stop, context, reason)
            self._leave(scope)
        except Exception as error:
            keeper.failed(self, error)
        except BaseException as error:
            keeper.broken_off(self, error)
        else:
            keeper.returned(self)

    def _body_after(
        self, end: BaseException, again: Callable[[Any], Any] | None, context: Any, keeper: Keeper
    ) -> Any:
        """Return what goes on after a body that was ended by an error.

        None: nothing, it was a normal end. NOTHING: the error is to be raised; raised here, it and
        this frame would keep each other alive.
        """
        if is_own_end(end, self.mailbox):
            return None
        return NOTHING if again is None or not resumes(self, end, keeper) else again(context)

    def _open(self, scope: trio.CancelScope) -> None:
        if self.policy.restart == "permanent":
            self._taken_before = self._taken()
        self.scope = scope
        self.children = None
        self.mailbox.begin(scope)
        if message_context.get() is not self.mailbox.base:
            message_context.set(self.mailbox.base)

    def _make(self) -> tuple[Behaviour, ActorContext[Any, Any, Any, Any]]:
        assert self.spec is not None
        behaviour = self.spec.behaviour()
        context = self.spec.actor_context()
        current_context.set(context)
        return behaviour, context

    def _leave(self, scope: trio.CancelScope) -> None:
        timed_out, self.timed_out = self.timed_out, None
        if timed_out is not None:
            raise timed_out
        if not scope.cancelled_caught:
            self.move(Event.END)
        elif self.retired:
            self.move(Event.CANCEL)
        elif self.halted:
            self.move(Event.RESTART)
        else:
            self.expired += 1
            self.move(Event.RESTART)

    def _settle(self, error: BaseException, box: Mailbox) -> str:
        """Settle what was in hand when an incarnation was ended by an error; return the reason."""
        _, rest = split_cancelled(error)
        if box.timeout is not None and not self.retired:
            failure = failure_of(box, error)
            self.timed_out = failure if rest is None else None
            rest = failure
        if rest is None and self.children is not None:
            # A child that is given up is a failure of whoever has spawned it.
            self.timed_out = rest = self.children.failure
        if rest is None and (stray := stray_cancel(error)) is not None and self.scope is not None:
            self.timed_out = rest = stray
            self.scope.cancel()  # which takes the Cancelled in, so that it goes no further
        if isinstance(rest, Exception):
            now = trio.current_time()
            before = rejected_by(rest) if box.leased is None else None
            if before is not None:  # in a block of `ctx.leased()`
                self.attempt, self.gave_up = before.attempt, before.gave_up
                self.failed_over = before.origin
            else:
                self.attempt = 0 if box.leased is None else box.leased.attempt
                self.gave_up = box.is_last_attempt()
                self.failed_over = None if box.leased is None else origin_of(box.leased)
            if self.attempt == 1:
                # It has got on: the delays begin anew. Else they would stretch failures over one
                # message after the other beyond the period, and none of them would escalate.
                self.streak = 0
            summary = self.note_failure(rest, now)
            if gives_up_message(self, box, summary):
                pass  # `restart_on` says so
            elif box.reject(summary) if before is None else before.counts:
                self.count_failure(now)
            return "failed"
        self._return_lease(box)
        return "cancelled" if rest is None else "failed"

    async def _stop(self, stop: Hook, context: Any, reason: str) -> None:
        message_context.set(self.mailbox.base)
        began = trio.current_time()
        try:
            deadline = began if self.hurried else began + self.shutdown
            with trio.CancelScope(shield=True, deadline=deadline) as scope:
                self.closing = scope
                await stop(context, reason)
            if scope.cancelled_caught:
                log.warning(
                    "the stop hook of %r was cut after %g s; allow more with shutdown=",
                    self.name,
                    self.shutdown,
                )
        except Exception as error:
            if reason == "normal":
                now = trio.current_time()
                self.note_failure(error, now)
                self.count_failure(now)
                raise
            # What ended the incarnation matters more: a cancel must not become a failure.
            self.keep_failure(summarize(error))
        finally:
            self.closing = None
            self.stop_clock(trio.current_time() - began)

    def _return_lease(self, box: Mailbox) -> None:
        """Cancelled: by the deadline of the message in hand, or from outside (it comes again)."""
        leased = box.leased
        deadline = None if leased is None else leased.context.deadline
        if deadline is not None and deadline <= trio.current_time():
            box.expire()
        else:
            box.release()

    def _taken(self) -> int:
        box = self.mailbox
        return box.redelivered + sum(lane.sent - lane.queued for lane in box.lanes)

    def was_told_to_end(self) -> bool:
        return self.retired or bool(self.stopping)

    def finish(self) -> None:
        self.stopping.set()
        for lane in self.mailbox.lanes:
            lane.end()
        for outlet in () if self.is_fed() else self.all_outlets():
            outlet.finish_after_next(f"{self.name!r} was asked to stop")
        if self.state is State.RESTARTING and not self.may_find_work():
            self.retire()  # it waits for its next incarnation, which would find nothing to do

    def is_fed(self) -> bool:
        lanes = self.mailbox.lanes
        return any(lane.sent for lane in lanes) or self.mailbox.owner is not None

    def retire(self) -> None:
        self.mailbox.cut_off()
        super().retire()

    def halt(self) -> None:
        self.mailbox.cut_off()
        super().halt()

    def may_find_work(self) -> bool:
        """Return whether there is a message, or can be."""
        return not self.mailbox.at_end() or self.mailbox.comes_again()

    def has_progressed(self) -> bool:
        return self._taken() > self._taken_before

    def may_go_on(self) -> bool:
        return not self.stopping and self.may_find_work()

    def close(self) -> None:
        if not self.mailbox.closed:
            for outlet in self.all_outlets():
                outlet.end()
            self.mailbox.close("dropped" if self.state is State.DONE else "abandoned")
