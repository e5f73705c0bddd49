"""A supervised child: what stays while its incarnations come and go."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from inspect import isasyncgen
from typing import Any, Protocol, cast

import msgspec
import trio
from attrs import define, field

from ..channels._context import message_context
from ..channels._inbox import EndOfInput
from ..channels._outlet import EndOfOutput, Outlet
from ._actor_context import ActorContext
from ._cancelled import split_cancelled
from ._current import current_context
from ._driver import drive_generator, is_own_end
from ._failure import FailureSummary, summarize
from ._lifecycle import Event, State, step
from ._mailbox import Mailbox
from ._restart import RestartPolicy
from ._stopping import Stopping
from ._task_context import TaskContext
from ._timeout import HandlerTimeout, until_cut_off

log = logging.getLogger("trouper")

KEPT_FAILURES = 5
"""Summaries of the last failures that a child keeps; older ones are only counted."""

_NONE_COUNTED: list[float] = []
"""Never added to: most children never fail."""

_WHOEVER_READS = suppress(EndOfOutput)
"""Around what follows the body: that is a normal end, whether anybody reads or not."""

Hook = Callable[..., Awaitable[None]]


class Behaviour(msgspec.Struct, frozen=True):
    """What one incarnation runs."""

    run: Callable[[Any], Any]
    """Takes the context; returns an awaitable or an async generator."""
    start: Hook | None = None
    """`await start(ctx)`, before the first message."""
    stop: Hook | None = None
    """`await stop(ctx, reason)`, whatever the end: "normal", "failed", "cancelled"."""
    restarted: Hook | None = None
    """`await restarted(cause)` on an instance that serves again after a failure."""


class Keeper(Protocol):
    """Whom an incarnation tells how it ended: the supervisor. It decides, and never waits."""

    def returned(self, child: "Child") -> None:
        """It has come to its end, or a cancel of its own was caught; `child.state` says which."""
        ...

    def failed(self, child: "Child", error: Exception) -> None: ...

    def broken_off(self, child: "Child", error: BaseException) -> None:
        """It was cut off from outside. Raises what has to pass."""
        ...


class Probe(Protocol):
    """Where the test harness may interfere."""

    def at(self, point: str, node: str) -> None:
        """Called at `start` and `finish` of every incarnation; may raise."""
        ...


@define(eq=False)
class Child:
    """One node's record: lifecycle, counts and failures."""

    name: str
    policy: RestartPolicy
    probe: Probe | None = None
    state: State = State.WAITING
    incarnation: int = 0
    """How many times it was started."""
    failed: int = 0
    """How many incarnations failed."""
    attempt: int = 0
    """Attempt of the message that the last failure had in hand; 0 if there was none."""
    gave_up: bool = False
    """Whether that was its last attempt: the message is a dead letter."""
    failures: tuple[FailureSummary, ...] = ()
    """The last few, oldest first. No deque: that costs 0.7 KiB, and most children never fail."""
    counted: list[float] = _NONE_COUNTED
    """When the failures happened that count for the restart intensity, seconds on trio's clock."""
    streak: int = 0
    """Failures in a row."""
    started_at: float = -math.inf
    value: Any = None
    """The output, once it is done."""
    error: Exception | None = None
    """The failure that ended it, once it has failed."""
    scope: trio.CancelScope | None = None
    """Around what it does now: its incarnation, or its wait for the next one."""
    retired: bool = False
    """Whether it was told to end; then it is not restarted."""

    def move(self, event: Event) -> None:
        self.state = step(self.state, event)

    def begin(self) -> None:
        self.move(Event.START)
        self.incarnation += 1
        self.started_at = trio.current_time()
        if self.probe is not None:
            self.probe.at("start", self.name)

    async def incarnate(self, keeper: Keeper) -> None:
        """Run one incarnation to its end, and tell the keeper how it ended.

        One coroutine does all of it: each one more costs memory, and time at every wake-up.

        Raises:
            BaseException: what the keeper lets pass, as a cancel from outside.
        """
        raise NotImplementedError

    def note_failure(self, error: Exception, now: float) -> FailureSummary:
        """Record a failure as text, so that neither it nor its frames stay alive (case X17)."""
        summary = summarize(error)
        self.failed += 1
        if now - self.started_at >= self.policy.backoff.forgiven_after:
            self.streak = 0
        self.streak += 1
        self.keep_failure(summary)
        return summary

    def keep_failure(self, summary: FailureSummary) -> None:
        self.failures = (*self.failures, summary)[-KEPT_FAILURES:]

    def retire(self) -> None:
        """Cancel it for good: the message in hand is released, and it is not restarted."""
        self.retired = True
        if self.scope is not None:
            self.scope.cancel()

    def count_failure(self, now: float) -> None:
        """Let a failure count for the restart intensity; forget those older than the period."""
        oldest = now - self.policy.period
        if not self.counted or self.counted[0] < oldest:
            self.counted = [at for at in self.counted if at >= oldest]
        self.counted.append(now)

    def may_go_on(self) -> bool:
        """Return whether there can be more to do after a normal return."""
        return False

    def has_progressed(self) -> bool:
        """Return whether the last incarnation has done anything with its input."""
        return True

    def close(self) -> None:
        """Tell its neighbours that nothing more comes, and nothing more is taken. Idempotent."""


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
        assert self.spec is not None
        try:
            self.begin()
            self.move(Event.READY)
            context = self.spec.task_context()
            current_context.set(context)
            self.value = await self.spec.call(context)
            self.move(Event.END)
        except Exception as error:
            now = trio.current_time()
            self.note_failure(error, now)
            self.count_failure(now)
            keeper.failed(self, error)
        except BaseException as error:
            keeper.broken_off(self, error)
        else:
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
    timed_out: HandlerTimeout | None = None
    """Why this incarnation was cut off, until the keeper is told."""

    def all_outlets(self) -> Sequence[Outlet]:
        if not self.outputs:
            return () if self.outlet is None else (self.outlet,)
        return (*(() if self.outlet is None else (self.outlet,)), *self.outputs.values())

    async def incarnate(self, keeper: Keeper) -> None:
        if self.retired:  # before it has begun
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
                    self.move(Event.READY)
                    body: Any = behaviour.run(context)
                    del behaviour
                    try:
                        if isasyncgen(cast("object", body)):
                            assert self.outlet is not None
                            await drive_generator(body, box, self.outlet)
                        else:
                            await body
                    except (EndOfInput, EndOfOutput, BaseExceptionGroup) as end:
                        if not is_own_end(end, box):
                            raise
                    if self.probe is not None:
                        self.probe.at("finish", self.name)
                    with _WHOEVER_READS:
                        await box.finish()
                    reason = "normal"
                except BaseException as error:
                    reason = self._settle(error, box)
                    raise
                finally:
                    if stop is not None:
                        await self._stop(stop, context, reason)
            self._leave(scope)
        except Exception as error:
            keeper.failed(self, error)
        except BaseException as error:
            keeper.broken_off(self, error)
        else:
            keeper.returned(self)

    def _open(self, scope: trio.CancelScope) -> None:
        if self.policy.restart == "permanent":
            self._taken_before = self._taken()
        self.scope = scope
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
        else:
            self.expired += 1
            self.move(Event.RESTART)

    def _settle(self, error: BaseException, box: Mailbox) -> str:
        """Settle what was in hand when an incarnation was ended by an error; return the reason."""
        _, rest = split_cancelled(error)
        if box.timeout is not None and not self.retired:
            rest = self._over_time(error, rest, box.timeout.error(box))
        if isinstance(rest, Exception):
            now = trio.current_time()
            self.attempt = 0 if box.leased is None else box.leased.attempt
            if self.attempt == 1:
                # It has got on: the delays begin anew. Else they would stretch failures over one
                # message after the other beyond the period, and none of them would escalate.
                self.streak = 0
            self.gave_up = box.is_last_attempt()
            if box.reject(self.note_failure(rest, now)):
                self.count_failure(now)
            return "failed"
        self._return_lease(box)
        return "cancelled" if rest is None else "failed"

    def _over_time(
        self, error: BaseException, rest: BaseException | None, late: HandlerTimeout | None
    ) -> BaseException | None:
        """Return what has failed, when the message in hand may have been over its time."""
        if late is None or isinstance(rest, HandlerTimeout):
            return rest
        if rest is None:
            # Where the handler was when it was cut off tells more than where this was made.
            self.timed_out = rest = late.with_traceback(until_cut_off(error.__traceback__))
        else:
            rest.add_note(f"after its time was over: {late}")
        return rest

    async def _stop(self, stop: Hook, context: Any, reason: str) -> None:
        message_context.set(self.mailbox.base)
        try:
            deadline = trio.current_time() + self.shutdown
            with trio.CancelScope(shield=True, deadline=deadline) as scope:
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

    def has_progressed(self) -> bool:
        return self._taken() > self._taken_before

    def may_go_on(self) -> bool:
        return not self.stopping and not (self.mailbox.at_end() and not self.mailbox.comes_again())

    def close(self) -> None:
        if not self.mailbox.closed:
            for outlet in self.all_outlets():
                outlet.end()
            self.mailbox.close("dropped" if self.state is State.DONE else "abandoned")
