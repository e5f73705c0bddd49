"""Messages that a mailbox gives out again, or gives up: what its leases hand back to it.

What comes again comes before any new message; in the end it is acknowledged or a dead letter.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import trio
from trio.lowlevel import Task

from ..channels._envelope import Envelope
from ..channels._fan_in import Join, Joined
from ..channels._inbox import EndOfInput, Inbox
from ..channels._meter import Meter
from ..channels._parking import ParkingBay
from ..channels._tracking import Outcome, settle_piece
from ._dead_letters import Attempt, DeadLetter
from ._later import Later

KEPT_ATTEMPTS = 20
"""Summaries that a message keeps of its attempts, which may be without limit (case X17)."""

_NONE_RETURNED: Any = ()
"""Stands for an empty deque, which costs 0.7 KiB."""


class Returned(msgspec.Struct, frozen=True, gc=False):
    """A message that comes again, before any new one."""

    envelope: Envelope[Any]
    placed: int = 0
    """Outputs that earlier attempts have placed."""
    attempts: tuple[Attempt, ...] = ()
    released: int = 0
    """How often `ctx.release` has given it back."""


class Returns(Inbox):
    """Lanes, and the messages that come again; outlives incarnations."""

    __slots__ = (
        "later",
        "on_dead",
        "redelivered",
        "rejected",
        "released",
        "returned",
        "room",
        "settled",
        "usual",
    )

    def __init__(
        self,
        name: str,
        meter: Meter | None,
        join: Join | None,
        on_dead: Callable[[DeadLetter], None] | None,
    ) -> None:
        super().__init__(name, meter, join)
        self.on_dead = on_dead
        self.usual: Task | None = None
        """Who waits for messages, while these waits need nothing special (`Mailbox.enter_wait`)."""
        self.returned: deque[Returned] = _NONE_RETURNED
        self.room: ParkingBay | None = None
        """Where those wait who put dead letters back, while enough come again already."""
        self.later: Later[Returned] | None = None
        """Messages that wait out their redelivery delay; None: there is no delay."""
        self.redelivered: int = 0
        self.rejected: int = 0
        """Messages that `ctx.reject` has settled."""
        self.released: int = 0
        """Messages that `ctx.release` has given back: they are no failed attempts (case X26)."""
        self.settled: dict[tuple[str, str], int] = {}
        """(source, reason) -> messages given up after they were taken from their lane."""

    @property
    def reader(self) -> object:
        """Whom the lanes lead to."""
        return self

    def come_again(self, item: Returned, *, first: bool = False) -> None:
        """Let a message come again before any new one, behind those that do already, or first."""
        if not self.returned:
            self.returned = deque()
        if first:
            self.returned.appendleft(item)
        else:
            self.returned.append(item)
        self._look_at_each()

    async def wait_room(self, most: float) -> None:
        """Wait until less than `most` messages come again, or this mailbox is closed."""
        while len(self.returned) >= most and not self.closed:
            self.room = self.room or ParkingBay()
            await self.room.park()

    def put_back(self, item: Returned) -> None:
        """Let a message that had been given up come again."""
        self.come_again(item)
        self.nudge()

    def take_returned(self) -> Returned:
        """Take the first that comes again."""
        item = self.returned.popleft()
        if self.room is not None:
            self.room.wake()
        return item

    def take_back(self, envelope: Envelope[Any], reason: str) -> None:
        """Have a message not given up, or dropped, any more: the ledger counts it as leased."""
        for source in self.sources_of(envelope):
            key = (source, reason)
            given_up = self.settled.get(key, 0)
            if given_up:
                self.settled[key] = given_up - 1
            else:
                lane = next(each for each in self.lanes if each.source == source)
                lane.dropped = {**lane.dropped, reason: lane.dropped[reason] - 1}

    def put_off(self, item: Returned, *, failed: int) -> bool:
        """Let a message come again after its delay; return False if that is at once."""
        assert self.later is not None
        is_kept = self.later.add(item, failed=failed, now=trio.current_time())
        if is_kept:
            self._look_at_each()
        return is_kept

    def _look_at_each(self) -> None:
        """Let the fast path hand out nothing more: it knows only of new messages."""
        self.usual = None
        self._granted -= self.credit
        self.credit = 0

    def _fall_due(self, now: float) -> None:
        """Let those come again whose delay is over."""
        assert self.later is not None
        for item in self.later.take_due(now):
            self.come_again(item)

    async def _wait_beside_later(self, wait: Callable[[], Awaitable[None]]) -> bool:
        """Wait for a new message, but no longer than until one comes again; True: there is one.

        Args:
            wait: how to wait for a new one.
        """
        assert self.later is not None
        with trio.CancelScope(deadline=self.later.next_at):
            if not self.later.is_full():
                try:
                    await wait()
                except EndOfInput:
                    pass  # those that wait for their time come all the same
                else:
                    return self.credit > 0
            await self.park()
        return False

    def comes_again(self) -> bool:
        """Return whether any message comes again, now or later."""
        return bool(self.returned or self.later)

    def close(self, fate: Outcome = "dropped") -> None:
        """Take nothing more: what waits to come again is dead-lettered, what is queued dropped."""
        if self.later:
            self._fall_due(math.inf)
        outcome: Outcome = "dead_lettered" if fate == "dropped" else fate
        while self.returned:
            self._give_up(self.take_returned(), "stopped", outcome)
        lanes = () if fate == "dropped" or self.on_dead is None else self.lanes
        # What an edge keeps by itself (`keep_dropped`) is kept by it.
        left = [envelope for lane in lanes if lane.on_drop is None for envelope in lane.buffer]
        super().close(fate)
        if self.room is not None:
            self.room.wake()
        for envelope in left:
            # They were never handled (case K2): counted as dropped, but not lost.
            assert self.on_dead is not None
            self.on_dead(DeadLetter(self.name, envelope, "stopped"))

    def _give_up(self, item: Returned, reason: str, outcome: Outcome = "dead_lettered") -> None:
        envelope = item.envelope
        for source in self.sources_of(envelope):
            key = (source, reason)
            self.settled[key] = self.settled.get(key, 0) + 1
        if reason == "expired":
            outcome = "expired"
        settle_piece(self.reader, envelope, outcome, f"{self.name}: {reason}")
        if self.on_dead is not None:
            self.on_dead(DeadLetter(self.name, envelope, reason, item.attempts, item.placed))

    def sources_of(self, envelope: Envelope[Any]) -> Sequence[str]:
        """Return whose messages an envelope stands for: several, if it was joined from them."""
        return envelope.taken if isinstance(envelope, Joined) else (envelope.source,)
