"""Several leases on one mailbox: who takes the next message, and whose outputs are whose.

One lease at a time waits for input and leads; the others wait in line. Whoever leaves with a
message lets the next one lead, so that nobody waits while there is something to take.

Rule 1: what belongs to the mailbox (what comes again, counters, settings) is the hub's; what
belongs to a message in hand is the lease's.
Rule 2: the input has ended for a lease only when no other one holds a message: it may come again.
"""

import math
from collections.abc import Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, cast

import trio

from ..channels._envelope import Envelope
from ..channels._inbox import EndOfInput
from ..channels._outlet import NOTHING
from ..channels._tracking import Outcome
from ._mailbox import Mailbox
from ._returns import Returned
from ._timeout import Timeout
from ._workers_outputs import HeldByLease, share_output


class Shared:
    """What the leases of one mailbox share besides it."""

    __slots__ = ("is_led", "leases", "line")

    def __init__(self) -> None:
        self.leases: list[Worker] = []
        self.line = trio.lowlevel.ParkingLot()
        """Leases that wait for their turn to lead."""
        self.is_led = False

    def in_hand(self) -> Sequence[Envelope[Any]]:
        return [each for lease in self.leases for each in lease.envelopes_in_hand()]


def _of_hub(name: str) -> Any:
    """Return a property that stands for an attribute of the hub."""

    def write(lease: "Worker", value: Any) -> None:
        setattr(lease.hub, name, value)

    return property(attrgetter(f"hub.{name}"), write)


def _is_cut(lease: "Worker") -> bool:
    return lease.hub.cut


def _leave_it(_lease: "Worker", _value: bool) -> None:
    """What a lease begins with is no matter of the hub."""


class Worker(Mailbox):
    """One lease of several on a mailbox, the hub: takes from it, and settles by itself."""

    __slots__ = ("held", "hub", "is_leaving", "team")

    returned = _of_hub("returned")
    later = _of_hub("later")
    redelivered = _of_hub("redelivered")
    rejected = _of_hub("rejected")
    released = _of_hub("released")
    unheard = _of_hub("unheard")
    repeated = _of_hub("repeated")
    conflicts = _of_hub("conflicts")
    settled = _of_hub("settled")
    _suspects = _of_hub("_suspects")
    max_attempts = _of_hub("max_attempts")
    max_releases = _of_hub("max_releases")
    on_dead = _of_hub("on_dead")
    transform = _of_hub("transform")
    outlets = _of_hub("outlets")
    closed = _of_hub("closed")
    cut = property(_is_cut, _leave_it)

    def __init__(self, hub: Mailbox) -> None:
        """Open one more lease on a mailbox; `leave` closes it."""
        # What the base sets on the hub's account must not reach the hub.
        self.hub = cast("Mailbox", SimpleNamespace(outlets=(), timeout=None))
        super().__init__(hub.name, hub.meter, base=hub.base)
        self.hub = hub
        self.desk = hub.desk
        self.keyed = hub.keyed
        self.keeps_ids = hub.keeps_ids
        self.holds = hub.holds
        self.slow = hub.slow
        self.held: dict[HeldByLease, list[Any]] = {}
        """Outputs that wait for the acknowledgement of this lease's message."""
        self.is_leaving = False
        """Whether it is to take nothing more."""
        self.team = share(hub)
        self.team.leases.append(self)
        self.begin(None)

    @property
    def reader(self) -> object:
        return self.hub

    def begin(self, scope: trio.CancelScope | None) -> None:
        limit = self.hub.timeout
        self.timeout = None if limit is None else Timeout(limit.seconds)
        super().begin(scope)

    def leave(self) -> None:
        """Close this lease; it holds nothing any more."""
        self.team.leases.remove(self)
        self._look()

    # -- taking ------------------------------------------------------------------------------

    async def take_slow(self) -> Any:
        await self._settle_this()
        self._waiting = True
        try:
            while True:
                await self._turn()
                payload = self.hand_out(self._take_one())
                if payload is not NOTHING:
                    self._note_passed(1)
                    return payload
        except BaseException:
            self.bind(self.base)
            raise
        finally:
            self._waiting = False

    async def take_batch(self, most: int) -> list[Any]:
        if self.slow:
            return [await self.take_slow()]
        await self._settle_this()
        self._waiting = True
        try:
            while True:
                await self._turn()
                if self.hub.returned:
                    payload = self.hand_out(self._take_one())
                    payloads = [] if payload is NOTHING else [payload]
                else:
                    self._expect_resent(0)
                    payloads = self._lease_many(self.hub._pop_many(self._allowed(most)))
                if payloads:
                    self._note_passed(len(payloads))
                    return payloads
        except BaseException:
            self.bind(self.base)
            raise
        finally:
            self._waiting = False

    async def _settle_this(self) -> None:
        if self._settle_last():
            await self.finish(asks=True)
        self._look()
        if self.hub.owner is None:
            self.hub.owner = self.owner

    def _allowed(self, most: int) -> int:
        control = self.hub.control
        return most if control is None else max(1, control.allows(most))

    def _note_passed(self, messages: int) -> None:
        """Do at a boundary what an actor does that something was asked of."""
        hub = self.hub
        if hub.control is not None:
            hub.control.spend(messages)
        if hub.config is not None:
            hub.adopt_config()

    def _take_one(self) -> Envelope[Any]:
        hub = self.hub
        if not hub.returned:
            self._expect_resent(0)
            return hub.pop()
        item = hub.take_returned()
        self._note_returned(item)
        self._expect_resent(item.placed)
        return item.envelope

    def _expect_resent(self, placed: int) -> None:
        self.resend = placed

    # -- waiting for the turn ----------------------------------------------------------------

    async def _turn(self) -> None:
        """Wait until there is something to take, and nobody else is to take it.

        Raises:
            EndOfInput: there will be nothing more.
            trio.Cancelled: this lease is to take nothing more, likewise from outside.
        """
        hub, team = self.hub, self.team
        try:
            while True:
                if self.is_leaving and self.scope is not None:
                    self.scope.cancel()
                    await trio.lowlevel.checkpoint()
                if hub.later:
                    hub._fall_due(trio.current_time())
                if hub.control is None and hub.returned:
                    await trio.lowlevel.checkpoint()  # one that is given back for ever lets others
                    if hub.returned:
                        return
                elif hub.control is None and hub.credit > 0:
                    return
                elif team.is_led:
                    await team.line.park()
                else:
                    team.is_led = True
                    try:
                        if await self._lead():
                            return
                    finally:
                        team.is_led = False
        finally:
            if not team.is_led:
                team.line.unpark()

    async def _lead(self) -> bool:
        """Wait for input, or until one that comes again is due, or anything has been settled.

        Returns:
            True if there is something to take now, and whoever was asked lets it through.
        """
        hub = self.hub
        if hub._waiting or hub.parked is not None:
            raise trio.BusyResourceError(
                f"a task of {hub.name!r} waits in receive(); take all of its messages with "
                "`async with ctx.leased() as message`, or none"
            )
        if hub.control is not None:
            self.bind(self.base)
            try:
                await hub.control.attend()
            except EndOfInput as end:
                return await self._end(end)
            if hub.returned:
                return await self._is_let_through()
        later = hub.later
        with trio.CancelScope(deadline=later.next_at if later else math.inf):
            if not later or not later.is_full():
                try:
                    await hub.wait()
                except EndOfInput as end:
                    if not later:
                        return await self._end(end)
                else:
                    return hub.control is not None and await self._is_let_through()
            await hub.park()
        return False

    async def _is_let_through(self) -> bool:
        """Return whether something is there and may pass now, in spite of what was asked."""
        hub = self.hub
        if not (hub.returned or hub.credit > 0):
            return False
        return hub.control is None or await hub.control.admit() > 0

    async def _end(self, end: EndOfInput) -> bool:
        """Wait until others have settled what they hold, if any do: only then is it the end."""
        if not any(map(_is_held, self.team.leases)):
            raise EndOfInput(str(end), self) from None
        await self.hub.park()
        return False

    def _look(self) -> None:
        """Let the lease that leads look again."""
        if self.team.is_led:
            self.hub.nudge()

    # -- settling ----------------------------------------------------------------------------

    def come_again(self, item: Returned, *, first: bool = False) -> None:
        self.hub.come_again(item, first=first)
        self._look()
        self.team.line.unpark()

    def put_off(self, item: Returned, *, failed: int) -> bool:
        is_kept = self.hub.put_off(item, failed=failed)
        self._look()
        return is_kept

    def _give_up(self, item: Returned, reason: str, outcome: Outcome = "dead_lettered") -> None:
        self.hub._give_up(item, reason, outcome)

    def _let_go(self) -> None:
        super()._let_go()
        self._look()

    def is_expired(self) -> bool:
        """Return whether the deadline of the message in hand has passed."""
        deadline = None if self.leased is None else self.leased.context.deadline
        return deadline is not None and deadline <= trio.current_time()

    def give_all_back(self, *, expired: bool) -> None:
        """Settle what is in hand when its handler was cancelled."""
        if expired:
            self.expire()
        else:
            self.release()

    def dismiss(self) -> None:
        """Take nothing more: end the wait that goes on, or at the next ask."""
        self.is_leaving = True
        if self._waiting and self.scope is not None:
            self.scope.cancel()

    def hand_over(self) -> None:
        """Let the hub hold what is in hand here: its child settles what has failed."""
        hub = self.hub
        hub.leased, hub.root, hub.batch = self.leased, self.root, self.batch
        hub.emitted, hub.resend = self.emitted, self.resend
        hub._attempts = self._attempts
        self._let_go()

    def note_tracked(self, tracked: bool) -> None:
        self.tracked = tracked  # the outputs of several leases are ready for it at any time


def _is_held(lease: Worker) -> bool:
    return lease.leased is not None


def share(hub: Mailbox) -> Shared:
    """Let several leases take from a mailbox; return what they share."""
    if hub.shared is None:
        hub.shared = Shared()
        hub.on_idle = hub.on_idle or _nothing  # its own waits take the long way from now on
        hub.usual = None
        for outlet in hub.outlets:
            share_output(outlet, hub)
    return cast("Shared", hub.shared)


def _nothing() -> None:
    """Stand for something to look at before a wait."""


def set_limit(box: Mailbox, seconds: float) -> None:
    """Change how long a message may be handled: now, also of messages in hand that had a limit."""
    for each in {box, *leases_of(box)}:
        if each.timeout is not None:
            each.timeout.change(each, seconds)
        else:
            each.limit_next(seconds)


def leases_of(box: Mailbox) -> Sequence[Mailbox]:
    """Return what takes from a mailbox: the leases that share it, or itself."""
    return [box] if box.shared is None else [*cast("Shared", box.shared).leases]
