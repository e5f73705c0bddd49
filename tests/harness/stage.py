"""One supervised actor without a graph: lanes in, one lane out, a supervisor that keeps notes."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from attrs import define, field

import trouper
from trouper.actors._actor_context import GeneratorContext
from trouper.actors._child import ActorChild, Behaviour, Child
from trouper.actors._mailbox import Mailbox
from trouper.actors._supervisor import Supervisor
from trouper.channels._envelope import MessageContext
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._outlet import Outlet

BASE = MessageContext(run="stage", parent_action="actor")


@define(eq=False)
class Stage:
    """Put an actor on it, feed its lanes, look at what it does."""

    run: Callable[[Any], Any]
    start: Callable[[Any], Awaitable[None]] | None = None
    stop: Callable[[Any, str], Awaitable[None]] | None = None
    restarted: Callable[[Any], Awaitable[None]] | None = None
    policy: trouper.RestartPolicy = field(factory=trouper.RestartPolicy)
    max_attempts: float = 3
    sources: Sequence[str] = ("up",)
    keyed: bool = False
    transform: Callable[[Any, str], Any] | None = None
    out_capacity: float = 64
    out_overflow: trouper.OverflowPolicy = "block"
    probe: Any = None
    operations: int = 16
    shutdown: float = 5.0
    hold: int = 0
    """Outputs that `on_redelivery="hold"` keeps; 0: it is off."""
    # -- what it keeps
    dead: list[trouper.DeadLetter] = field(factory=list, init=False)
    ended: list[Child] = field(factory=list, init=False)
    failed: list[tuple[Exception, str]] = field(factory=list, init=False)
    made: int = field(default=0, init=False)
    """Behaviours that were made: incarnations."""
    box: Mailbox = field(init=False)
    outlet: Outlet = field(init=False)
    reader: Inbox = field(init=False)
    """Where the actor's output goes."""
    child: ActorChild = field(init=False)
    lanes: list[Lane] = field(init=False)
    outlets: list[Outlet] = field(init=False)
    """What feeds the actor, one for each source."""
    supervisor: Supervisor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.box = Mailbox(
            "actor",
            trouper.OperationMeter(self.operations),
            keyed=self.keyed,
            max_attempts=self.max_attempts,
            on_dead=self.dead.append,
            transform=self.transform,
            base=BASE,
        )
        self.outlet = Outlet(self.box, beside=self.box.meter, hold=self.hold)
        self.box.holds = self.hold > 0
        self.box.slow = self.box.slow or self.box.holds
        self.box.outlets = (self.outlet,)
        self.reader = Inbox("reader")
        out = Lane(
            "actor", "reader", self.reader, capacity=self.out_capacity, overflow=self.out_overflow
        )
        self.reader.add_lane(out)
        self.outlet.add_lane(out)
        self.lanes = []
        for name in self.sources:
            lane = Lane(name, "actor", self.box)
            self.box.add_lane(lane)
            self.lanes.append(lane)
        self.child = ActorChild(
            "actor",
            self.policy,
            probe=self.probe,
            mailbox=self.box,
            outlet=self.outlet,
            spec=self,
            shutdown=self.shutdown,
        )

    def behaviour(self) -> Behaviour:
        self.made += 1
        return Behaviour(self.run, start=self.start, stop=self.stop, restarted=self.restarted)

    def actor_context(self) -> trouper.ActorContext:
        return GeneratorContext(
            mailbox=self.box, outlet=self.outlet, outputs={}, stopping=self.child.stopping
        )

    # -- feeding and reading -----------------------------------------------------------------

    def feed(self, *payloads: Any, lane: int = 0, context: MessageContext = BASE) -> None:
        """Put messages into a lane, at once."""
        for payload in payloads:
            self.lanes[lane].place(payload, context, None, False)

    def end(self) -> None:
        """End every lane into the actor."""
        for lane in self.lanes:
            lane.end()

    def sent(self) -> list[Any]:
        """Take what the actor has sent so far."""
        return [envelope.payload for envelope in self.envelopes()]

    def envelopes(self) -> list[trouper.Envelope[Any]]:
        """Take what the actor has sent so far, and let it send more."""
        [lane] = self.reader.lanes
        taken = [lane.buffer.popleft() for _ in range(len(lane.buffer))]
        lane.release()
        return taken

    # -- running -----------------------------------------------------------------------------

    def child_ended(self, child: Child) -> None:
        self.ended.append(child)

    def child_failed(self, child: Child, error: Exception, reason: str) -> None:
        self.failed.append((error, reason))

    def begin(self, nursery: trio.Nursery) -> None:
        """Start the actor in a nursery of the test's own."""
        self.supervisor = Supervisor(nursery, self, rng=random.Random(0))
        self.supervisor.start(self.child)

    async def live(self, *payloads: Any) -> "Stage":
        """Feed these, end the lanes, and run the actor until it has ended or is given up."""
        self.feed(*payloads)
        self.end()
        async with trio.open_nursery() as nursery:
            self.begin(nursery)
        return self

    def ledger(self) -> dict[str, int]:
        """Count what became of the messages of the first lane."""
        lane = self.lanes[0]
        in_hand = self.box.in_hand().get(lane.source, 0)
        return {
            "sent": lane.sent,
            "queued": len(lane.buffer),
            "in hand": in_hand,
            "given up": sum(n for (s, _), n in self.box.settled.items() if s == lane.source),
        }
