"""Edges put together by hand: an outlet, lanes and an inbox, without actors around them."""

from typing import Any

from trouper import Envelope, Meter, OperationMeter, OverflowPolicy
from trouper.channels._inbox import EndOfInput, Inbox
from trouper.channels._lane import DropHook, Lane
from trouper.channels._lineage import Lineage
from trouper.channels._outlet import Outlet


class Relay(Lineage):
    """Stands for an actor: what it has in hand is set by hand."""

    def __init__(self, name: str, leased: Envelope[Any] | None = None, *, keeps_ids: bool = True):
        self.name = name
        self.leased = leased
        self.root = None
        self.emitted = self.resend = 0
        self.keeps_ids = keeps_ids


def connect(
    outlet: Outlet,
    inbox: Inbox,
    capacity: float = 64,
    overflow: OverflowPolicy = "block",
    *,
    weak: bool = False,
    on_drop: DropHook | None = None,
) -> Lane:
    """Join an outlet to an inbox by one more lane, which carries the outlet's name."""
    source = outlet.lineage.name
    lane = Lane(source, inbox.name, inbox, capacity=capacity, overflow=overflow, on_drop=on_drop)
    lane.weak = weak
    inbox.add_lane(lane)
    outlet.add_lane(lane)
    return lane


def open_outlet(name: str = "a", meter: Meter | None = None, **options: Any) -> Outlet:
    """Return the output of a sender that has nothing in hand: a source.

    Without a meter its slice never ends: no time of a busy machine decides what a test sees.
    """
    return Outlet(Relay(name), OperationMeter(1_000_000) if meter is None else meter, **options)


def open_edge(
    capacity: float = 64,
    overflow: OverflowPolicy = "block",
    *,
    meter: Meter | None = None,
    on_drop: DropHook | None = None,
) -> tuple[Outlet, Lane, Inbox]:
    """Return both ends of one edge and the lane between them; `meter` is that of both ends."""
    outlet = open_outlet("a", None if meter is None else meter.sibling())
    inbox = Inbox("r", OperationMeter(1_000_000) if meter is None else meter)
    return outlet, connect(outlet, inbox, capacity, overflow, on_drop=on_drop), inbox


async def take(inbox: Inbox) -> Envelope[Any]:
    """Take the next message; wait for it."""
    if inbox.credit <= 0:
        await inbox.wait()
    return inbox.pop()


async def drain(inbox: Inbox) -> list[Envelope[Any]]:
    """Take everything until the end of the input."""
    taken: list[Envelope[Any]] = []
    try:
        while True:
            taken.append(await take(inbox))
    except EndOfInput:
        return taken


async def drain_payloads(inbox: Inbox) -> list[Any]:
    return [envelope.payload for envelope in await drain(inbox)]
