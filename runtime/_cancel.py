"""Cancelling all nodes of a run."""

from typing import TYPE_CHECKING

from ..actors._child import ActorChild

if TYPE_CHECKING:
    from ._execution import Execution


def cancel_nodes(run: "Execution") -> None:
    """Cancel everything that runs. What a handler that catches this has in hand is released."""
    for cell in (*run.cells.values(), *run.spawner.cells.values()):
        if isinstance(cell.child, ActorChild):
            cell.child.mailbox.cut_off()
    run.scope.cancel()
