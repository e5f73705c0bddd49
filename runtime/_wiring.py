"""From checked nodes to children with mailboxes, outlets and lanes."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import define, field

from ..actors._actor_context import ActorContext, GeneratorContext
from ..actors._child import ActorChild, Child, TaskChild
from ..actors._dead_letters import DeadLetter, DeadLetters
from ..actors._mailbox import Mailbox
from ..actors._run_context import ActionID
from ..actors._task_context import TaskContext
from ..channels._envelope import Envelope, MessageContext
from ..channels._fan_in import open_join
from ..channels._inbox import Inbox
from ..channels._lane import Lane
from ..channels._outlet import Outlet
from ._bodies import behaviour_factory, task_call, transform_of
from ._edge import Upstream
from ._node import Node
from ._settings import Settings


@define(eq=False)
class Cell:
    """One node of a run: its child, and what it still waits for before it can start."""

    node: Node
    child: Child
    pending: set[str] = field(factory=set)
    """Batch inputs that do not stand yet, by upstream key."""
    values: dict[str, Any] = field(factory=dict)
    """Batch inputs that do, by upstream key."""
    collectors: list[tuple[Upstream, Inbox]] = field(factory=list)
    """Streams that a batch task waits for to their end."""
    seen: tuple[float, int, int] = (0.0, 0, 0)
    """When status was read last, and what had been received and sent by then."""

    def inputs(self) -> Any:
        """Return `ctx.inputs`: bare with one upstream, else an immutable mapping in order."""
        ordered = {u.key: self.values[u.key] for u in self.node.upstreams if u.key in self.values}
        if self.node.keyed:
            return MappingProxyType(ordered)
        return next(iter(ordered.values()), None)


class Wiring:
    """Builds the cells of one run."""

    def __init__(self, nodes: Mapping[str, Node], settings: Settings, dead: DeadLetters) -> None:
        self._nodes = nodes
        self._settings = settings
        self._dead = dead
        self.cells: dict[str, Cell] = {}

    def build(self) -> dict[str, Cell]:
        for node in self._nodes.values():
            self.cells[node.name] = self._task(node) if node.kind == "task" else self._actor(node)
        for cell in self.cells.values():
            for upstream in cell.node.upstreams:
                self._connect(cell, upstream)
        return self.cells

    def _action(self, node: Node) -> ActionID:
        run = self._settings.run_context
        return ActionID(
            name=node.name,
            run_name=run.run_name,
            project=run.project,
            domain=run.domain,
            org=run.org,
        )

    def _task(self, node: Node) -> Cell:
        settings, action = self._settings, self._action(node)
        cell: Cell

        def make_context() -> TaskContext[Any, Any, Any]:
            return TaskContext(
                state=settings.state,
                deps=settings.deps,
                inputs=cell.inputs(),
                config=settings.config,
                run_context=settings.run_context,
                action=action,
            )

        child = TaskChild(
            node.name,
            node.options.policy,
            probe=settings.harness.probe,
            call=task_call(node),
            make_context=make_context,
        )
        cell = Cell(node, child)
        return cell

    def _actor(self, node: Node) -> Cell:
        settings, options, action = self._settings, node.options, self._action(node)
        run = settings.run_context
        streams = [u for u in node.upstreams if self._nodes[u.node].kind == "actor"]
        box = Mailbox(
            node.name,
            settings.harness.meter(),
            open_join(options.fan_in) if len(streams) > 1 else None,
            keyed=node.keyed and bool(streams),
            max_attempts=options.max_attempts,
            on_dead=self._dead.add,
            transform=transform_of(node),
            base=MessageContext(
                run=run.run_name, parent_action=node.name, custom_context=run.custom_context
            ),
        )
        outlet = self._outlet(box, node)
        outputs = {name: self._outlet(box, node) for name in options.outputs}
        make: type[ActorContext[Any, Any, Any, Any]]
        make = GeneratorContext if node.shape.is_generator else ActorContext
        cell: Cell

        def make_context() -> ActorContext[Any, Any, Any, Any]:
            return make(
                state=settings.state,
                deps=settings.deps,
                inputs=cell.inputs(),
                config=settings.config,
                run_context=run,
                action=action,
                mailbox=box,
                outlet=outlet,
                outputs=outputs,
                stopping=child.stopping,
            )

        child = ActorChild(
            node.name,
            options.policy,
            probe=settings.harness.probe,
            mailbox=box,
            outlet=outlet,
            outputs=outputs,
            make_behaviour=behaviour_factory(node, lambda: cell.inputs()),
            make_context=make_context,
            shutdown=options.shutdown,
        )
        cell = Cell(node, child)
        return cell

    def _outlet(self, box: Mailbox, node: Node) -> Outlet:
        hold = node.options.hold_limit if node.options.on_redelivery == "hold" else 0
        skip = node.options.on_redelivery == "skip"
        outlet = Outlet(box, box.meter.sibling(), hold=hold, skip=skip)
        box.outlets.append(outlet)
        box.holds = box.holds or hold > 0
        box.slow = box.slow or box.holds
        return outlet

    def _connect(self, cell: Cell, upstream: Upstream) -> None:
        source = self.cells[upstream.node].child
        if not isinstance(source, ActorChild):
            cell.pending.add(upstream.key)
            return
        outlet = source.outlet if upstream.output is None else source.outputs[upstream.output]
        assert outlet is not None
        if isinstance(cell.child, ActorChild):
            inbox: Inbox = cell.child.mailbox
        else:
            inbox = Inbox(cell.node.name, self._settings.harness.meter())
            cell.collectors.append((upstream, inbox))
            cell.pending.add(upstream.key)
        lane = self._lane(cell.node, upstream, inbox)
        inbox.add_lane(lane)
        outlet.add_lane(lane)

    def _lane(self, node: Node, upstream: Upstream, inbox: Inbox) -> Lane:
        edge, options = upstream.edge, node.options
        overflow = options.overflow if edge.overflow is None else edge.overflow
        capacity = options.capacity if edge.capacity is None else edge.capacity
        if edge.feedback and overflow in ("block", "fail"):
            # A feedback edge never blocks its sender: the cycle would wait for itself.
            overflow, capacity = "block", math.inf
        return Lane(
            upstream.key,
            node.name,
            inbox,
            capacity=capacity,
            overflow=overflow,
            on_drop=self._keep if edge.keep_dropped else None,
        )

    def _keep(self, lane: Lane, envelope: Envelope[Any], reason: str) -> None:
        self._dead.add(DeadLetter(lane.target, envelope, reason))
