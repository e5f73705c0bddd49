"""An actor's mailbox: it outlives incarnations, and knows which message is in hand (the lease).

Asking for the next message acknowledges the last. A crash rejects the one in hand: it comes first
in the next incarnation, `attempt` + 1, and after `max_attempts` it goes to the dead letters. A
cancelled incarnation releases it: the same attempt comes again (cases X12, X22).
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import AsyncGeneratorType, MappingProxyType
from typing import Any

import msgspec
import trio
from trio.lowlevel import Task, current_task

from ..channels._block import Block
from ..channels._context import merge_contexts, message_context
from ..channels._envelope import NO_CONTEXT, Envelope, MessageContext
from ..channels._fan_in import Join
from ..channels._inbox import Inbox
from ..channels._lineage import Lineage
from ..channels._meter import Meter
from ..channels._outlet import NOTHING, Outlet
from ._dead_letters import DeadLetter
from ._failure import FailureSummary, summarize

NO_REPEAT: tuple[Any, Any] = (NOTHING, None)
"""There is no send that a yield could repeat."""


class InvalidMessage(ValueError):
    """A payload that is not of the type the actor takes (`validate=True`)."""


class Returned(msgspec.Struct, frozen=True, gc=False):
    """A message that comes again, before any new one."""

    envelope: Envelope[Any]
    placed: int = 0
    """Outputs that earlier attempts have placed."""
    failures: tuple[FailureSummary, ...] = ()


_NONE_RETURNED: Any = ()
"""Stands for an empty deque, which costs 0.7 KiB."""


class _NeverRunning:
    """Stands for the coroutine of a task that can't be asked whether it runs."""

    cr_running = False


class Mailbox(Inbox, Lineage):
    """Lanes in, leases out."""

    __slots__ = (
        "_failures",
        "base",
        "batch",
        "bound",
        "coro",
        "emitted",
        "holds",
        "iterator",
        "keeps_ids",
        "keyed",
        "leased",
        "max_attempts",
        "on_dead",
        "outlets",
        "owner",
        "redelivered",
        "repeat",
        "repeated",
        "resend",
        "returned",
        "root",
        "scope",
        "settled",
        "slow",
        "timed",
        "transform",
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
        super().__init__(name, meter, join)
        self.keyed = self.turns = keyed and join is None
        self.keeps_ids = not keyed
        self.max_attempts = max_attempts
        self.on_dead = on_dead
        self.transform = transform
        """Applied to (payload, source) when a message is handed out (validation, copy)."""
        self.holds = False
        """Whether outputs wait for the acknowledgement (`on_redelivery="hold"`)."""
        self.slow = transform is not None
        """Whether every message takes the slow path."""
        self.base = base
        """The context outside of any message."""
        self.outlets: list[Outlet] = []
        self.returned: deque[Returned] = _NONE_RETURNED
        self.redelivered = self.repeated = 0
        self.settled: dict[tuple[str, str], int] = {}
        """(source, reason) -> messages given up after they were taken from their lane."""
        self.root: Envelope[Any] | None = None
        self.emitted = self.resend = 0
        self._failures: tuple[FailureSummary, ...] = ()
        self.begin(None)

    # -- one incarnation ---------------------------------------------------------------------

    def begin(self, scope: trio.CancelScope | None) -> None:
        """Start an incarnation: nothing is in hand."""
        self.leased: Envelope[Any] | None = None
        self.batch: Block | Sequence[Envelope[Any]] = ()
        self.owner: Task | None = None
        self.coro: Any = _NeverRunning
        self.bound: MessageContext | None = None if self.keyed else self.base
        self.timed = False
        self.scope = scope
        self.iterator: AsyncGeneratorType[Any, None] | None = None
        self.repeat = NO_REPEAT
        self.credit = 0

    async def finish(self) -> None:
        """Acknowledge what is in hand, as a normal return does."""
        if self.holds:
            for outlet in self.outlets:
                await outlet.flush()
        self._let_go()

    def reject(self, failure: FailureSummary) -> bool:
        """The handler failed: return what is in hand, or give it up.

        Returns:
            True if this failure counts for the restart intensity: crashes that hold the same
            message count once.
        """
        batch, leased = self._envelopes_of_batch(), self.leased
        if batch:
            # Nobody knows which one was at fault: they come again one by one, and only then count.
            for envelope in reversed(batch):
                self._return(Returned(envelope))
        elif leased is not None:
            failures = (*self._failures, failure)
            if leased.attempt >= self.max_attempts:
                self._give_up(leased, "max_attempts", failures)
            else:
                again = msgspec.structs.replace(leased, attempt=leased.attempt + 1)
                self._return(Returned(again, max(self.resend, self.emitted_now()), failures))
        self._let_go()
        return leased is None or leased.attempt == 1

    def release(self) -> None:
        """The handler was cancelled: what is in hand comes again, the attempt not counted."""
        placed = max(self.resend, self.emitted_now())
        batch = self._envelopes_of_batch()
        for envelope in reversed(batch):
            self._return(Returned(envelope))
        if self.leased is not None and not batch:
            self._return(Returned(self.leased, placed, self._failures))
        self._let_go()

    def _envelopes_of_batch(self) -> Sequence[Envelope[Any]]:
        batch = self.batch
        return tuple(batch.envelopes()) if isinstance(batch, Block) else batch

    def expire(self) -> None:
        """The deadline of the message in hand passed while it was handled."""
        if self.leased is not None:
            self._give_up(self.leased, "expired", self._failures)
        self._let_go()

    def close(self) -> None:
        """Take nothing more: what waits to come again is dead-lettered, what is queued dropped."""
        while self.returned:
            item = self.returned.popleft()
            self._give_up(item.envelope, "stopped", item.failures)
        super().close()

    # -- leasing -----------------------------------------------------------------------------

    async def take_slow(self) -> Any:
        """Acknowledge what is in hand; wait for the next message, lease it, return its payload.

        Raises:
            EndOfInput: there will be none.
            trio.BusyResourceError: another task of this actor holds a message or waits for one.
        """
        if self._settle_last():
            await self.finish()
        while True:
            if self.returned:
                envelope = await self._next_returned()
            else:
                await self.wait()
                envelope = self._next_new()
            payload = self._hand_out(envelope)
            if payload is not NOTHING:
                return payload

    async def switch_context(self, envelope: Envelope[Any]) -> Any:
        """Go on with a message just taken whose context is another than the last one's."""
        payload = self._hand_out(envelope)
        if payload is NOTHING:
            self.leased = None
            return await self.take_slow()
        return payload

    def refuse_if_unconnected(self) -> None:
        """Do nothing: this mailbox belongs to a run."""

    async def take_batch(self, most: int) -> list[Any]:
        """Lease up to `most` messages as one; wait for the first. They are settled together."""
        if self.returned or self.slow:
            return [await self.take_slow()]
        if self._settle_last():
            await self.finish()
        self.most = most
        try:
            await self.wait()
        finally:
            self.most = 0
        if self.resend:
            self._expect_resent(0)
        block = self.block
        if block is None:
            return await self._lease_many(self._pop_many(most), most)
        self.block = None
        self.lanes[0].handed = 0
        if block.context.deadline is not None or self.only is None:
            return await self._lease_many(list(block.envelopes()), most)
        self.leased = block.envelope(0)
        self.batch = block if len(block.payloads) > 1 else ()
        if block.context is not self.bound:
            self.bind(block.context)
        return list(block.payloads)

    async def _lease_many(self, batch: list[Envelope[Any]], most: int) -> list[Any]:
        first = batch[0]
        context = first.context
        payloads = [each.payload for each in batch if each.context is context]
        if len(payloads) != len(batch) or context.deadline is not None:
            # Messages of several origins: those that are late are given up one by one.
            batch = [each for each in batch if not self._is_expired(each)]
            if not batch:
                return await self.take_batch(most)
            first = batch[0]
            context = merge_contexts([each.context for each in batch])[0]
            payloads = [each.payload for each in batch]
        self.leased = first
        self.batch = batch if len(batch) > 1 else ()
        if not self.keeps_ids:
            self.root = first
            self.emitted = 0
        if context is not self.bound:
            self.bind(context)
        if self.keyed:
            return [MappingProxyType({each.source: each.payload}) for each in batch]
        return payloads

    def bind(self, context: MessageContext) -> None:
        message_context.set(context)
        deadline = context.deadline
        self.timed = deadline is not None
        # With a deadline, or keyed, every message is looked at: None is nobody's context.
        self.bound = None if self.timed or self.keyed else context
        if self.scope is not None:
            deadline = math.inf if deadline is None else deadline
            if self.scope.deadline != deadline:
                self.scope.deadline = deadline

    # -- inner parts -------------------------------------------------------------------------

    def _settle_last(self) -> bool:
        """Let go of the message in hand; return True if it takes more than that to settle it."""
        task = current_task()
        if self.bay.task is not None or (self.leased is not None and self.owner is not task):
            raise trio.BusyResourceError(
                f"another task of {self.name!r} has a message in hand or waits for one; receive in "
                "one task and hand messages on, or run several of this actor side by side"
            )
        if self.owner is not task:
            self.owner = task
            self.coro = task.coro if hasattr(task.coro, "cr_running") else _NeverRunning
        if self.leased is None:
            return False
        if self.holds or self.timed:
            return True
        self.leased = None
        if self.batch:
            self.batch = ()
        if self._failures:
            self._failures = ()
        return False

    async def _next_returned(self) -> Envelope[Any]:
        """Take a message that comes again: before new ones, and each is a cancel point."""
        await trio.lowlevel.checkpoint()
        item = self.returned.popleft()
        self._failures = item.failures
        self.redelivered += 1
        self._expect_resent(item.placed)
        # The fast path knows nothing of resent outputs: the next message must come here again.
        self.credit = self._granted = 0
        return item.envelope

    def _next_new(self) -> Envelope[Any]:
        if self.resend:
            self._expect_resent(0)
        envelope = self.pop()
        if self.slow:
            self.credit = self._granted = 0
        return envelope

    def _expect_resent(self, placed: int) -> None:
        self.resend = placed
        for outlet in self.outlets:
            outlet.refresh()

    def _pop_many(self, most: int) -> list[Envelope[Any]]:
        if self.only is None:
            return [self.pop() for _ in range(min(most, self.credit))]
        buffer = self.only.buffer
        if len(buffer) <= most:
            batch = list(buffer)
            buffer.clear()
        else:
            popleft = buffer.popleft
            batch = [popleft() for _ in range(most)]
        # All of it was one operation to the meter, however long its chunk.
        self.credit = 0
        self._granted = len(batch)
        return batch

    def _hand_out(self, envelope: Envelope[Any]) -> Any:
        """Return what the actor sees of a message, now in hand; NOTHING if it was given up."""
        if self._is_expired(envelope):
            return NOTHING
        payload = envelope.payload
        if self.transform is not None:
            try:
                payload = self.transform(payload, envelope.source)
            except InvalidMessage as invalid:
                self._give_up(envelope, "invalid", (summarize(invalid),))
                return NOTHING
        self.leased = envelope
        if not self.keeps_ids:
            # The senders' fast path gives ids only to nodes that keep them; `root` says: ask.
            self.root = envelope
            self.emitted = 0
        if envelope.context is not self.bound:
            self.bind(envelope.context)
        return MappingProxyType({envelope.source: payload}) if self.keyed else payload

    def _is_expired(self, envelope: Envelope[Any]) -> bool:
        deadline = envelope.context.deadline
        if deadline is None or trio.current_time() < deadline:
            return False
        self._give_up(envelope, "expired", self._failures)
        return True

    def _return(self, item: Returned) -> None:
        if not self.returned:
            self.returned = deque()
        self.returned.appendleft(item)

    def _give_up(
        self, envelope: Envelope[Any], reason: str, failures: tuple[FailureSummary, ...]
    ) -> None:
        for source in self._sources(envelope):
            key = (source, reason)
            self.settled[key] = self.settled.get(key, 0) + 1
        if self.on_dead is not None:
            self.on_dead(DeadLetter(self.name, envelope, reason, failures))

    def _let_go(self) -> None:
        self.leased = None
        self.batch = ()
        self._failures = ()
        for outlet in self.outlets:
            if outlet.held:
                outlet.held.clear()
        if self.scope is not None and self.scope.deadline != math.inf:
            self.scope.deadline = math.inf

    def in_hand(self) -> Mapping[str, int]:
        """Return how many messages of each source are leased or come again."""
        counts: dict[str, int] = {}
        held = self._envelopes_of_batch() or ([self.leased] if self.leased is not None else [])
        for envelope in [*held, *(item.envelope for item in self.returned)]:
            for source in self._sources(envelope):
                counts[source] = counts.get(source, 0) + 1
        for source in () if self.join is None else self.join.fresh:
            counts[source] = counts.get(source, 0) + 1
        return counts

    def _sources(self, envelope: Envelope[Any]) -> Sequence[str]:
        """Return whose messages an envelope stands for: of a join, no second one is in hand."""
        return [envelope.source] if self.join is None else self.join.taken
