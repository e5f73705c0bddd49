"""An actor's mailbox: takes messages from its lanes and leases them to the actor.

Asking for the next message acknowledges the last. Messages that come again come before new ones.
"""

import math
from collections.abc import Callable
from time import time
from types import MappingProxyType
from typing import Any

import trio
from trio.lowlevel import Abort, Task, current_task

from ..channels._context import merge_contexts, message_context
from ..channels._envelope import Envelope, MessageContext
from ..channels._outlet import NOTHING
from ._attended import Attended
from ._dead_letters import Attempt
from ._failure import summarize
from ._lease import NeverRunning
from ._returns import Returned


class InvalidMessage(ValueError):
    """A payload that is not of the type the actor takes (`validate=True`)."""


class Mailbox(Attended):
    """Lanes in, leases out."""

    __slots__ = ()

    async def take_slow(self) -> Any:
        """Acknowledge what is in hand; wait for the next message, lease it, return its payload.

        Raises:
            EndOfInput: there will be none.
            trio.BusyResourceError: another task of this actor holds a message or waits for one.
        """
        if self._settle_last():
            await self.finish(asks=True)
        while True:
            if self.control is not None:
                await self.control.attend()
            if self.later:
                self._fall_due(trio.current_time())
            if self.returned:
                if self.control is not None and not await self.control.admit():
                    continue
                envelope = await self._next_returned()
            else:
                if self.later:
                    if not await self._wait_beside_later(self._wait_for_input):
                        continue
                elif self.credit <= 0:
                    await self._wait_for_input()
                if self.credit <= 0:
                    continue  # woken because a message comes again, or something was asked
                if self.control is not None and not await self.control.admit():
                    self._look_at_each()
                    continue
                envelope = self._next_new()
            payload = self.hand_out(envelope)
            if payload is not NOTHING:
                self._note_usual()
                if self.control is not None:
                    self.control.spend()
                return payload

    def enter_wait(self) -> Callable[[Any], Abort] | None:
        """Acknowledge what is in hand and return how to park; None: `take_slow` must do all that.

        The usual wait, of one lane, without a coroutine of its own: the caller awaits
        `wait_task_rescheduled` with what this returns, then calls `leave_wait`.
        """
        only = self.only
        task = self.usual
        if task is None and (self.owner is None or self.timed):
            # The first wait of an incarnation, and most actors begin with one; or the last message
            # had to be looked after, which says nothing of this wait.
            if self._settle_last():
                return None
            self._note_usual()
            task = self.usual
        if task is None or only is None or only.buffer or only.ended or not self.coro.cr_running:
            return None
        self.leased = self.root = None
        self.credit = self._granted = 0
        only.armed = True
        only.limit = 0
        # Set before the senders look: capacity 0 hands over only to a task that waits.
        self._waiting = True
        if self._pressed:
            self._release()
        return self.enter(task)

    def has_usual_end(self) -> bool:
        """Acknowledge what is in hand if the only lane is at its end; False: ask `take_slow`.

        For loops, to which the end of the input is no exception.
        """
        only = self.only
        if self.usual is None or only is None or only.buffer or not only.ended:
            return False
        if not self.coro.cr_running:
            return False
        self.leased = self.root = None
        self.bind(self.base)
        return True

    def _note_usual(self) -> None:
        """Remember for `enter_wait` whether what comes next is the usual thing for this task."""
        special = (
            self.only is None
            or self.only.weak
            or self.holds
            or (self.timed and self.leased is not None)
            or self.returned
            or self.later
            or self.slow
            or self.resend
            or self._attempts
            or self.control is not None
            or self.on_idle is not None
        )
        self.usual = None if special else self.owner

    def cut_wait(self) -> None:
        """A wait was cancelled: nothing is in hand, so nothing is inherited (X1, X13)."""
        self._waiting = False
        self.bind(self.base)

    def leave_wait(self) -> Any:
        """Lease the message that ended a wait and return its payload; NOTHING: ask again."""
        self._waiting = False
        only = self.only
        if self.usual is None or only is None or not only.buffer:
            return NOTHING
        self.buffer = buffer = only.buffer
        granted = len(buffer)
        if granted > only.peak:
            only.peak = granted
        chunk = self.meter.restart()
        if granted > chunk:
            granted = chunk
        self._granted = granted
        self.credit = granted - 1
        if self._pressed:
            if only.capacity > 0:  # as `_release`: the message taken below makes room
                self._pressed.clear()
                only.blocked.wake()
            else:
                self._release(about_to_pop=True)
        self.leased = envelope = buffer.popleft()
        return envelope.payload if envelope.context is self.bound else self.hand_out(envelope)

    async def _wait_for_input(self) -> None:
        try:
            await self.wait()
        except BaseException:
            self.bind(self.base)
            raise

    def hand_out(self, envelope: Envelope[Any]) -> Any:
        """Return what the actor sees of a message, now in hand; NOTHING if it was given up."""
        context = envelope.context
        payload = envelope.payload
        deadline = context.deadline
        if self.transform is not None or deadline is not None or self.watched is not None:
            payload = self._look_at(envelope)
            if payload is NOTHING:
                return NOTHING
        self.leased = envelope
        if not self.keeps_ids:
            # The senders' fast path gives ids only to nodes that keep them; `root` says: ask.
            self.root = envelope
            self.emitted = 0
        if context is not self.current or self.timed:
            self.bind(context)
            self.watched = None if deadline is None else envelope
        return MappingProxyType({envelope.source: payload}) if self.keyed else payload

    def _look_at(self, envelope: Envelope[Any]) -> Any:
        """Return the payload as the actor asks for it; NOTHING if the message was given up."""
        now = trio.current_time()
        if self.watched is not None and self.holds_back(envelope, now):
            return NOTHING
        if self._is_expired(envelope, now):
            self._let_go()
            return NOTHING
        if self.transform is None:
            return envelope.payload
        # In hand before it is touched: if this fails, the crash is over this message.
        self.leased = envelope
        try:
            return self.transform(envelope.payload, envelope.source)
        except InvalidMessage as invalid:
            self._let_go()
            failure = summarize(invalid)
            attempt = Attempt(number=envelope.attempt, node=self.name, at=time(), failure=failure)
            self._give_up(Returned(envelope, attempts=(attempt,)), "invalid")
            return NOTHING

    def refuse_if_unconnected(self) -> None:
        """Do nothing: this mailbox belongs to a run."""

    async def take_batch(self, most: int) -> list[Any]:
        """Lease up to `most` messages as one; wait for the first. They are settled together."""
        if self.returned or self.later or self.slow or self._is_asked():
            return [await self.take_slow()]
        self.usual = None
        if self._settle_last():
            await self.finish(asks=True)
        while True:
            self.most = most if self.control is None else 0
            try:
                await self._wait_for_input()
            finally:
                self.most = 0
            if self.credit <= 0 and self.block is None:
                return [await self.take_slow()]  # woken because a message comes again
            if self.block is None and self.control is not None:
                most = await self.control.admit(most)
                if not most:
                    return [await self.take_slow()]
            if self.resend:
                self._expect_resent(0)
            payloads = self._lease_batch(most)
            if payloads:
                if self.control is not None:
                    self.control.spend(len(payloads))
                return payloads

    def _lease_batch(self, most: int) -> list[Any]:
        """Lease what is there; return nothing if all of it was given up."""
        block = self.block
        if block is None:
            return self._lease_many(self._pop_many(most))
        self.block = None
        self.lanes[0].handed = 0
        # What came behind the block must settle it first: the fast path knows nothing of batches.
        self.credit = self._granted = 0
        if block.context.deadline is not None or self.only is None:
            return self._lease_many(list(block.envelopes()))
        self.leased = block.envelope(0)
        self.batch = block if len(block.payloads) > 1 else ()
        if block.context is not self.bound:
            self.bind(block.context)
        return list(block.payloads)

    def _lease_many(self, batch: list[Envelope[Any]]) -> list[Any]:
        first = batch[0]
        context = first.context
        payloads = [each.payload for each in batch if each.context is context]
        if len(payloads) != len(batch) or context.deadline is not None:
            # Messages of several origins: those that are late are given up one by one.
            now = trio.current_time()
            batch = [each for each in batch if not self._is_expired(each, now)]
            if not batch:
                return []
            first = batch[0]
            context, conflicts = merge_contexts([each.context for each in batch])
            self.conflicts += conflicts
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
        if context is self.current and not self.timed:
            return
        message_context.set(context)
        self.current = context
        deadline = context.deadline
        tracked = context.tracking != ()
        timeout = self.timeout
        was_timed = self.timed
        self.timed = deadline is not None or tracked or timeout is not None
        if tracked is not self.tracked:
            self.note_tracked(tracked)
        if tracked or timeout is not None:
            # The fast path knows nothing of it: the next message must settle this one.
            self._granted -= self.credit
            self.credit = 0
        if self.timed:
            self.usual = None
        # With a deadline, tracked, or keyed, every message is looked at: None is nobody's context.
        self.bound = None if self.timed or self.keyed else context
        if self.scope is not None and (was_timed or self.timed):
            until = math.inf if deadline is None else deadline
            if timeout is not None:
                until = timeout.arm(self, until)
            if self.scope.deadline != until:  # to set it costs 2 us
                self.scope.deadline = until

    # -- inner parts -------------------------------------------------------------------------

    def _settle_last(self) -> bool:
        """Let go of the message in hand; return True if it takes more than that to settle it."""
        task = current_task()
        is_waited_for = self._waiting or self.parked is not None
        if is_waited_for or (self.leased is not None and self._is_held_by_another(task)):
            raise trio.BusyResourceError(
                f"another task of {self.name!r} has a message in hand or waits for one; take each "
                "with `async with ctx.leased() as message`, or give the actor concurrency=n, or "
                "receive in one task and hand messages on"
            )
        if self.owner is not task:
            self.owner = task
            self.coro = task.coro if hasattr(task.coro, "cr_running") else NeverRunning
            # What is bound in this task, which need not be what was bound in the last one.
            self.current = message_context.get()
            self.bound = None if self.timed or self.keyed else self.current
        if self.leased is None:
            return False
        if self.holds or self.timeout is not None or self.cut:
            return True
        if self.timed:
            if self.is_cut():
                return True
            self.acknowledge()
            return False
        # Without a message in hand, `root` too is None: that is how the senders' fast path knows.
        self.leased = self.root = None
        if self.batch:
            self.batch = ()
        if self._attempts:
            self._attempts = ()
        return False

    def _is_held_by_another(self, task: Task) -> bool:
        """Return whether another task still has the message: one that has ended has handled it."""
        owner = self.owner
        if owner is None or owner is task:
            return False
        return getattr(owner.coro, "cr_frame", owner) is not None

    async def _next_returned(self) -> Envelope[Any]:
        """Take a message that comes again: before new ones, and each is a cancel point."""
        if self.meter.grant(1):
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await self._let_others_run()
            self.meter.restart()
        item = self.take_returned()
        self._note_returned(item)
        self._expect_resent(item.placed)
        # The fast path knows nothing of resent outputs: the next message must come here again.
        self.credit = self._granted = 0
        return item.envelope

    def _next_new(self) -> Envelope[Any]:
        if self.resend:
            self._expect_resent(0)
        envelope = self.pop()
        if self.slow or self.later or self.control is not None:
            self.credit = self._granted = 0
        return envelope

    def _expect_resent(self, placed: int) -> None:
        self.resend = placed
        for outlet in self.outlets:
            outlet.refresh()

    def _pop_many(self, most: int) -> list[Envelope[Any]]:
        if self.only is None:
            batch = [self.pop() for _ in range(min(most, self.credit))]
            # The fast path knows nothing of batches: the next message must settle this one.
            self._granted -= self.credit
            self.credit = 0
            return batch
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

    def _is_expired(self, envelope: Envelope[Any], now: float) -> bool:
        deadline = envelope.context.deadline
        if deadline is None or now < deadline:
            return False
        # Of a message that comes again its history is known already, and it has no outputs yet.
        self._give_up(Returned(envelope, self.resend, self._attempts), "expired")
        return True
