"""A look at all nodes and edges of a run."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from ..actors._child import ActorChild
from ._node import Node
from ._report import EdgeReport, NodeReport, report_edge, report_node
from ._sources import INPUTS
from ._wiring import Cell


def look_at_nodes(
    cells: Mapping[str, Cell], began: float, now: float, *, of_all: bool = False
) -> dict[str, NodeReport]:
    """Return the nodes' reports.

    Args:
        began: when the run began, seconds on trio's clock, as `now`.
        of_all: measure rates over the whole run, not from one call to the next.
    """
    reports: dict[str, NodeReport] = {}
    for name, cell in cells.items():
        before = (began, 0, 0) if of_all or not cell.seen[0] else cell.seen
        reports[name] = report = report_node(cell.child, cell.node.kind, before, now)
        if not of_all:
            cell.seen = (now, report.received, report.sent)
    return reports


def look_at_edges(cells: Iterable[Cell]) -> Iterator[EdgeReport]:
    """Yield the ledgers of the edges into these nodes."""
    for cell in cells:
        if not (cell.collectors or isinstance(cell.child, ActorChild)):
            continue  # a batch task of batch tasks: thousands of them
        addresses = _addresses(cell.node)
        for report in _edges_into(cell):
            address = addresses.get(report.source)
            yield report if address is None else replace(report, source=address)


def _edges_into(cell: Cell) -> Iterator[EdgeReport]:
    if isinstance(cell.child, ActorChild):
        box = cell.child.mailbox
        in_hand = box.in_hand()
        for lane in box.lanes:
            if lane.source != INPUTS:
                yield report_edge(lane, in_hand.get(lane.source, 0), box.settled)
    for _, inbox in cell.collectors:
        for lane in inbox.lanes:
            yield report_edge(lane, 0, {})


def _addresses(node: Node) -> Mapping[str, str]:
    """Return what upstreams are really called that have another name inside of a workflow."""
    return {
        each.key: each.node if each.output is None else f"{each.node}.{each.output}"
        for each in node.upstreams
        if "/" in each.node
    }
