"""From declared groups to supervisors."""

from collections.abc import Mapping

from ..actors._group import Group as Supervised
from ..actors._group import GroupOverseer
from ..actors._supervisor import Supervisor
from ._group import Group
from ._wiring import Cell


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
