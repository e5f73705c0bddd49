"""Says which actor never reads its input: forgotten, it holds up everybody before it."""

import logging
from collections.abc import Iterable

from ..actors._child import ActorChild
from ..actors._lifecycle import State
from ..channels._lane import Lane
from ._wiring import Cell

log = logging.getLogger("trouper")


def _unread(cell: Cell) -> list[Lane]:
    """Return the edges of the graph into an actor that has never asked for a message."""
    child = cell.child
    if not isinstance(child, ActorChild) or child.mailbox.owner is not None:
        return []
    control = child.mailbox.control
    if control is not None and control.is_asked:
        return []  # paused, or told to end: it could not
    return [lane for lane in child.mailbox.lanes if not lane.source.startswith("@")]


def warn_if_it_never_read(cell: Cell) -> None:
    """Say of an actor that has ended that it took nothing of its input."""
    lanes = _unread(cell)
    if lanes:
        log.warning(
            "%r has ended without reading its input of %s; read it with `async for message in "
            "ctx`, or leave it out of depends_on",
            cell.node.name,
            ", ".join(repr(lane.source) for lane in lanes),
        )


class UnreadInput:
    """Looks now and then for a sender that waits for an actor that has never asked."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._cells = tuple(cells)
        self._waiting: set[Lane] = set()
        self._told: set[Lane] = set()

    def look(self) -> None:
        """Warn, once, of each edge that was found blocked at the last look already."""
        running = [cell for cell in self._cells if cell.child.state is State.RUNNING]
        blocked = {
            lane for cell in running for lane in _unread(cell) if lane.blocked.parked is not None
        }
        for lane in (blocked & self._waiting) - self._told:
            log.warning(
                "%r waits for room in front of %r, which has never asked for a message; read its "
                "input with `async for message in ctx`, or leave %r out of its depends_on",
                lane.source,
                lane.target,
                lane.source,
            )
        self._told |= blocked & self._waiting
        self._waiting = blocked
