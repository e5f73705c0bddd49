"""Outputs that give each message to one reader, put together by hand."""

from collections.abc import Iterable
from typing import Any

from harness.edges import Relay, connect
from trouper import Envelope, OperationMeter, OverflowPolicy, Partition
from trouper.channels._balance import BalancedOutlet
from trouper.channels._by_key import PartitionedOutlet
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._routing import RoutingOutlet

Edge = tuple[float, OverflowPolicy]
"""Capacity and overflow."""


def alike(count: int, capacity: float) -> list[Edge]:
    return [(capacity, "block")] * count


def balanced(
    *edges: Edge, operations: int = 1_000_000, **options: Any
) -> tuple[BalancedOutlet, list[Lane], list[Inbox]]:
    """Return the output of a source, `a`, and the ends of its readers `r0`, `r1`, ..."""
    outlet = BalancedOutlet(Relay("a"), OperationMeter(operations), **options)
    return outlet, *_readers(outlet, edges)


def partitioned(
    partition: Partition, *edges: Edge, operations: int = 1_000_000, **options: Any
) -> tuple[PartitionedOutlet, list[Lane], list[Inbox]]:
    """Return the same of a partition."""
    meter = OperationMeter(operations)
    outlet = PartitionedOutlet(Relay("a"), meter, partition=partition, **options)
    return outlet, *_readers(outlet, edges)


def _readers(outlet: RoutingOutlet, edges: Iterable[Edge]) -> tuple[list[Lane], list[Inbox]]:
    inboxes: list[Inbox] = []
    lanes: list[Lane] = []
    for number, edge in enumerate(edges):
        inboxes.append(Inbox(f"r{number}", OperationMeter(1_000_000)))
        lanes.append(connect(outlet, inboxes[-1], *edge))
    return lanes, inboxes


def look_on(
    outlet: RoutingOutlet, capacity: float, overflow: OverflowPolicy = "block"
) -> tuple[Lane, Inbox]:
    """Add somebody who looks on, as `run.stream` does."""
    inbox = Inbox("stream", OperationMeter(1_000_000))
    lane = Lane("a", "@stream", inbox, capacity=capacity, overflow=overflow)
    inbox.add_lane(lane)
    outlet.add_tap(lane)
    return lane, inbox


def have_in_hand(outlet: RoutingOutlet, number: int, *, resend: int = 0) -> None:
    """Pretend that the sender has leased a message, of which so many outputs are placed."""
    outlet.lineage.leased = Envelope(number, "up", number)
    outlet.lineage.root = None
    outlet.lineage.resend = resend
    outlet.refresh()


def queued(lanes: Iterable[Lane]) -> list[list[Any]]:
    return [[each.payload for each in lane.buffer] for lane in lanes]
