"""What can be read of a group."""

import msgspec

from ..actors._escalation import Escalation
from ..actors._group import Group as Supervised
from ..actors._lifecycle import State
from ..actors._record import Child

_ACTIVE = (State.STARTING, State.RUNNING)


class GroupReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One group."""

    name: str
    parent: str | None
    """The group around it."""
    strategy: str
    state: str
    """`waiting`, `running`, `restarting`, `stopping`, `done`, `failed` or `cancelled`."""
    members: tuple[str, ...]
    """Nodes and groups, in start order."""
    incarnation: int
    """How many times it was started."""
    restarts: int
    """Failures of its members that it has answered by a restart."""
    active: int
    """Nodes among its members that run, or start, right now."""
    ended: int
    """Nodes among its members that have ended for good."""
    groups: int
    """Groups among its members."""
    gave_up: int = 0
    """How many times it gave up; the group around it may have started it again."""
    escalations: tuple[Escalation, ...] = ()
    """Why it gave up: the last few times, oldest first."""


def report_group(group: Supervised, *, is_over: bool) -> GroupReport:
    """Return what is known of one group."""
    nodes = [each for each in group.members if isinstance(each, Child)]
    ended = group.state in ("done", "failed")
    return GroupReport(
        name=group.name,
        parent=None if group.parent is None else group.parent.name,
        strategy=group.policy.strategy,
        state="cancelled" if is_over and not ended else group.state,
        members=tuple(each.name for each in group.members),
        incarnation=group.incarnation,
        restarts=group.restarts,
        active=sum(each.state in _ACTIVE for each in nodes),
        ended=sum(each.state in (State.DONE, State.FAILED, State.CANCELLED) for each in nodes),
        groups=len(group.members) - len(nodes),
        gave_up=group.gave_up,
        escalations=group.escalations,
    )


GroupReport.__module__ = "trouper"
