"""What can be read of a run: per node and per edge, while it goes on and when it has ended."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..actors._child import ActorChild, Child
from ..actors._dead_letters import DeadLetter
from ..actors._failure import FailureSummary
from ..channels._lane import Lane
from ..channels._outlet import NOTHING
from ..channels._routing import RoutingOutlet
from ._drain_report import DrainReport
from ._group_report import GroupReport
from ._reconfigured import Reconfigured

RunStatus = Literal["running", "draining", "completed", "failed", "cancelled"]


class EdgeReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ledger of one edge: every message sent is accounted for."""

    source: str
    target: str
    sent: int
    acknowledged: int
    dead_lettered: int
    expired: int
    dropped: Mapping[str, int]
    """Reason -> messages: an overflow policy, `reader_ended`, `superseded`."""
    queued: int
    leased: int
    """In hand, or waiting to be handed out again."""
    capacity: float
    overflow: str
    peak: int
    """Highest depth that the reader has seen; it looks once per chunk of messages."""
    blocked: float
    """Seconds that the sender has waited for room, a wait still going on included."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is under way any more."""
        return self.queued == 0 and self.leased == 0


class NodeReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node."""

    name: str
    kind: str
    state: str
    incarnation: int
    failed: int
    """Incarnations that failed."""
    redelivered: int = 0
    rejected: int = 0
    """Messages that `ctx.reject` has settled."""
    released: int = 0
    """Messages that `ctx.release` has given back; no failed attempts."""
    unheard: int = 0
    """Calls of a function given to `ctx.on_settled` that failed."""
    repeated: int = 0
    """Yields that repeated the send just before and were not sent again."""
    conflicts: int = 0
    """Keys of `custom_context` on which messages that were joined disagreed; the first has won."""
    dead_lettered: int = 0
    received: int = 0
    sent: int = 0
    depth: int = 0
    received_per_s: float = 0.0
    """Messages per second since the last look, or since the start."""
    sent_per_s: float = 0.0
    starved: float = 0.0
    """Seconds that it has waited for input, a wait still going on included."""
    blocked: float = 0.0
    """Seconds that it has waited for room in front of it, likewise."""
    failures: tuple[FailureSummary, ...] = ()
    """The last few, oldest first."""
    overdue: float = 0.0
    """Seconds that a message has been in hand beyond `timeout=`: its handler can't be cut off."""
    late_replies: int = 0
    """Replies of it that came when nobody waited for them any more."""
    paused: bool = False
    """Whether `run.pause` holds it."""
    reconfigured: tuple[Reconfigured, ...] = ()
    """The last changes by `run.reconfigure`, oldest first."""


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """A look at a run."""

    run_name: str
    workflow: str
    status: RunStatus
    seconds: float
    """Since the start, on trio's clock."""
    nodes: Mapping[str, NodeReport]
    edges: tuple[EdgeReport, ...]
    dead_letters: int
    """How many, in all."""
    groups: Mapping[str, GroupReport] = {}


class WorkflowResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. It never raises by itself; `unwrap()` does."""

    run_name: str
    workflow: str
    status: Literal["completed", "failed", "cancelled"]
    outputs: Mapping[str, Any]
    """Node -> its result, or the last value it sent; of nodes that got that far."""
    results: Mapping[str, Any]
    """What `ctx.set_result` has kept."""
    error: Exception | None
    """The failure that ended the run, as it was raised."""
    failed_node: str | None
    reason: str
    """Why it ended, in words; empty when it completed."""
    dead_letters: tuple[DeadLetter, ...]
    """The newest 10,000."""
    dead_letters_fallen_out: int = 0
    """How many more there were, older ones."""
    nodes: Mapping[str, NodeReport]
    edges: tuple[EdgeReport, ...]
    seconds: float
    cut_short: tuple[str, ...] = ()
    """Nodes that a drain cancelled because its budget ran out."""
    drain: DrainReport | None = None
    """What became of what was under way when it was drained; None if it ended by itself."""
    interrupted: bool = False
    """Whether Ctrl-C or a signal ended it."""
    groups: Mapping[str, GroupReport] = {}
    """Of `wf.group(...)`, by name."""

    @property
    def ok(self) -> bool:
        return self.status == "completed"

    def unwrap(self) -> Mapping[str, Any]:
        """Return the outputs.

        Raises:
            Exception: the failure itself, if a node failed.
            RunCancelled: the run was cancelled.
        """
        if self.error is not None:
            raise self.error
        if self.status != "completed":
            raise RunCancelled(f"run {self.run_name!r} was cancelled: {self.reason}")
        return self.outputs


class RunCancelled(Exception):
    """The outputs of a cancelled run were asked for."""


def report_edge(lane: Lane, in_hand: int, settled: Mapping[tuple[str, str], int]) -> EdgeReport:
    """Return the ledger of one lane.

    Args:
        in_hand: messages of it that are leased, or come again.
        settled: (source, reason) -> messages that its reader gave up.
    """
    expired = dead = 0
    for (source, reason), n in settled.items():
        if source == lane.source:
            if reason == "expired":
                expired += n
            else:
                dead += n
    queued = lane.queued
    dropped = sum(lane.dropped.values())
    return EdgeReport(
        source=lane.source,
        target=lane.target,
        sent=lane.sent,
        acknowledged=lane.sent - queued - dropped - in_hand - expired - dead,
        dead_lettered=dead,
        expired=expired,
        dropped=lane.dropped,
        queued=queued,
        leased=in_hand,
        capacity=lane.capacity,
        overflow=lane.overflow,
        peak=max(lane.peak, queued),
        blocked=lane.blocked.waited,
    )


def report_node(child: Child, kind: str, before: tuple[float, int, int], now: float) -> NodeReport:
    """Return what is known of one node.

    Args:
        before: when it was looked at last, and what it had received and sent by then.
    """
    if not isinstance(child, ActorChild):  # quickly: there may be thousands
        return NodeReport(
            name=child.name,
            kind=kind,
            state=child.state.value,
            incarnation=child.incarnation,
            failed=child.failed,
            failures=child.failures,
        )
    received = depth = 0
    box = child.mailbox
    # Loops, not sums of generators: there may be ten thousand actors.
    for lane in box.lanes:
        queued = lane.queued
        depth += queued
        received += lane.sent - queued - sum(lane.dropped.values())
    sent, blocked = _sent_and_waited(child)
    starved = box.waited
    redelivered, repeated = box.redelivered, box.repeated
    rejected, released, unheard = box.rejected, box.released, box.unheard
    conflicts = box.conflicts + (0 if box.join is None else box.join.conflicts)
    dead = sum(box.settled.values())
    span = now - before[0]
    per_s = 1 / span if span > 0 else 0.0
    return NodeReport(
        name=child.name,
        kind=kind,
        state=child.state.value,
        incarnation=child.incarnation,
        failed=child.failed,
        redelivered=redelivered,
        rejected=rejected,
        released=released,
        unheard=unheard,
        repeated=repeated,
        conflicts=conflicts,
        dead_lettered=dead,
        received=received,
        sent=sent,
        depth=depth,
        received_per_s=(received - before[1]) * per_s,
        # A stream that was read from outside takes its count along when it is closed.
        sent_per_s=max(0, sent - before[2]) * per_s,
        starved=starved,
        blocked=blocked,
        failures=child.failures,
        overdue=overdue_of(child),
    )


def _sent_and_waited(child: ActorChild) -> tuple[int, float]:
    """Return how many messages an actor has sent, and the seconds that it waited for room."""
    sent, waited = 0, 0.0
    for outlet in child.all_outlets():
        if isinstance(outlet, RoutingOutlet):
            sent += outlet.sent_in_all()
            waited += outlet.waited()
            continue
        most = 0
        for lane in outlet.lanes:
            waited += lane.blocked.waited
            if lane.sent > most:
                most = lane.sent
        sent += most  # a broadcast is one message, however many readers it has
    return sent, waited


def overdue_of(child: Child) -> float:
    """Return for how long the message in hand has been over its time."""
    box = child.mailbox if isinstance(child, ActorChild) else None
    return 0.0 if box is None or box.timeout is None else box.timeout.overdue(box)


def output_of(child: Child) -> Any:
    """Return a node's output so far; NOTHING if there is none."""
    if isinstance(child, ActorChild):
        return NOTHING if child.outlet is None else child.outlet.last
    return child.value if child.state.value == "done" else NOTHING


for _public in (EdgeReport, NodeReport, StatusReport, WorkflowResult, RunCancelled):
    _public.__module__ = "trouper"
