"""A run's actions at a glance: what goes on or went wrong, and of the rest how much there is.

A report of a hundred thousand actions takes most of a second to make, in which no task runs; this
takes a fraction of that, and gives no more of them than a person can see.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen

from ._action import Action, ActionReport, Phase, phase_of, report_above

_RUNNING = 4
"""Names that are given of what goes on."""


@frozen(kw_only=True)
class Glance:
    """Some actions of a run."""

    root: ActionReport
    """With those calls below it that were chosen."""
    left_out: Mapping[str, int]
    """Completed calls of an action, by its name, that were not."""
    counts: Mapping[Phase, int]
    """Of all actions."""
    running: Sequence[str]
    """Names of the first few that go on and wait for no call of theirs."""


def glance(root: Action, most: int) -> Glance:
    """Return a glance at an action and what is below it.

    Args:
        most: calls that are given of each action: of those that have completed, with all below
            them, the last ones; and as many of the others, the first ones.
    """
    order, counts, unsettled, running = [root], dict[Phase, int](), set[int](), list[str]()
    for each in order:
        below = tuple(each.children.values()) if each.children else ()
        order.extend(below)
        phase = phase_of(each)
        counts[phase] = counts.get(phase, 0) + 1
        if phase != "completed" or each.attempts > 1:
            _mark(each, unsettled)
        if phase == "running" and len(running) < _RUNNING and not _goes_on(below):
            running.append(each.name)
    left_out: dict[str, int] = {}
    chosen = _choose(root, unsettled, most, left_out)
    return Glance(root=chosen, left_out=left_out, counts=counts, running=running)


def _goes_on(actions: Sequence[Action]) -> bool:
    return any(each.phase == "running" for each in actions)


def _mark(action: Action, unsettled: set[int]) -> None:
    """Mark an action and those that called it."""
    at: Action | None = action
    while at is not None and id(at) not in unsettled:
        unsettled.add(id(at))
        at = at.parent


def _choose(root: Action, unsettled: set[int], most: int, left_out: dict[str, int]) -> ActionReport:
    order = [root]
    below: dict[int, list[Action]] = {}
    for each in order:
        calls = tuple(each.children.values()) if each.children else ()
        first = [call for call in calls if id(call) in unsettled][:most]
        settled = [call for call in calls if id(call) not in unsettled]
        # What lies below an action that has completed with all its calls is only counted.
        is_shown = id(each) in unsettled or each is root
        last = settled[max(0, len(settled) - most) :] if is_shown else []
        if len(last) < len(settled):
            left_out[each.name] = len(settled) - len(last)
        kept = {id(call) for call in (*first, *last)}
        below[id(each)] = [call for call in calls if id(call) in kept]
        order.extend(below[id(each)])
    made: dict[int, ActionReport] = {}
    for each in reversed(order):
        children = tuple(made[id(call)] for call in below[id(each)])
        made[id(each)] = report_above(each, children)
    return made[id(root)]
