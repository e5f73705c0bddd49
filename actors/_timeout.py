"""How long one message may be handled (`timeout=`): over it, the attempt has failed.

The time runs from the hand-out of a message, or of a batch, to the next ask. A busy actor whose
messages each stay below it is left alone; one that is cut off again and again is stopped by its
restart intensity (case X16).
"""

import logging
import math
from types import TracebackType
from typing import TYPE_CHECKING

import trio

from ..channels._envelope import Envelope
from ._cancelled import split_cancelled

if TYPE_CHECKING:
    from ._lease import Leases

log = logging.getLogger("trouper")


class HandlerTimeout(trio.TooSlowError):
    """A message was in hand for longer than `timeout=` allows; that attempt has failed.

    Attributes:
        node: whose handler it was.
        message_id: `Envelope.id` of the message; of a batch, of its first one.
        seconds: the limit.
    """

    def __init__(self, node: str, envelope: Envelope[object], seconds: float) -> None:
        super().__init__(
            f"{node!r} had message {envelope.id} in hand for longer than timeout={seconds:g} s "
            f"(attempt {envelope.attempt}); handle less in one go, or allow more"
        )
        self.node = node
        self.message_id = envelope.id
        self.seconds = seconds


class Timeout:
    """The limit of one mailbox, and when the message in hand reaches it."""

    __slots__ = ("_refused", "seconds", "until")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = math.inf
        """Seconds on trio's clock."""
        self._refused = 0
        """Times that the next message was refused because this one is over its time."""

    def arm(self, box: "Leases", deadline: float) -> float:
        """Begin with the message that is now in hand; return when its handler is to be cut off.

        Args:
            deadline: when the message expires, seconds on trio's clock.
        """
        self._refused = 0
        self.until = math.inf if box.leased is None else trio.current_time() + self.seconds
        return min(self.until, deadline)

    def change(self, box: "Leases", seconds: float) -> None:
        """Take over another limit now, for the message in hand too (case A5)."""
        if self.seconds < math.inf:
            self.until += seconds - self.seconds
        # Else there was none (any more), and nobody knows since when the message is in hand.
        self.seconds = seconds
        if box.leased is not None and box.scope is not None:
            deadline = box.leased.context.deadline
            box.scope.deadline = self.until if deadline is None else min(self.until, deadline)

    def overdue(self, box: "Leases") -> float:
        """Return for how many seconds the message in hand has been over its time; 0.0: not yet."""
        if box.leased is None or self.until == math.inf:
            return 0.0
        return max(0.0, trio.current_time() - self.until)

    def error(self, box: "Leases") -> HandlerTimeout | None:
        """Return the failure if the message in hand is over its time, and not over its deadline."""
        leased = box.leased
        if leased is None or trio.current_time() < self.until:
            return None
        deadline = leased.context.deadline
        if deadline is not None and deadline <= self.until:
            return None
        error = HandlerTimeout(box.name, leased, self.seconds)
        if self._refused:
            error.add_note("its handler caught the cancellation and went on")
        return error

    async def refuse(self, box: "Leases") -> None:
        """Acknowledge nothing that is over its time, whatever the handler made of being cancelled.

        Raises:
            trio.Cancelled: it is over its time.
            HandlerTimeout: it is, and a handler that catches one of the two would ask for ever.
        """
        error = self.error(box)
        if error is None:
            return
        self._refused += 1
        if self._refused == 1:
            log.warning("%s; its handler has not ended by then", error)
        if self._refused % 2:
            await trio.lowlevel.checkpoint()
        raise error


def failure_of(box: "Leases", error: BaseException) -> BaseException | None:
    """Return what has failed, of what ended a handler: cancellation is no failure (case X12).

    But being cut off by `timeout=` is one, told by a `HandlerTimeout` whose traceback is the place
    where the handler was.
    """
    _, rest = split_cancelled(error)
    late = None if box.timeout is None else box.timeout.error(box)
    if late is None or isinstance(rest, HandlerTimeout):
        return rest
    if rest is None:
        return late.with_traceback(_until_cut_off(error.__traceback__))
    rest.add_note(f"after its time was over: {late}")
    return rest


def _until_cut_off(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a `Cancelled`'s traceback that tells where the handler was."""
    found: list[TracebackType] = []
    while traceback is not None:
        found.append(traceback)
        traceback = traceback.tb_next
    while found and _is_below(found[-1]):
        found.pop()
    rest = None
    for each in reversed(found):
        rest = TracebackType(rest, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return rest


def _is_below(traceback: TracebackType) -> bool:
    module = str(traceback.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("trio", "outcome")


HandlerTimeout.__module__ = "trouper"
