"""The message in hand: how a lease begins, and every way it ends.

A crash rejects the message in hand: it comes first in the next incarnation, `attempt` + 1, and
after `max_attempts` it goes to the dead letters. A cancelled incarnation releases it: the same
attempt comes again (cases X12, X22).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, Protocol

import msgspec
import trio
from trio.lowlevel import Task

from ..channels._block import Block
from ..channels._envelope import NO_CONTEXT, Envelope, MessageContext
from ..channels._fan_in import Join
from ..channels._lineage import Lineage
from ..channels._meter import Meter
from ..channels._outlet import NOTHING, EndOfOutput, Outlet
from ..channels._tracking import settle_piece
from ._cancelled import is_cancelled
from ._caught import refuse
from ._dead_letters import Attempt, DeadLetter
from ._failure import FailureSummary
from ._returns import KEPT_ATTEMPTS, Returned, Returns
from ._settled import Follower
from ._timeout import Timeout

MAX_RELEASES = 1000
NEVER_RELEASED: tuple[object, int] = (None, 0)

NO_REPEAT: tuple[Any, Any] = (NOTHING, None)
"""There is no send that a yield could repeat."""


_NO_SUSPECTS: frozenset[tuple[str, int]] = frozenset()


class SharedHand(Protocol):
    """What several leases of one mailbox have in hand."""

    def in_hand(self) -> Sequence[Envelope[Any]]: ...


class NeverRunning:
    """Stands for the coroutine of a task that can't be asked whether it runs."""

    cr_running = False


class Leases(Returns, Lineage):
    """Knows the message in hand, and how it ends; outlives incarnations."""

    __slots__ = (
        "_attempts",
        "_released",
        "_suspects",
        "base",
        "batch",
        "bound",
        "conflicts",
        "coro",
        "crew",
        "current",
        "cut",
        "emitted",
        "follower",
        "holds",
        "keeps_ids",
        "keyed",
        "leased",
        "max_attempts",
        "max_releases",
        "outlets",
        "owner",
        "refused",
        "repeat",
        "repeated",
        "resend",
        "root",
        "scope",
        "shared",
        "slow",
        "timed",
        "timeout",
        "tracked",
        "transform",
        "unheard",
        "watched",
    )

    def __init__(
        self,
        name: str,
        meter: Meter | None = None,
        join: Join | None = None,
        *,
        keyed: bool = False,
        max_attempts: float = 3,
        on_dead: Callable[[DeadLetter], None] | None = None,
        transform: Callable[[Any, str], Any] | None = None,
        base: MessageContext = NO_CONTEXT,
    ) -> None:
        super().__init__(name, meter, join, on_dead)
        self.keyed = self.turns = keyed and join is None
        self.keeps_ids = not keyed
        self.max_attempts = max_attempts
        self.transform = transform
        """Applied to (payload, source) when a message is handed out (validation, copy)."""
        self.holds = False
        """Whether outputs wait for the acknowledgement (`on_redelivery="hold"`)."""
        self.slow = transform is not None
        """Whether every message takes the slow path."""
        self.base = base
        """The context outside of any message."""
        self.outlets: tuple[Outlet, ...] = ()
        self.unheard: int = 0
        """Calls of a function given to `ctx.on_settled` that failed."""
        self.repeated: int = 0
        self.conflicts: int = 0
        """Keys of `custom_context` on which the messages of a batch disagreed."""
        self.emitted = self.resend = 0
        self.tracked = False
        self.follower: Follower | None = None
        """Who follows every output (`ctx.on_settled`)."""
        self.timeout: Timeout | None = None
        """How long one message may be handled; None: as long as it takes."""
        self.crew: object = None
        """The bodies that run side by side, where there are several."""
        self.shared: SharedHand | None = None
        """What is in hand besides, where several leases take from this mailbox."""
        self.max_releases: float = MAX_RELEASES
        """How often `ctx.release` may give one message back; then it is a dead letter."""
        self._released: tuple[object, int] = NEVER_RELEASED
        """The last message that came again because it was given back, and how often it was."""
        self._attempts: tuple[Attempt, ...] = ()
        self._suspects: frozenset[tuple[str, int]] = _NO_SUSPECTS
        """(source, seq) of the last batch that failed, until one of it has failed by itself."""
        self.begin(None)

    def is_holding(self) -> bool:
        """Return whether any message is in hand, of whichever lease."""
        return self.leased is not None or bool(self.shared is not None and self.shared.in_hand())

    # -- one incarnation ---------------------------------------------------------------------

    def begin(self, scope: trio.CancelScope | None) -> None:
        """Start an incarnation: nothing is in hand."""
        self.leased: Envelope[Any] | None = None
        # A released message comes again as the same object: its outputs are counted anew.
        self.root: Envelope[Any] | None = None
        self.batch: Block | Sequence[Envelope[Any]] = ()
        self.owner: Task | None = None
        self.usual = None
        self.coro: Any = NeverRunning
        self.bound: MessageContext | None = None if self.keyed else self.base
        self.current = self.base
        """The context that was bound last."""
        self.timed = self.timeout is not None
        """Whether the message in hand has a deadline or is tracked: it needs care when it goes."""
        if self.timed:
            self.bound = None
        if self.tracked:
            self.note_tracked(False)
        if self.follower is not None:
            self.follow(None)  # the new incarnation says for itself whether it wants to hear
        self.scope = scope
        self.cut = False
        """Whether this incarnation was told to end at once."""
        self.watched: Envelope[Any] | None = None
        """The message in hand, if its deadline cuts its handler off."""
        self.refused = 0
        """Times that a message was asked for by a task that is being cancelled."""
        self.repeat = NO_REPEAT
        self.credit = 0

    def cut_off(self) -> None:
        """Its handler is being cancelled: no message goes by the short cuts, which acknowledge."""
        self.cut = True
        self._look_at_each()

    def is_cut(self) -> bool:
        """Return whether the handler of what is in hand is being cancelled.

        Not if that is of its own making, as `with move_on_after(0)` around one ask; nor if its time
        was over only when it had come to its end.
        """
        scope = self.scope
        if self.cut or not self.timed or scope is None:
            return self.cut
        if scope.deadline == math.inf or trio.current_time() < scope.deadline:
            return False
        return is_cancelled() and scope.cancel_called

    async def finish(self, *, asks: bool = False) -> None:
        """Acknowledge what is in hand, as a normal return does.

        Args:
            asks: whether the next message is asked for.

        Raises:
            EndOfOutput: nobody reads what was held any more; it is acknowledged all the same.
            HandlerTimeout, Cancelled: it was in hand for too long.
            EndOfInput, Cancelled: its handler was cancelled, and went on.
        """
        if self.timeout is not None:
            await self.timeout.refuse(self)
        if self.leased is not None and self.is_cut():
            await refuse(self, asks=asks)
        ended: EndOfOutput | None = None
        if self.holds:
            for outlet in self.outlets:
                try:
                    await outlet.flush()
                except EndOfOutput as end:
                    ended = end
        self.acknowledge()
        if ended is not None:
            raise ended

    def acknowledge(self) -> None:
        """Tell whoever follows what is in hand that it is handled, and let go of it."""
        leased = self.leased
        if self.tracked and leased is not None:
            for envelope in self._envelopes_of_batch() if self.batch else (leased,):
                settle_piece(self.reader, envelope, "acknowledged")
        self._let_go()

    def is_last_attempt(self) -> bool:
        """Return whether a failure now would make the message in hand a dead letter."""
        leased = self.leased
        return leased is not None and not self.batch and leased.attempt >= self.max_attempts

    def reject(self, failure: FailureSummary) -> bool:
        """The handler failed: return what is in hand, or give it up.

        Returns:
            True if this failure counts for the restart intensity: crashes that hold the same
            message count once.
        """
        batch, leased = self._envelopes_of_batch(), self.leased
        # Without a limit of attempts nothing else would ever end a crash loop.
        counts = leased is None or leased.attempt == 1 or self.max_attempts == math.inf
        if batch:
            # Nobody knows which one was at fault: they come again one by one, and only then count.
            self._suspects = frozenset((each.source, each.seq) for each in batch)
            for envelope in reversed(batch):
                self.come_again(Returned(envelope), first=True)
        elif leased is not None:
            if counts and (leased.source, leased.seq) in self._suspects:
                # The one at fault in its batch, whose failure has been counted.
                self._suspects, counts = _NO_SUSPECTS, False
            self.fail(leased, failure, first=True)
        self._let_go()
        return counts

    def fail(
        self,
        envelope: Envelope[Any],
        failure: FailureSummary,
        *,
        first: bool = False,
        give_up: str = "",
    ) -> None:
        """Count a failed attempt of a message in hand: it comes again, or is given up now.

        Args:
            give_up: the reason to give it up whatever attempt it is.
        """
        placed, attempts = self.history_of(envelope)
        number = envelope.attempt
        attempt = Attempt(number=number, node=self.name, at=time(), failure=failure)
        item = Returned(envelope, placed, (*attempts, attempt)[-KEPT_ATTEMPTS:])
        if give_up or number >= self.max_attempts:
            self._give_up(item, give_up or "max_attempts")
            return
        again = msgspec.structs.replace(
            item, envelope=msgspec.structs.replace(envelope, attempt=number + 1)
        )
        if self.later is None or not self.put_off(again, failed=number):
            self.come_again(again, first=first)

    def release(self) -> None:
        """The handler was cancelled: what is in hand comes again, the attempt not counted."""
        for envelope in reversed(self.envelopes_in_hand()):
            item = Returned(envelope, *self.history_of(envelope), self._times_released(envelope))
            self.come_again(item, first=True)
        self._let_go()

    def give_back(self, envelope: Envelope[Any]) -> None:
        """Let a message in hand come again that is not to be handled now (cases X23, X26)."""
        times = self._times_released(envelope) + 1
        item = Returned(envelope, *self.history_of(envelope), times)
        if times > self.max_releases:
            self._give_up(item, "released")
        elif self.later is None or not self.put_off(item, failed=1):
            self.come_again(item)

    def _times_released(self, envelope: Envelope[Any]) -> int:
        # Told by identity: no other message is this object, so nothing has to be cleared in time.
        last, times = self._released
        return times if last is envelope else 0

    def _note_returned(self, item: Returned) -> None:
        """Remember the history of a message that is about to be handed out again."""
        self.redelivered += 1
        self._attempts = item.attempts
        self._released = (item.envelope, item.released) if item.released else NEVER_RELEASED

    def _envelopes_of_batch(self) -> Sequence[Envelope[Any]]:
        batch = self.batch
        return tuple(batch.envelopes()) if isinstance(batch, Block) else batch

    def envelopes_in_hand(self) -> Sequence[Envelope[Any]]:
        return self._envelopes_of_batch() or (() if self.leased is None else (self.leased,))

    def history_of(self, envelope: Envelope[Any]) -> tuple[int, tuple[Attempt, ...]]:
        """Return how many outputs of a message in hand were placed, and its failed attempts.

        Of one of a batch nobody knows the outputs, and it has not failed by itself yet.
        """
        if self.batch or envelope is not self.leased:
            return 0, ()
        return max(self.resend, self.emitted_now()), self._attempts

    def put_down(self, chosen: Sequence[Envelope[Any]]) -> None:
        """Have these not in hand any more; the rest of a batch stays."""
        settled = {(each.source, each.seq) for each in chosen}
        rest = [e for e in self.envelopes_in_hand() if (e.source, e.seq) not in settled]
        if not rest:
            return self._let_go()
        self.batch = rest if len(rest) > 1 else ()
        first, leased = rest[0], self.leased
        if leased is None or (first.source, first.seq) != (leased.source, leased.seq):
            # What is made from now on is made from this one.
            self.leased = first
            self.emitted = 0
            self.root = None if self.keeps_ids else self.leased

    def note_tracked(self, tracked: bool) -> None:
        """Let the outputs know whether somebody follows what comes from the message in hand."""
        self.tracked = tracked
        for outlet in self.outlets:
            outlet.refresh()

    def follow(self, follower: Follower | None) -> None:
        """Let every output from now on be followed, or none."""
        self.follower = follower
        for outlet in self.outlets:
            outlet.tracker = None if follower is None else follower.begin
            outlet.refresh()

    def count_unheard(self) -> None:
        self.unheard += 1

    def expire(self) -> None:
        """The deadline of the message in hand passed while it was handled."""
        if self.batch:
            # Each comes again by itself; those whose own deadline has passed are given up then.
            self.release()
        else:
            assert self.leased is not None
            self._give_up(Returned(self.leased, *self.history_of(self.leased)), "expired")
        self._let_go()

    # -- inner parts -------------------------------------------------------------------------

    def _let_go(self) -> None:
        self.leased = self.root = self.watched = None
        self.batch = ()
        self._attempts = ()
        for outlet in self.outlets:
            if outlet.held:
                outlet.held.clear()
        if self.scope is not None and self.scope.deadline != math.inf:
            self.scope.deadline = math.inf

    def in_hand(self) -> Mapping[str, int]:
        """Return how many messages of each source are leased or come again."""
        counts: dict[str, int] = {}
        waiting = [*self.returned, *(() if self.later is None else self.later.waiting())]
        besides = () if self.shared is None else self.shared.in_hand()
        held = [*self.envelopes_in_hand(), *besides]
        for envelope in [*held, *(item.envelope for item in waiting)]:
            for source in self.sources_of(envelope):
                counts[source] = counts.get(source, 0) + 1
        for source in () if self.join is None else self.join.fresh:
            counts[source] = counts.get(source, 0) + 1
        return counts
