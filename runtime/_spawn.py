"""`ctx.spawn`: children that actors start and stop while the run goes on.

A child is a node of its own, with a mailbox that only its handle feeds. Nothing is kept of one that
has ended, but what its handle needs.
"""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import trio

from ..actors._child import ActorChild
from ..actors._children import Children
from ..actors._failure import FailureSummary
from ..actors._record import Child
from ..actors._spawning import ChildFailed, Spawned, SpawnRefused
from ..channels._context import message_context
from ..channels._lane import Lane
from ..channels._lineage import Detached
from ..channels._outlet import NOTHING, EndOfOutput, Outlet
from ._arguments import plan_arguments
from ._convert_message import convert_message
from ._names import check_name, infer_name, refuse_unknown
from ._node import Node, make_node
from ._node_ended import NodeEnded
from ._options import AnyOptions
from ._report import output_of
from ._shape import Kind
from ._wiring import Cell, Wiring

if TYPE_CHECKING:
    from ._execution import Execution

_OF_EDGES = frozenset({"depends_on", "fan_in", "fan_out", "outputs", "significant"})
_OF_STREAMS = frozenset({"collect", "max_items", "default"})
SPAWN_OPTIONS = frozenset(AnyOptions.__annotations__) - _OF_EDGES - _OF_STREAMS - {"name"}
"""What `ctx.spawn` takes."""


class RunSpawner:
    """The run's part in `ctx.spawn`."""

    def __init__(self, execution: "Execution") -> None:
        self.cells: dict[str, Cell] = {}
        """Of all children that have not ended, by full name."""
        self._execution = execution
        self._handles: dict[str, ChildHandle] = {}

    def spawn(
        self, parent: str, body: Any, name: str | None, options: Mapping[str, Any]
    ) -> Spawned:
        cell = self.cells.get(parent) or self._execution.cells[parent]
        children = self._children_of(cell)
        refuse_unknown(f"ctx.spawn of {parent!r}", options, ("name", *sorted(SPAWN_OPTIONS)))
        own = f"{infer_name(body)}-{children.made + 1}" if name is None else name
        children.check_room(check_name(own, "child"))
        # What is spawned is there to be sent to: an async function is an actor here.
        kind: Kind | None = "actor" if iscoroutinefunction(body) else None
        made = make_node(body, kind, {**options, "name": own}, lambda _: None)
        plan_arguments(made.shape, ())  # or every incarnation would find out by itself
        node = attrs.evolve(made, name=f"{parent}/{own}")
        child, handle = self._wire(node, parent)
        children.add(own, child)
        return handle

    def _children_of(self, cell: Cell) -> Children:
        parent = cell.child
        assert isinstance(parent, ActorChild)
        if parent.closing is not None:
            raise SpawnRefused(f"{parent.name!r} can't spawn in its stop hook: it has ended")
        if parent.children is None:
            most = cell.node.options.max_children
            parent.children = Children(parent, self._execution.supervisor, most, self._forget)
        return parent.children

    def _wire(self, node: Node, parent: str) -> tuple[Child, "ChildHandle"]:
        execution = self._execution
        cells = Wiring({node.name: node}, execution.settings, execution.dead_letters).build()
        cell = self.cells[node.name] = cells[node.name]
        child = cell.child
        inlet: Outlet | None = None
        if isinstance(child, ActorChild):
            box = child.mailbox
            execution.desk.look_after(cell)
            # What is spawned over a message carries its context (case X1), but has its own time.
            context = message_context.get()
            box.base = msgspec.structs.replace(context, deadline=None, tracking=())
            options = node.options
            inlet = Outlet(Detached(parent, into=node.name), execution.settings.harness.meter())
            lane = Lane(
                parent, node.name, box, capacity=options.capacity, overflow=options.overflow
            )
            box.add_lane(lane)
            inlet.add_lane(lane)
        handle = self._handles[node.name] = ChildHandle(cell, inlet)
        return child, handle

    def _forget(self, child: Child) -> None:
        self._execution.desk.forget(child)
        del self.cells[child.name]
        self._handles.pop(child.name).end(child)
        _untie(child)


def _untie(child: Child) -> None:
    """Take what has ended apart, so that it is free at once.

    Else ten thousand that stop together are left to the garbage collector, which then takes longer
    than their stop (case S17).
    """
    child.boss = child.scope = None
    if isinstance(child, ActorChild):
        child.spec = None
        box = child.mailbox
        box.lanes = box.outlets = ()
        box.only = box.scope = None


class ChildHandle:
    """What `ctx.spawn` gives."""

    def __init__(self, cell: Cell, inlet: Outlet | None) -> None:
        self.name = cell.node.name
        self._cell: Cell | None = cell
        self._inlet = inlet
        self._ended = trio.Event()
        self._state = ""
        self._value: Any = None
        self._failure: FailureSummary | None = None

    @property
    def state(self) -> str:
        return self._state if self._cell is None else self._cell.child.state.value

    async def send(self, x: Any) -> None:
        if self._cell is None:
            raise self._refusal(x)
        if self._inlet is None:
            raise TypeError(f"{self.name!r} is a task, which takes no messages; spawn an actor")
        x = convert_message(x, self._cell.node.types.input, node=self.name)
        try:
            await self._inlet.put(x)
        except EndOfOutput:
            raise self._refusal(x) from None

    async def stop(self) -> None:
        if self._cell is not None:
            self._cell.child.retire()
        await self._ended.wait()

    async def wait(self) -> Any:
        await self._ended.wait()
        if self._state == "failed":
            raise ChildFailed(f"{self.name!r} failed: {self._failure}")
        return self._value

    def end(self, child: Child) -> None:
        """Keep what there is to know, and nothing else (case S18)."""
        self._state = child.state.value
        value = output_of(child)
        self._value = None if value is NOTHING else value
        self._failure = child.failures[-1] if child.failures else None
        self._cell = self._inlet = None
        self._ended.set()

    def _refusal(self, payload: object) -> NodeEnded:
        why = f"{self.name!r} takes nothing more (it is {self.state}); the message was not accepted"
        return NodeEnded(why, payload)
