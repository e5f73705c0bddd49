"""Which reader gets the next message, as the edges stand. Nothing waits here."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from ._overflow import OverflowPolicy


class Choice(Enum):
    """What can be done with a message now."""

    TAKE = "take"
    """This reader has room."""
    WAIT = "wait"
    """None has, and one of them will have."""
    LOSE = "lose"
    """None has, and none makes its sender wait: this one does what its overflow policy says."""
    OVER = "over"
    """No reader is left."""


class Room(Protocol):
    """What the choice asks of a lane."""

    @property
    def overflow(self) -> OverflowPolicy: ...
    def is_over(self) -> bool: ...
    def is_full(self) -> bool: ...
    def would_drop(self) -> bool: ...


def choose(lanes: Sequence[Room], turn: int) -> tuple[Choice, int]:
    """Return what to do with the next message of a balanced output, and the index of its reader.

    Nothing is dropped while a reader has room, or another one would rather make the sender wait;
    and no send fails where another reader drops.

    Args:
        turn: whose turn it is, an index; the first with room from there on gets it.
    """
    count = len(lanes)
    lossy, may_wait = -1, False
    for at in [*range(turn, count), *range(turn)]:
        lane = lanes[at]
        if lane.is_over():
            continue
        if lane.is_full():
            may_wait = True
        elif not lane.would_drop():
            return Choice.TAKE, at
        elif lossy < 0 or (lanes[lossy].overflow == "fail" and lane.overflow != "fail"):
            lossy = at
    if may_wait:
        return Choice.WAIT, -1
    return (Choice.LOSE, lossy) if lossy >= 0 else (Choice.OVER, -1)


def choice_of(lane: Room) -> Choice:
    """Return what can be done with a message for this reader and no other."""
    if lane.is_over():
        return Choice.OVER
    if lane.is_full():
        return Choice.WAIT
    return Choice.LOSE if lane.would_drop() else Choice.TAKE
