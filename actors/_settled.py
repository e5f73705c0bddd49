"""What a sender is told once everything that came from one of its messages is settled."""

import logging
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

import msgspec

from ..channels._tracking import Outcome, Tracking
from ._failure import summarize

log = logging.getLogger("trouper")


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How one message ended, with all that was made from it."""

    payload: Any
    id: str
    """`Envelope.id`, as the reader of the first edge saw it."""
    outcome: Outcome
    """The worst that happened: `acknowledged`, `dropped`, `expired`, `dead_lettered`, `abandoned`
    (the run ended before it was handled)."""
    reasons: tuple[str, ...] = ()
    """`node: reason` of what was not acknowledged."""

    @property
    def is_delivered(self) -> bool:
        """Whether all of it was handled, or dropped on purpose."""
        return self.outcome in ("acknowledged", "dropped")


OnSettled = Callable[[Settled], object]


class Follower:
    """Follows what an actor sends, and tells its function. One per call of `ctx.on_settled`."""

    def __init__(self, node: str, fn: OnSettled, count: Callable[[], None]) -> None:
        self._node = node
        self._fn = fn
        self._count = count
        self._broke_off = False

    def begin(self, payload: Any, message_id: str) -> Tracking:
        """Return what follows one message."""

        def tell(outcome: Outcome, reasons: tuple[str, ...]) -> None:
            settled = Settled(payload=payload, id=message_id, outcome=outcome, reasons=reasons)
            try:
                self._fn(settled)
            except BaseException as error:  # who settled the last piece must not suffer (case B2t)
                self._count()
                if not isinstance(error, Exception) and not self._broke_off:
                    # It breaks the run off. What that abandons is told too, and must not be kept
                    # from its end by more of this kind.
                    self._broke_off = True
                    raise
                failure = summarize(error)
                log.error(
                    "the on_settled function of %r failed over %s: %s%s",
                    self._node,
                    message_id,
                    failure,
                    f", at {failure.where}" if failure.where else "",
                )

        return Tracking(tell)


def check_on_settled(fn: object) -> None:
    """Refuse what can't be told.

    Raises:
        TypeError: it is no function, or one that must be awaited; the text names the fix.
    """
    if iscoroutinefunction(fn):
        raise TypeError(
            f"on_settled takes a plain function, got the async {fn!r}: it is called where nothing "
            "can wait; let it set a trio.Event or put into a channel with send_nowait"
        )
    if fn is not None and not callable(fn):
        raise TypeError(f"on_settled takes a function of one Settled, or None, got {fn!r}")


Settled.__module__ = "trouper"
