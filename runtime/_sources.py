"""Which nodes make messages of their own accord, and how one of them ends."""

from ..actors._child import ActorChild
from ..actors._lifecycle import State
from ._wiring import Cell

RUN = "@run"
"""The key of messages from outside."""
INPUTS = "@inputs"
"""The key of the one message of an actor with batch upstreams only; no edge of the graph."""
ENDED = (State.DONE, State.FAILED, State.CANCELLED)


def is_source(cell: Cell) -> bool:
    """Return whether a node makes messages of its own accord: an actor that no stream feeds."""
    return isinstance(cell.child, ActorChild) and all(
        lane.source in (RUN, INPUTS) for lane in cell.child.mailbox.lanes
    )


def is_fed(child: ActorChild) -> bool:
    """Return whether a node without upstreams lives on messages from outside: it ends with them."""
    inlets = [lane for lane in child.mailbox.lanes if lane.source == RUN]
    return any(lane.sent or child.mailbox.owner is not None for lane in inlets)


def stop_source(child: ActorChild, reason: str) -> None:
    """Let a source end: what it sends next is accepted, and is its last."""
    for outlet in () if is_fed(child) else child.all_outlets():
        outlet.finish_after_next(reason)
    box = child.mailbox
    if child.state is State.RESTARTING and box.at_end() and not box.comes_again():
        # It waits for its next incarnation, which would find nothing to do.
        child.retire()
