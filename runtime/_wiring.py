"""From checked nodes to children with mailboxes, outlets and lanes."""

import random
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import define

from ..actors._actor_context import ActorContext, GeneratorContext
from ..actors._child import ActorChild, Behaviour, Child, TaskChild
from ..actors._dead_letters import DeadLetter, DeadLetters
from ..actors._later import Later
from ..actors._mailbox import Mailbox
from ..actors._restart import Backoff
from ..actors._run_context import ActionID
from ..actors._task_context import TaskContext
from ..actors._timeout import Timeout
from ..actors._workers_bodies import several
from ..channels._envelope import Envelope
from ..channels._fan_in import open_join
from ..channels._fan_out import open_outlet
from ..channels._inbox import Inbox
from ..channels._lane import Lane
from ..channels._outlet import Outlet
from ._bodies import call_task, make_behaviour, transform_of
from ._edge import Upstream
from ._graph import lane_settings
from ._node import Node
from ._settings import Settings

_NO_OUTPUTS: Mapping[str, Outlet] = {}
_NO_VALUES: dict[str, Any] = {}
"""Never added to: see `Cell.take`."""


@define(eq=False)
class Cell:
    """One node of a run: its child, and what it still waits for before it can start.

    What the child asks of the runtime are methods here: it is the child's `spec`.
    """

    node: Node
    child: Child
    settings: Settings
    expected: int = 0
    """Batch inputs that it needs to start."""
    values: dict[str, Any] = _NO_VALUES
    """Batch inputs that do, by upstream key."""
    collectors: tuple[tuple[Upstream, Inbox], ...] = ()
    """Streams that a batch task waits for to their end."""
    seen: tuple[float, int, int] = (0.0, 0, 0)
    """When status was read last, and what had been received and sent by then."""

    def inputs(self) -> Any:
        """Return `ctx.inputs`: bare with one upstream, else an immutable mapping in order."""
        values = self.values
        if not self.node.keyed:
            return next(iter(values.values())) if values else None
        return MappingProxyType(
            {u.key: values[u.key] for u in self.node.upstreams if u.key in values}
        )

    @property
    def is_complete(self) -> bool:
        """Whether every batch input stands."""
        return len(self.values) == self.expected

    def take(self, key: str, value: Any) -> None:
        """Keep a batch input that stands now."""
        if not self.values:
            self.values = {}
        self.values[key] = value

    # -- what the child asks for -------------------------------------------------------------

    def _action(self) -> ActionID:
        run = self.settings.run_context
        return ActionID(
            name=self.node.name,
            run_name=run.run_name,
            project=run.project,
            domain=run.domain,
            org=run.org,
        )

    def call(self, context: TaskContext[Any, Any, Any]) -> Awaitable[Any]:
        return call_task(self.node, context)

    def task_context(self) -> TaskContext[Any, Any, Any]:
        settings = self.settings
        return TaskContext(
            state=settings.state,
            deps=settings.deps,
            inputs=self.inputs(),
            config=settings.config,
            run_context=settings.run_context,
            action=self._action(),
            asks=settings.asking,
        )

    def behaviour(self) -> Behaviour:
        behaviour, concurrency = make_behaviour(self.node), self.node.options.concurrency
        is_single = concurrency == 1 and "concurrency" not in self.node.options.given
        return behaviour if is_single else several(behaviour, self.child, concurrency)

    def actor_context(self) -> ActorContext[Any, Any, Any, Any]:
        settings, child = self.settings, self.child
        assert isinstance(child, ActorChild)
        assert child.outlet is not None
        make = GeneratorContext if self.node.shape.is_generator else ActorContext
        return make(
            state=settings.state,
            deps=settings.deps,
            inputs=self.inputs(),
            config=child.mailbox.config or settings.config,
            run_context=settings.run_context,
            action=self._action(),
            asks=settings.asking,
            mailbox=child.mailbox,
            outlet=child.outlet,
            outputs=child.outputs,
            stopping=child.stopping,
        )


class Wiring:
    """Builds the cells of one run."""

    def __init__(self, nodes: Mapping[str, Node], settings: Settings, dead: DeadLetters) -> None:
        self._nodes = nodes
        self._settings = settings
        self._on_dead = dead.add
        self.cells: dict[str, Cell] = {}
        self._leaving: dict[Outlet, list[Lane]] = {}

    def build(self) -> dict[str, Cell]:
        for node in self._nodes.values():
            self.cells[node.name] = self._task(node) if node.kind == "task" else self._actor(node)
        for cell in self.cells.values():
            for upstream in cell.node.upstreams:
                self._connect(cell, upstream)
        for outlet, lanes in self._leaving.items():
            outlet.add_lane(*lanes)
        return self.cells

    def _task(self, node: Node) -> Cell:
        child = TaskChild(node.name, node.options.policy, probe=self._settings.harness.probe)
        child.spec = cell = Cell(node, child, self._settings)
        return cell

    def _actor(self, node: Node) -> Cell:
        settings, options = self._settings, node.options
        streams = [u for u in node.upstreams if self._nodes[u.node].kind == "actor"]
        box = Mailbox(
            node.name,
            settings.harness.meter(),
            open_join(options.fan_in) if len(streams) > 1 else None,
            keyed=node.keyed and bool(streams),
            max_attempts=options.max_attempts,
            on_dead=self._on_dead,
            transform=transform_of(node),
            base=settings.message_context,
        )
        box.max_releases = options.max_releases
        if options.redelivery_delay is not None:
            box.later = Later(self._delay_of(options.redelivery_delay), options.capacity)
        if options.timeout is not None:
            box.timeout = Timeout(options.timeout)
        outlet = self._outlet(box, node)
        child = ActorChild(
            node.name,
            options.policy,
            probe=settings.harness.probe,
            mailbox=box,
            outlet=outlet,
            outputs={name: self._outlet(box, node) for name in options.outputs} or _NO_OUTPUTS,
            shutdown=options.shutdown,
        )
        child.spec = cell = Cell(node, child, settings)
        return cell

    def _delay_of(self, delay: float | Backoff) -> Callable[[int], float]:
        """Return what tells, after so many failed attempts, the seconds until the next."""
        if not isinstance(delay, Backoff):
            return lambda _failed: delay
        rng = random.Random(self._settings.harness.seed)
        # To restart at once is a backoff's first delay, which here would be none.
        return lambda failed: delay.delay(failed + 1, rng.random())

    def _outlet(self, box: Mailbox, node: Node) -> Outlet:
        hold = node.options.hold_limit if node.options.on_redelivery == "hold" else 0
        skip = node.options.on_redelivery == "skip"
        fan_out = node.options.fan_out
        outlet = open_outlet(fan_out, box, beside=box.meter, hold=hold, skip=skip)
        box.outlets = (*box.outlets, outlet)
        box.holds = box.holds or hold > 0
        box.slow = box.slow or box.holds
        return outlet

    def _connect(self, cell: Cell, upstream: Upstream) -> None:
        source = self.cells[upstream.node].child
        if not isinstance(source, ActorChild):
            cell.expected += 1
            return
        outlet = source.outlet if upstream.output is None else source.outputs[upstream.output]
        assert outlet is not None
        if isinstance(cell.child, ActorChild):
            inbox: Inbox = cell.child.mailbox
        else:
            inbox = Inbox(cell.node.name, self._settings.harness.meter())
            cell.collectors = (*cell.collectors, (upstream, inbox))
            cell.expected += 1
        lane = self._lane(cell.node, upstream, inbox)
        inbox.add_lane(lane)
        if outlet.lanes:
            # All at once later: a broadcast to thousands would copy its lanes for each.
            self._leaving.setdefault(outlet, []).append(lane)
        else:
            outlet.add_lane(lane)

    def _lane(self, node: Node, upstream: Upstream, inbox: Inbox) -> Lane:
        edge = upstream.edge
        capacity, overflow = lane_settings(node, edge)
        return Lane(
            upstream.key,
            node.name,
            inbox,
            capacity=capacity,
            overflow=overflow,
            on_drop=self._keep if edge.keep_dropped else None,
        )

    def _keep(self, lane: Lane, envelope: Envelope[Any], reason: str) -> None:
        self._on_dead(DeadLetter(lane.target, envelope, reason))
