"""The sending end of one output: every lane that leaves it gets each message (broadcast)."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from ._block import Block
from ._context import message_context
from ._envelope import Envelope, MessageContext, Origin, bounded, origin_text
from ._gate import Gate
from ._lane import NOBODY, NOTHING_YET, Lane
from ._lineage import Lineage
from ._meter import Meter, SliceMeter, let_others_run
from ._overflow import BufferOverflow
from ._parking import ParkingBay
from ._tracking import Tracking, open_piece, tracked_by

NOTHING: Any = object()
"""Stands for 'no message' where None is one."""


MOST_AT_ONCE = 1024
"""Messages that `send_many` places at once into an edge without bound."""


READERS_TURN = 2
"""Checkpoints after which a reader that was woken has run: trio shuffles those that are due."""


class EndOfOutput(trio.BrokenResourceError):
    """This actor's output has ended: the run drains, or nobody reads it any more.

    An actor that lets it out of `run()` has ended normally.

    Attributes:
        lineage: whose output ended.
    """

    def __init__(self, message: str, lineage: object) -> None:
        super().__init__(message)
        self.lineage = lineage


class Outlet:
    """Sends each message to all of its lanes; the slowest reader sets the pace.

    `one` is the short cut that the senders' fast path takes: the only lane, while nothing special
    has to be done with a message. It is copied there (actors/_actor_context.py, actors/_driver.py)
    because a call costs a tenth of a hop.
    """

    __slots__ = (
        "_beside",
        "_ending",
        "_granted_at",
        "_meter",
        "gate",
        "held",
        "lanes",
        "last",
        "lineage",
        "one",
        "room",
        "skip",
        "tracked",
        "tracker",
    )

    def __init__(
        self,
        lineage: Lineage,
        meter: Meter | None = None,
        *,
        beside: Meter | None = None,
        hold: int = 0,
        skip: bool = False,
    ) -> None:
        """Make an output without a lane.

        Args:
            beside: the meter of the sender's inbox, which shares its slices; instead of `meter`.
        """
        self.lineage = lineage
        self._meter = meter
        self._beside = beside
        self.lanes: tuple[Lane, ...] = ()
        self.one: Lane | None = None
        self.last: Any = NOTHING
        """The last payload sent, the actor's output in the run's result; NOTHING at first."""
        self.held: list[Any] | None = [] if hold else None
        """Outputs that wait for their message's acknowledgement (`on_redelivery="hold"`)."""
        self.room = hold
        self.skip = skip
        self.tracker: Callable[[Any, str], Tracking] | None = None
        """Asked for who follows what comes from a new message, given its payload and id."""
        self.tracked = False
        """Whether anybody may follow what is sent now."""
        self.gate: Gate | None = None
        self._ending = ""
        self._granted_at = 0

    @property
    def meter(self) -> Meter:
        """The sender's. Made when it is first needed: an actor that waits for input has none."""
        meter = self._meter
        if meter is None:
            meter = SliceMeter() if self._beside is None else self._beside.sibling()
            self._meter = meter
        return meter

    def add_lane(self, *lanes: Lane) -> None:
        self.lanes = (*self.lanes, *lanes)
        self.refresh()

    def add_tap(self, lane: Lane) -> None:
        """Add a lane of somebody who only looks on: a reader like the others, where all get all."""
        self.add_lane(lane)

    def remove_lane(self, lane: Lane) -> None:
        self.lanes = tuple(each for each in self.lanes if each is not lane)
        self.refresh()

    def refresh(self) -> None:
        """Choose the short cut anew, after anything that it depends on has changed."""
        self.tracked = self.tracker is not None or self.lineage.tracked
        self.one = self.lanes[0] if len(self.lanes) == 1 and not self.is_special() else None

    def is_special(self) -> bool:
        """Return whether anything has to be done with a message but to place it."""
        return bool(
            self._ending
            or self.held is not None
            or self.lineage.resend
            or self.tracked
            or self.gate is not None
        )

    def finish_after_next(self, reason: str) -> None:
        """Accept one more message, then end the sender with `EndOfOutput` (drain)."""
        self._ending = reason
        self.refresh()

    def end(self) -> None:
        """End the stream at every reader. Idempotent."""
        for lane in self.lanes:
            lane.end()

    def put_first(self, payload: Any) -> bool:
        """Send to the only reader, which waits for a message; False: `await put` must do it.

        Needs no look at the clock: the sender's inbox meters its task, and the lane is short.
        """
        lane = self.one
        lineage = self.lineage
        leased = lineage.leased
        if lane is None or leased is None or not lane.armed or lane.behind_first < 0:
            return False
        if leased is lineage.root:
            origin = lineage.next_origin()
        else:  # the usual case, without two calls more
            lineage.root = leased
            lineage.emitted = 1
            origin = leased.origin or (leased.source, leased.seq)
        lane.sent = seq = lane.sent + 1
        if lane.buffer is NOTHING_YET:
            lane.buffer = deque()
        lane.buffer.append(Envelope(payload, lane.source, seq, 1, message_context.get(), origin))
        lane.armed = False
        lane.limit = seq + lane.behind_first
        self.last = payload
        lane.reader.notice(lane)
        return True

    async def put(self, payload: Any) -> None:
        """Send one message to every lane, or to none; wait until all have room.

        If cancelled while it waits, nothing was sent.

        Raises:
            BufferOverflow: a lane with overflow="fail" is full; nothing was sent.
            EndOfOutput: the message was sent, and it was the last one; or nothing was sent, because
                every lane has ended or lost its reader.
        """
        lineage = self.lineage
        lane = self.one
        if lane is not None:
            if lane.behind_first >= 0 and lane.is_full() and lane.blocked.parked is None:
                # The usual wait, of one task for one short lane, without three coroutines more.
                lane.note_depth()
                lane.reader.press(lane)
                if lane.blocked is NOBODY:
                    lane.blocked = ParkingBay()
                await wait_task_rescheduled(lane.blocked.enter(current_task()))
                chunk = (self._meter or self.meter).restart()
            else:
                chunk = (self._meter or self.meter).grant((lane.sent - self._granted_at) or 1)
            waited_for = lane.armed and lane.capacity >= 1
            if chunk and (waited_for or lane.has_room()):
                lane.chunk = chunk
                self._granted_at = lane.sent
            else:
                await self._make_room(chunk)
            if self.one is lane:
                lane.place(payload, message_context.get(), lineage.next_origin(), False)
                self.last = payload
            else:
                # Lanes came or went during the wait, or something was asked of the sender.
                await self.put(payload)
            return
        resent = lineage.leased is not None and lineage.emitted_now() < lineage.resend
        if resent and self.skip:
            lineage.next_origin()
            self.last = payload
        elif self.held is not None and lineage.leased is not None:
            self._hold(payload)
        else:
            while self.gate is not None and not self.gate.lets_out(lineage.leased):
                await self.gate.let_out()
            if not self.lanes:
                # Nobody reads, so nobody ever makes this task wait: it must let others run itself.
                await self._make_room(self.meter.grant(1))
            for lane in self.lanes:
                if lane.sent >= lane.limit:
                    await self._make_room(self.meter.grant(max(1, lane.sent - self._granted_at)))
                    break
            if self.gate is not None and not self.gate.pays(lineage.leased):
                return await self.put(payload)
            self._place(payload, lineage.next_origin(), resent)
        if self._ending:
            raise EndOfOutput(self._ending, lineage)

    async def put_many(self, payloads: Sequence[Any]) -> None:
        """Send messages in order, as many at once as there is room for.

        If cancelled, a prefix has been sent.
        """
        at = 0
        while at < len(payloads):
            lane = self.one
            if lane is None or lane.overflow != "block" or lane.capacity == 0:
                try:
                    await self.put(payloads[at])
                except EndOfOutput:
                    # While the run drains, what is sent together is accepted together.
                    if at == len(payloads) - 1 or self._is_over():
                        raise
                at += 1
                continue
            used, self._granted_at = lane.sent - self._granted_at, lane.sent
            if not lane.armed and (lane.is_over() or lane.is_full()):
                await self._make_room(1)
            elif not self.meter.grant(used):
                await let_others_run()
                self.meter.restart()  # not asked again: where a slice is short it is spent by then
                if not lane.armed and (lane.is_over() or lane.is_full()):
                    continue
            if self.one is not lane:
                continue
            room = int(min(lane.capacity - lane.queued, MOST_AT_ONCE))
            part = payloads[at : at + room] if at or room < len(payloads) else payloads
            lane.place_many(self._block(lane, part))
            at += len(part)
            self.last = part[-1]

    async def put_with(self, payload: Any, context: MessageContext) -> None:
        """Send one message as `put` does, but with this context, which may be tracked.

        Raises:
            EndOfOutput: every lane has ended or lost its reader; nothing was sent.
        """
        await self._make_room(self.meter.grant(1))
        self._place_tracked(payload, context, self.lineage.next_origin(), False)

    async def flush(self) -> None:
        """Place what was held for the message in hand, now that it is acknowledged."""
        while self.held:
            await self._make_room(1)
            lineage = self.lineage
            resent = lineage.emitted_now() < lineage.resend
            self._place(self.held.pop(0), lineage.next_origin(), resent)

    def _block(self, lane: Lane, part: Sequence[Any]) -> Block:
        lineage = self.lineage
        leased = lineage.leased
        context = message_context.get()
        if leased is None:
            return Block(part, lane.source, lane.sent + 1, context, None, "", 0)
        first = lineage.emitted_now() + 1
        lineage.root, lineage.emitted = leased, first + len(part) - 1
        base, via = leased.origin or (leased.source, leased.seq), lineage.name
        if not lineage.keeps_ids:
            base, via = bounded(base), f"{leased.source}>{via}"
        keeps_id = lineage.keeps_ids and first == 1
        return Block(part, lane.source, lane.sent + 1, context, base, via, first, keeps_id)

    def _hold(self, payload: Any) -> None:
        assert self.held is not None
        if len(self.held) >= self.room:
            raise BufferOverflow(f"on_redelivery='hold' of {self.lineage.name}", self.room)
        self.held.append(payload)

    async def _make_room(self, chunk: int) -> None:
        """Wait until every lane has room for one more.

        Args:
            chunk: sends that the meter has granted; 0 when the slice is spent.
        """
        if not chunk:
            await let_others_run()
            chunk = self.meter.restart()
        turns = 0
        while True:
            # Every wait may change every lane, so all are looked at again after each.
            full = self._first_full()
            if full is not None:
                await full.wait_room()
            elif turns < READERS_TURN and self._would_drop():
                # Before anything is lost, a reader that could take it now gets its turn.
                await trio.lowlevel.checkpoint()
                turns += 1
            else:
                break
            chunk = self.meter.restart()
        over = 0
        for lane in self.lanes:
            if lane.overflow != "block":
                lane.check_room()
            lane.chunk = chunk
            over += lane.is_over()
        if self.lanes:
            self._granted_at = self.lanes[0].sent
            if over == len(self.lanes):
                why = "has ended" if self.lanes[0].ended else "is read by nobody any more"
                raise EndOfOutput(f"the output of {self.lineage.name!r} {why}", self.lineage)

    def _is_over(self) -> bool:
        return bool(self.lanes) and all(lane.is_over() for lane in self.lanes)

    def _first_full(self) -> Lane | None:
        for lane in self.lanes:
            if lane.is_full():
                return lane
        return None

    def _would_drop(self) -> bool:
        return any(lane.would_drop() for lane in self.lanes)

    def _place(self, payload: Any, origin: Origin | None, resent: bool) -> None:
        context = message_context.get()
        if self.tracked:
            return self._place_tracked(payload, context, origin, resent)
        self.last = payload
        for lane in self.lanes:
            if lane.sent < lane.limit:
                lane.sent = seq = lane.sent + 1
                lane.buffer.append(Envelope(payload, lane.source, seq, 1, context, origin, resent))
            else:
                lane.place(payload, context, origin, resent)

    def _place_tracked(
        self,
        payload: Any,
        context: MessageContext,
        origin: Origin | None,
        resent: bool,
        lanes: Sequence[Lane] | None = None,
    ) -> None:
        """Place in all lanes, or in these. Opens all pieces before one of them can be settled."""
        self.last = payload
        lanes = self.lanes if lanes is None else lanes
        begun: Tracking | None = None
        if self.tracker is not None:
            begun = self.tracker(payload, self._next_id(origin))
            context = tracked_by(context, begun)
        for lane in lanes:
            open_piece(lane, context)
        for lane in lanes:
            lane.place(payload, context, origin, resent)
        if begun is not None:
            begun.look()

    def _next_id(self, origin: Origin | None) -> str:
        """Return the id that the next message has on the first edge, as `Envelope.id` tells it."""
        if origin is None:
            first = self.lanes[0] if self.lanes else None
            origin = (self.lineage.name, 0) if first is None else (first.source, first.sent + 1)
        return origin_text(origin)


EndOfOutput.__module__ = "trouper"
