"""Settling what is in hand before the next message is asked for: acknowledge, reject, release.

After that it is not in hand any more: asking for the next one settles nothing twice.
"""

from collections.abc import Sequence
from typing import Any

from ..channels._envelope import Envelope
from ..channels._tracking import settle_piece
from ._failure import FailureSummary, summarize
from ._lease import Leases
from ._returns import Returned


def ack(box: Leases, envelope: Envelope[Any] | None) -> None:
    """Acknowledge what is in hand, or one envelope of it.

    Raises: as `_choose`; and
        RuntimeError: outputs wait for this acknowledgement, and to place them may take a wait.
    """
    chosen = _choose(box, envelope, "ack")
    if any(outlet.held for outlet in box.outlets):
        raise RuntimeError(
            f"ctx.ack() can't place the outputs that {box.name!r} holds back (on_redelivery='hold')"
            ", because that may have to wait; ask for the next message, which acknowledges this "
            "one, or use on_redelivery='repeat'"
        )
    box.put_down(chosen)
    for each in chosen:
        settle_piece(box.reader, each, "acknowledged")


def reject(box: Leases, reason: str | Exception, envelope: Envelope[Any] | None) -> None:
    """Count a failed attempt of what is in hand, or of one envelope of it, without a crash.

    Raises: as `_choose`; and
        TypeError: the reason is no text and no exception.
    """
    failure = _failure(reason)
    chosen = _choose(box, envelope, "reject")
    box.rejected += len(chosen)
    if len(chosen) > 1:
        # As when a batch crashes: each comes again by itself, and only then counts (case X22).
        for each in chosen:
            box.come_again(Returned(each))
        return box.put_down(chosen)
    (one,) = chosen
    box.fail(one, failure)
    box.put_down(chosen)


def release(box: Leases, envelope: Envelope[Any] | None) -> None:
    """Give back what is in hand, or one envelope of it: no failed attempt, but "not now".

    After `max_releases` of one message it is a dead letter, `released`: it would go on for ever.

    Raises: as `_choose`.
    """
    chosen = _choose(box, envelope, "release")
    box.released += len(chosen)
    for each in chosen:
        box.give_back(each)
    box.put_down(chosen)


def _failure(reason: object) -> FailureSummary:
    if isinstance(reason, Exception):
        return summarize(reason)
    if not isinstance(reason, str) or not reason:
        raise TypeError(
            f"ctx.reject() takes the reason, a text or an exception, got {reason!r}; say what is "
            "wrong with the message: it stands in the dead letters"
        )
    return FailureSummary(type="Rejected", message=reason)


def _choose(box: Leases, envelope: Envelope[Any] | None, what: str) -> Sequence[Envelope[Any]]:
    """Return the envelopes in hand that are meant.

    Raises:
        RuntimeError: nothing is in hand.
        TypeError: `envelope` is something else, a payload perhaps.
        ValueError: it is not in hand (any more).
    """
    in_hand = box.envelopes_in_hand()
    if not in_hand:
        raise RuntimeError(
            f"ctx.{what}(): {box.name!r} has no message in hand: it took none yet, or has settled "
            "it; each message is settled once, after it was received and before the next is"
        )
    if envelope is None:
        return tuple(in_hand)
    if not isinstance(envelope, Envelope):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
        raise TypeError(
            f"ctx.{what}() takes an envelope, such as ctx.message or one of ctx.messages, got "
            f"{envelope!r}"
        )
    for each in in_hand:
        if (each.source, each.seq) == (envelope.source, envelope.seq):
            return (each,)
    raise ValueError(
        f"ctx.{what}(): {box.name!r} does not have message {envelope.id!r} in hand; it has "
        f"{', '.join(repr(each.id) for each in in_hand[:5])}{', ...' * (len(in_hand) > 5)}"
    )
