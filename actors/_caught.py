"""A handler that catches its cancellation and goes on: nothing is acknowledged for it (X12)."""

import logging
from typing import TYPE_CHECKING

import trio

from ..channels._inbox import EndOfInput

if TYPE_CHECKING:
    from ._lease import Leases

log = logging.getLogger("trouper")


async def refuse(box: "Leases", *, asks: bool) -> None:
    """Acknowledge nothing whose handler was cancelled: nobody knows how far it came.

    Args:
        asks: whether the next message is asked for.

    Raises:
        trio.Cancelled: it was; what is in hand is released as this leaves the actor.
        EndOfInput: it was, and a handler that catches the Cancelled would ask for ever.
    """
    box.refused += asks
    if asks and box.refused == 2:
        log.warning(
            "%r caught its cancellation and asks for the next message; let trio.Cancelled pass: "
            "the message in hand is not acknowledged",
            box.name,
        )
    if asks and box.refused % 2 == 0:
        raise EndOfInput(f"{box.name!r} is being cancelled", box)
    await trio.lowlevel.checkpoint()  # in a shield of its own it may go on
