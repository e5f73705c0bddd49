"""When a cycle has run dry: the end of its feedback edges.

A cycle ends when every edge into it has ended and none of its messages is queued or in hand. One
that no stream leads into lives on messages from outside: in an open run they are its upstream, and
it ends when the run drains.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from attrs import define

from ..actors._child import ActorChild
from ..actors._mailbox import Mailbox
from ..channels._lane import Lane
from ._wiring import Cell


@define(eq=False)
class Cycle:
    """The actors of one or more loops that share nodes, and the edges that close them."""

    names: frozenset[str]
    members: tuple[Mailbox, ...]
    feedback: tuple[Lane, ...]
    inner: frozenset[Lane]
    """The edges between its members."""
    is_kept: bool = False
    """Whether messages from outside may still come, and nothing else feeds it."""

    def release(self) -> None:
        """Let it end when it is dry: nothing comes from outside any more."""
        self.is_kept = False
        self.check()

    def check(self, about_to_wait: Mailbox | None = None) -> None:
        """End the feedback edges if nothing can move in this cycle any more."""
        if self.is_kept:
            return
        for box in self.members:
            if box.closed:
                continue  # it has ended before the others
            if box is not about_to_wait and box.parked is None:
                return
            # What a join keeps until its other parts come is no message yet, and may never be.
            if box.is_holding() or box.comes_again() or box.has_message():
                return
            for lane in box.lanes:
                if not (lane in self.inner or lane.ended or lane.weak):
                    return
        for lane in self.feedback:
            lane.end()

    def has_entry(self) -> bool:
        """Return whether a stream of the graph leads into it."""
        lanes = (lane for box in self.members for lane in box.lanes if not lane.weak)
        return not all(lane in self.inner for lane in lanes)


def watch_cycles(
    cells: Mapping[str, Cell], *, is_open: bool = False
) -> Mapping[str, Sequence[Cycle]]:
    """Let the actors of every cycle look whether it has run dry before they wait.

    Args:
        is_open: whether messages may come from outside.

    Returns:
        Node -> the cycles that it is in or leads into, to be looked at when it ends: a join that
        holds a part of its next message does not hear that the stream of that part has ended.
    """
    closing = [
        (upstream.node, cell.node.name)
        for cell in cells.values()
        for upstream in cell.node.upstreams
        if upstream.edge.feedback
    ]
    concerned: dict[str, list[Cycle]] = {}
    if closing:
        downstream = _downstream(cells)
        for start, end in closing:
            cycle = _watch(cells, downstream, start, end)
            cycle.is_kept = is_open and not cycle.has_entry()
            sources = {up.node for name in cycle.names for up in cells[name].node.upstreams}
            for name in cycle.names | sources:
                concerned.setdefault(name, []).append(cycle)
    return concerned


def _downstream(cells: Mapping[str, Cell]) -> Mapping[str, Sequence[str]]:
    """Return node -> the nodes that its edges lead to. Made once: there may be many cycles."""
    downstream: dict[str, list[str]] = {name: [] for name in cells}
    for name, cell in cells.items():
        for upstream in cell.node.upstreams:
            downstream[upstream.node].append(name)
    return downstream


def _watch(
    cells: Mapping[str, Cell], downstream: Mapping[str, Sequence[str]], start: str, end: str
) -> Cycle:
    names = _reach(lambda name: [up.node for up in cells[name].node.upstreams], start)
    names &= _reach(downstream.__getitem__, end)
    boxes: list[Mailbox] = []
    feedback: list[Lane] = []
    inner: list[Lane] = []
    for name in names:
        child = cells[name].child
        assert isinstance(child, ActorChild)
        boxes.append(child.mailbox)
        upstreams = {upstream.key: upstream for upstream in cells[name].node.upstreams}
        for lane in child.mailbox.lanes:
            upstream = upstreams.get(lane.source)
            if upstream is not None and upstream.node in names:
                inner.append(lane)
                if upstream.edge.feedback:
                    feedback.append(lane)
    cycle = Cycle(frozenset(names), tuple(boxes), tuple(feedback), frozenset(inner))
    for box in boxes:
        box.on_idle = partial(_check_both, box.on_idle, partial(cycle.check, box))
    return cycle


def _check_both(first: Callable[[], None] | None, second: Callable[[], None]) -> None:
    """Loops that share a node each look for themselves."""
    if first is not None:
        first()
    second()


def _reach(neighbours: Callable[[str], Iterable[str]], start: str) -> set[str]:
    """Return the nodes that can be reached from `start`, itself included."""
    found, todo = {start}, [start]
    while todo:
        for name in neighbours(todo.pop()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found
