"""Groups, as `trouper check` and the closing report of `trouper run` tell of them."""

from collections.abc import Iterable, Iterator

from ._cli_text import columns, count, plain, plain_lines
from ._group import Group
from ._group_report import GroupReport


def declared_groups(groups: Iterable[Group]) -> Iterator[str]:
    """Yield a table of the groups of a graph."""
    head = ("group", "strategy", "in", "members, in start order")
    yield from columns([head, *map(_declared, groups)])


def _declared(group: Group) -> tuple[str, ...]:
    names = (each if isinstance(each, str) else each.name for each in group.members)
    return (
        plain(group.name),
        group.policy.strategy,
        "-" if group.parent is None else plain(group.parent.name),
        ", ".join(map(plain, names)) or "-",
    )


def groups_of_run(groups: Iterable[GroupReport]) -> Iterator[str]:
    """Yield a table of the groups of a run, and what has made them give up."""
    reports = list(groups)
    head = ("group", "strategy", "in", "state", "started", "restarts", "gave up")
    yield from columns([head, *map(_reported, reports)])
    for report in reports:
        for told in report.escalations:
            first, *rest = plain_lines(told.text())
            yield f"  after {told.at:.1f} s: {first}"
            yield from (f"    {line}" for line in rest)


def _reported(report: GroupReport) -> tuple[str, ...]:
    return (
        plain(report.name),
        report.strategy,
        "-" if report.parent is None else plain(report.parent),
        report.state,
        f"{report.incarnation:,}",
        f"{report.restarts:,}",
        count(report.gave_up, "time") if report.gave_up else "-",
    )
