"""What is remembered of a failure whose message was settled before it ended an incarnation.

A block of `ctx.leased()` rejects its own message, and the failure goes on. If it ends the actor's
incarnation, crashes over the same message still count once, and the report still names the message.
"""

from collections.abc import Iterator
from typing import cast

import msgspec

from ..channels._envelope import Envelope, Origin

_NAME = "_trouper_rejected"


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A failed attempt of one message."""

    attempt: int
    origin: Origin
    gave_up: bool
    """Whether it was the last: the message is a dead letter."""
    counts: bool
    """Whether it counts for the restart intensity."""


def origin_of(envelope: "Envelope[object]") -> Origin:
    return envelope.origin or (envelope.source, envelope.seq)


def mark(error: BaseException, rejected: Rejected) -> None:
    """Remember on a failure what it has done."""
    vars(error)[_NAME] = rejected  # not by setattr: an exception may be frozen


def rejected_by(error: BaseException) -> Rejected | None:
    """Return what a failure has done before; None if any part of it has done nothing yet."""
    marks = [cast("Rejected | None", vars(each).get(_NAME)) for each in _leaves(error)]
    known = [each for each in marks if each is not None]
    if len(known) < len(marks):
        return None
    # Of several blocks that failed together one may be new.
    return next((each for each in known if each.counts), known[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in cast("tuple[BaseException, ...]", error.exceptions):
            yield from _leaves(each)
    else:
        yield error
