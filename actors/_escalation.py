"""The story of a failure that went up: who gave up, over what, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from attrs import frozen

from ._failure import FailureSummary

if TYPE_CHECKING:
    from ._child import Child


class Escalation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A member that its group could not keep running, as data."""

    group: str
    """Who gave up."""
    member: str
    """Over whom: a node, or a group inside of it."""
    incarnation: int
    """Of that node; of a group, how many times it was started."""
    attempt: int
    """Of the message it had in hand; 0 if there was none."""
    message: str
    """`Envelope.id` of that message; empty if there was none."""
    reason: str
    at: float
    """Seconds since the run began."""
    failures: tuple[FailureSummary, ...] = ()
    """The member's last ones, oldest first."""
    earlier: int = 0
    """Failures of the member before these, in this run; only their number is kept."""

    def text(self) -> str:
        """Return all of it for a person."""
        lines = _lines(self.failures)
        if self.earlier:
            lines = [f"(its last {len(lines)} failures, of {len(lines) + self.earlier})", *lines]
        return "\n".join((str(self), *(f"  {line}" for line in lines)))

    def __str__(self) -> str:
        place = f"{self.member!r}, incarnation {self.incarnation}"
        if self.message:
            place += f", attempt {self.attempt} of message {self.message!r}"
        return f"group {self.group!r} gave up over {place}: {self.reason}"


def _lines(failures: Sequence[FailureSummary]) -> Sequence[str]:
    return [f"{each}, at {each.where}" if each.where else str(each) for each in failures]


def tell(group: str, child: "Child", reason: str, at: float) -> Escalation:
    """Return why a group gave up over a node.

    Args:
        at: seconds since the run began.
    """
    return Escalation(
        group=group,
        member=child.name,
        incarnation=child.incarnation,
        attempt=child.attempt,
        message=child.message_in_failure(),
        reason=reason,
        at=at,
        failures=child.failures,
        earlier=max(0, child.failed - len(child.failures)),
    )


@frozen
class Failure:
    """What goes up from group to group."""

    child: "Child"
    """The node in which it began."""
    error: Exception
    trail: tuple[Escalation, ...]
    """Innermost group first."""

    @property
    def story(self) -> str:
        """What made it go up, on one line."""
        return "; ".join(map(str, self.trail))


Escalation.__module__ = "trouper"
