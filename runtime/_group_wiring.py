"""From declared groups to supervisors, and what can be read of them."""

from collections.abc import Mapping

import msgspec

from ..actors._escalation import Escalation
from ..actors._group import Group as Supervised
from ..actors._group import GroupOverseer
from ..actors._lifecycle import State
from ..actors._record import Child
from ..actors._supervisor import Supervisor
from ._group import Group
from ._wiring import Cell

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
    escalations: tuple[Escalation, ...] = ()
    """Why it gave up: the last few times, oldest first."""


def wire_groups(
    groups: Mapping[str, Group],
    cells: Mapping[str, Cell],
    supervisor: Supervisor,
    overseer: GroupOverseer,
) -> dict[str, Supervised]:
    """Return the supervisors of all groups, by name; their members know them."""
    made: dict[str, Supervised] = {}
    for name, group in groups.items():  # a group comes before those inside of it
        parent = None if group.parent is None else made[group.parent.name]
        made[name] = Supervised(name, group.policy, supervisor, overseer, parent)
    for name, group in groups.items():
        for member in group.members:
            if isinstance(member, str):
                cell = cells[member]
                made[name].add(cell.child, significant=cell.node.options.significant)
            else:
                made[name].add(made[member.name], significant=member.policy.significant)
    return made


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
        escalations=group.escalations,
    )


GroupReport.__module__ = "trouper"
