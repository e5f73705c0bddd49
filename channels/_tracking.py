"""What becomes of all that comes from one message: told once, when the last of it is settled.

A tracked message has a context of its own, which whatever is made from it inherits. Each of them on
one edge is a *piece*: opened when it is placed, settled when its reader is done with it. A reader
places its outputs before its own piece is settled, so nothing can follow the last one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

if TYPE_CHECKING:
    from ._envelope import Envelope, MessageContext
    from ._lane import Lane

Outcome = Literal["acknowledged", "dropped", "expired", "dead_lettered", "abandoned"]
"""How a message ended, from best to worst; the last: its reader stopped before it was handled."""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)

MOST_REASONS = 8
"""Different reasons that a tracking keeps: a message may fan out to thousands."""

Piece = tuple[object, str, int]
"""(its reader's inbox, source, seq): the same on every attempt, and of no other run."""

OnDone = Callable[[Outcome, tuple[str, ...]], None]


class Tracking:
    """The pieces of one message that are under way, and the worst outcome so far."""

    __slots__ = ("_on_done", "_open", "_reasons", "_worst")

    def __init__(self, on_done: OnDone) -> None:
        """Begin with nothing under way.

        Args:
            on_done: called once with the worst outcome and the reasons for what was not
                acknowledged, in the task that settles the last piece. It must not raise.
        """
        self._on_done: OnDone | None = on_done
        self._open: set[Piece] = set()
        self._worst = 0
        self._reasons: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        return self._on_done is None

    def open(self, piece: Piece) -> None:
        """Note that a piece is under way; without effect once all was settled."""
        if self._on_done is not None:
            self._open.add(piece)

    def settle(self, piece: Piece, outcome: Outcome, reason: str = "") -> None:
        """Note how a piece ended. Only the first time counts."""
        if piece in self._open:
            self._open.remove(piece)
            if outcome != "acknowledged":
                self._worst = max(self._worst, OUTCOMES.index(outcome))
            if reason and reason not in self._reasons and len(self._reasons) < MOST_REASONS:
                self._reasons = (*self._reasons, reason)
            self.look()

    def look(self) -> None:
        """Tell the outcome if nothing is under way: also of a message that nobody reads."""
        if self._on_done is not None and not self._open:
            on_done, self._on_done = self._on_done, None
            on_done(OUTCOMES[self._worst], self._reasons)


def tracked_by(context: "MessageContext", tracking: Tracking) -> "MessageContext":
    """Return a context of its own for a message that one more tracking follows."""
    return msgspec.structs.replace(context, tracking=(*context.tracking, tracking))


def open_piece(lane: "Lane", context: "MessageContext") -> None:
    """Note that the next message of a lane is under way. Call it before it is placed."""
    for tracking in context.tracking:
        tracking.open((lane.reader, lane.source, lane.sent + 1))


def settle_piece(
    reader: object, envelope: "Envelope[Any]", outcome: Outcome, reason: str = ""
) -> None:
    """Note how a message ended at its reader's inbox."""
    for tracking in envelope.context.tracking:
        tracking.settle((reader, envelope.source, envelope.seq), outcome, reason)
