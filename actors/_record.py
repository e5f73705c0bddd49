"""What stays of a supervised child while its incarnations come and go, whatever its kind."""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import trio
from attrs import define

from ..channels._envelope import Origin, origin_text
from ._boss import Boss
from ._failure import FailureSummary, summarize
from ._lifecycle import Event, State, step
from ._restart import RestartPolicy
from ._restart_on import Verdict

KEPT_FAILURES = 5
"""Summaries of the last failures that a child keeps; older ones are only counted."""

_NONE_COUNTED: list[float] = []
"""Never added to: most children never fail."""

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

    def resumed(self, child: "Child", failure: FailureSummary) -> None:
        """It failed, and goes on with its next message."""
        ...

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
    boss: Boss | None = None
    """Who decides about it; None: the run."""
    halted: bool = False
    """Whether its boss told it to stop, and will start it again."""
    hurried: bool = False
    """Whether its time to stop is up."""
    closing: trio.CancelScope | None = None
    """Around its `stop` hook, while it is in a group."""
    verdict: Verdict | None = None
    """What `restart_on` says of the last failure, until it is acted on."""
    failed_over: Origin | None = None
    """What the last failure had in hand was made from; see `Envelope.id`."""

    def move(self, event: Event) -> None:
        self.state = step(self.state, event)

    def end(self) -> None:
        """End as by a normal end, after a failure."""
        if self.state is State.STARTING:
            self.move(Event.READY)
        self.move(Event.END)

    def fail(self, error: Exception) -> None:
        """End by a failure."""
        self.move(Event.GIVE_UP)
        self.error = error

    def lie_down(self) -> None:
        """Wait for the next start, whatever state it stopped in."""
        if self.state not in (State.WAITING, State.RESTARTING):
            self.move(Event.RESTART)

    def begin(self) -> None:
        self.move(Event.START)
        self.incarnation += 1
        self.started_at = trio.current_time()
        if self.probe is not None:
            self.probe.at("start", self.name)

    def be_ready(self) -> None:
        """Its start has succeeded."""
        self.move(Event.READY)
        if self.boss is not None:
            self.boss.child_ready(self)

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
        self.lengthen_streak(now)
        self.keep_failure(summary)
        self.judge(error)
        return summary

    def lengthen_streak(self, now: float) -> None:
        """Count one more failure in a row, unless this incarnation ran for long enough."""
        if now - self.started_at >= self.policy.backoff.forgiven_after:
            self.streak = 0
        self.streak += 1

    def judge(self, error: Exception) -> None:
        """Ask `restart_on`, once for each failure."""
        if self.policy.rule is not None and self.verdict is None:
            self.verdict = self.accept(self.policy.rule.judge(error))

    def accept(self, verdict: Verdict) -> Verdict:
        """Return the verdict, or what stands for one that means nothing here."""
        return verdict

    def message_in_failure(self) -> str:
        """Return the id of the message that the last failure had in hand, or ""."""
        return "" if self.failed_over is None else origin_text(self.failed_over)

    def keep_failure(self, summary: FailureSummary) -> None:
        self.failures = (*self.failures, summary)[-KEPT_FAILURES:]

    def retire(self) -> None:
        """Cancel it for good: the message in hand is released, and it is not restarted."""
        self.retired = True
        if self.scope is not None:
            self.scope.cancel()
        if self.boss is not None:
            self.boss.child_retired(self)

    def halt(self) -> None:
        """Stop now, to be started again; the boss is told when it has."""
        self.halted = True
        if self.scope is not None:
            self.scope.cancel()

    def cut(self) -> None:
        """Its time to stop is up: its `stop` hook is cut short."""
        self.hurried = True
        if self.closing is not None:
            self.closing.cancel()

    def was_told_to_end(self) -> bool:
        """Return whether it ends for the sake of the run."""
        return self.retired

    def count_failure(self, now: float) -> None:
        """Let a failure count for the restart intensity; forget those older than the period."""
        oldest = now - self.policy.period
        if not self.counted or self.counted[0] < oldest:
            self.counted = [at for at in self.counted if at >= oldest]
        self.counted.append(now)
        # What is not restarted is no restart that its group could be tired of (case S1).
        if self.boss is not None and self.policy.restart != "temporary":
            self.boss.count_failure(now)

    def stop_clock(self, seconds: float) -> None:
        """Don't let failures grow older by the time that a stop took (case S19)."""
        if self.counted:
            self.counted = [at + seconds for at in self.counted]
            if self.boss is not None:
                self.boss.stop_clock(seconds)

    def finish(self) -> None:
        """Let it end when it has handled what it was given."""

    def is_fed(self) -> bool:
        """Return whether it will end then: it lives on what it was given."""
        return True

    def forgive(self) -> None:
        """Forget the failures that count: its group is started afresh."""
        self.counted = _NONE_COUNTED
        self.streak = 0

    def may_go_on(self) -> bool:
        """Return whether there can be more to do after a normal return."""
        return False

    def has_progressed(self) -> bool:
        """Return whether the last incarnation has done anything with its input."""
        return True

    def close(self) -> None:
        """Tell its neighbours that nothing more comes, and nothing more is taken. Idempotent."""
