"""The sending end of an output that gives each message to one of its readers.

`balance` gives it to whichever has room, `partition` to the one that it belongs to. Who looks on
from outside (`run.stream`) sees every message all the same.

Rule 1: nothing happens between the choice of a reader and the placing.
Rule 2: a reader that has ended is passed over; when all have, the output has ended.
Rule 3: an output that comes again (its sender failed and repeats it) goes to the reader that had it
first, if that one still lives.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import trio

from ._choice import Choice
from ._context import message_context
from ._envelope import Envelope
from ._lane import Lane
from ._lineage import Lineage
from ._meter import MAX_CHUNK, Meter, let_others_run
from ._outlet import READERS_TURN, EndOfOutput, Outlet

MOST_EARLIER = 256
"""Messages whose readers are remembered, besides the one in hand."""


class RoutingOutlet(Outlet, ABC):
    """Sends each message to one reader, and to everybody who looks on."""

    __slots__ = (
        "_credit",
        "_earlier",
        "_granted",
        "_placed",
        "_placed_for",
        "_plain",
        "names",
        "readers",
        "taps",
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
        super().__init__(lineage, meter, beside=beside, hold=hold, skip=skip)
        self.readers: tuple[Lane, ...] = ()
        self.taps: tuple[Lane, ...] = ()
        """Those who look on."""
        self.names: dict[Lane, str] = {}
        """What a source's messages to a reader are called: on no two edges the same."""
        self._credit = self._granted = 0
        """Sends until the next look at the clock."""
        self._plain = False
        """Whether there are readers, and nothing but one of them has to be chosen for a message."""
        self._placed: dict[int, Lane] = {}
        """Which reader got the n-th output of the message in hand."""
        self._placed_for: Envelope[Any] | None = None
        self._earlier: dict[tuple[str, int], dict[int, Lane]] = {}
        """The same of messages that may be in hand again while, or after, others are."""

    # -- its lanes ---------------------------------------------------------------------------

    def add_lane(self, *lanes: Lane) -> None:
        self.readers = (*self.readers, *lanes)
        for lane in lanes:
            lane.chunk = MAX_CHUNK  # the time slice is this outlet's own business
            self.names[lane] = f"{lane.source}>{lane.target}"
        super().add_lane(*lanes)

    def add_tap(self, lane: Lane) -> None:
        lane.chunk = MAX_CHUNK
        self.taps = (*self.taps, lane)
        super().add_lane(lane)

    def remove_lane(self, lane: Lane) -> None:
        self.readers = tuple(each for each in self.readers if each is not lane)
        self.taps = tuple(each for each in self.taps if each is not lane)
        super().remove_lane(lane)

    def refresh(self) -> None:
        super().refresh()
        self._plain = bool(self.readers) and not (self.is_special() or self.taps)

    def sent_in_all(self) -> int:
        """Return how many messages were sent, to whichever reader."""
        return sum([lane.sent for lane in self.readers])

    def waited(self) -> float:
        """Return the seconds that senders have waited for room, a wait still going on included."""
        bays = {lane.blocked: None for lane in self.lanes}  # those of a balance are one
        return sum([bay.waited for bay in bays])

    # -- what the two kinds do in their own way ----------------------------------------------

    @abstractmethod
    def ask(self, payload: Any) -> Any:
        """Return what is to be known of a message before a reader is chosen for it.

        Raises:
            PartitionError: the user's function gave no usable answer.
        """
        ...

    @abstractmethod
    def choice(self, answer: Any, first: Lane | None) -> tuple[Choice, Lane | None]:
        """Return what to do with a message now.

        Args:
            answer: what `ask` has returned.
            first: the reader that had this output before, while it lives.
        """
        ...

    @abstractmethod
    async def wait_room(self, lane: Lane | None) -> None:
        """Wait until there may be room; `lane` is what the choice named."""
        ...

    @abstractmethod
    def put_at_once(self, payload: Any, answer: Any) -> bool:
        """Send if a reader has room, there being nothing else to look at; False: not sent."""
        ...

    def put_part(self, payloads: Sequence[Any], at: int) -> int:
        """Send some from `at` on, likewise; return how many that were."""
        return 0

    def took(self, lane: Lane) -> None:
        """Hear who gets the message that is placed next, after a wait perhaps."""

    # -- sending -----------------------------------------------------------------------------

    async def put(self, payload: Any) -> None:
        """Send one message to one reader; wait until that can be done.

        If cancelled while it waits, nothing was sent.

        Raises:
            PartitionError: no reader could be chosen; nothing was sent.
            BufferOverflow: the reader's edge has overflow="fail" and is full; nothing was sent.
            EndOfOutput: as of `Outlet.put`.
        """
        if self.one is not None:
            return await super().put(payload)
        lineage = self.lineage
        resent = lineage.leased is not None and lineage.emitted_now() < lineage.resend
        if resent and self.skip:
            lineage.next_origin()
            self.last = payload
        elif self.held is not None and lineage.leased is not None:
            self._hold(payload)
        else:
            answer = self.ask(payload)
            if not (self._plain and self._credit > 0 and self.put_at_once(payload, answer)):
                await self._send(payload, answer, resent)
        if self._ending:
            raise EndOfOutput(self._ending, lineage)

    async def put_many(self, payloads: Sequence[Any]) -> None:
        """Send messages in order, as many at once as there is room for.

        If cancelled, a prefix has been sent.
        """
        if self.one is not None:
            return await super().put_many(payloads)
        at = 0
        while at < len(payloads):
            if self._plain and self._credit <= 0:
                await self._look_at_clock()
                continue
            if self._plain and (sent := self.put_part(payloads, at)):
                at += sent
                continue
            try:
                await self.put(payloads[at])
            except EndOfOutput:
                # While the run drains, what is sent together is accepted together.
                if at == len(payloads) - 1 or self._is_over():
                    raise
            at += 1

    async def flush(self) -> None:
        while self.held:
            payload = self.held[0]
            resent = self.lineage.emitted_now() < self.lineage.resend
            await self._send(payload, self.ask(payload), resent)
            self.held.pop(0)

    async def _send(self, payload: Any, answer: Any, resent: bool) -> None:
        if self._credit <= 0:
            await self._look_at_clock()
        turns = 0
        while True:
            full = next((tap for tap in self.taps if tap.is_full()), None)
            choice, lane = self.choice(answer, self._reader_before(resent))
            if full is not None:
                await full.wait_room()
            elif choice is Choice.WAIT:
                await self.wait_room(lane)
            elif turns < READERS_TURN and (choice is Choice.LOSE or self._taps_would_drop()):
                # Before anything is lost, a reader that could take it now gets its turn.
                await trio.lowlevel.checkpoint()
                turns += 1
            elif self.gate is not None and not self.gate.pays(self.lineage.leased):
                await self.gate.let_out()
            else:
                break
            self._credit = self._granted = self.meter.restart()
        if choice is Choice.OVER:
            self._refuse_if_over()
        if lane is not None:
            lane.check_room()
            self.took(lane)
        self._credit -= 1
        self._place_at(lane, payload, resent)

    async def _look_at_clock(self) -> None:
        self._credit = self._granted = self.meter.grant(self._granted - self._credit or 1)
        if not self._credit:
            await let_others_run()
            self._credit = self._granted = self.meter.restart()

    def _taps_would_drop(self) -> bool:
        return any(tap.would_drop() for tap in self.taps if not tap.is_over())

    def _refuse_if_over(self) -> None:
        if self.lanes and self._is_over():
            why = "has ended" if self.lanes[0].ended else "is read by nobody any more"
            raise EndOfOutput(f"the output of {self.lineage.name!r} {why}", self.lineage)

    def _reader_before(self, resent: bool) -> Lane | None:
        """Return the reader that had the next output when the message was handled before."""
        leased = self.lineage.leased
        if not resent or leased is None:
            return None
        placed = self._placed
        if not self._is_placed_for(leased):
            placed = self._earlier.get((leased.source, leased.seq), {})
        lane = placed.get(self.lineage.emitted_now() + 1)
        return None if lane is None or lane.is_over() else lane

    def _is_placed_for(self, leased: Envelope[Any] | None) -> bool:
        of = self._placed_for
        if of is None or leased is None:
            return False
        return of is leased or (of.seq == leased.seq and of.source == leased.source)

    def note_message(self, leased: Envelope[Any]) -> None:
        """Begin, or take up, the record of who gets the outputs of a message."""
        if self._is_placed_for(leased):
            self._placed_for = leased
            return
        of = self._placed_for
        # Where several are in hand, or one waits out its delay, the last one may come again.
        if of is not None and (self.tracked or getattr(self.lineage, "later", None)):
            self._earlier[of.source, of.seq] = self._placed
            if len(self._earlier) > MOST_EARLIER:
                del self._earlier[next(iter(self._earlier))]
            self._placed = {}
        else:
            self._placed.clear()
        if self._earlier:
            self._placed = self._earlier.pop((leased.source, leased.seq), self._placed)
        self._placed_for = leased

    def _place_at(self, lane: Lane | None, payload: Any, resent: bool) -> None:
        """Place one message, at once, in the chosen reader's lane and in those who look on."""
        lineage = self.lineage
        origin = lineage.next_origin()
        if lane is not None:
            leased = lineage.leased
            if leased is not None:
                if leased is not self._placed_for:
                    self.note_message(leased)
                self._placed[lineage.emitted] = lane
            if origin is None:
                origin = (self.names[lane], lane.sent + 1)
        context = message_context.get()
        if self.tracked:
            lanes = self.taps if lane is None else (lane, *self.taps)
            return self._place_tracked(payload, context, origin, resent, lanes)
        self.last = payload
        if lane is None:
            pass
        elif lane.sent < lane.limit:
            lane.sent = seq = lane.sent + 1
            lane.buffer.append(Envelope(payload, lane.source, seq, 1, context, origin, resent))
        else:
            lane.place(payload, context, origin, resent)
        for tap in self.taps:
            tap.place(payload, context, origin, resent)
