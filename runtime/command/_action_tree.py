"""The actions of a run as lines of a tree, never more of them than there is room for."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from attrs import define, field, frozen

from .._cli_text import count, plain
from ..tasks._action import ActionReport, Phase
from ..tasks._calls import calls_of
from ..tasks._glance import Glance, glance
from ..tasks._run import TaskRun
from ..tasks._work import TaskWork

_DEPTH = 20
"""Levels that are indented; names tell the rest."""
_MOST_SETTLED = (1_000_000, 8, 3, 1, 0)
"""Completed calls of one action that are shown, tried in turn until all fits."""


@frozen
class Line:
    """One line of the tree."""

    depth: int
    name: str
    """Harmless for a terminal."""
    phase: Phase | None
    """None: it stands for several actions, or is a remark."""
    rest: str = ""


@define
class _Node:
    """An action, and what is below it."""

    report: ActionReport
    is_settled: bool = True
    """It has completed, and so has all below it."""
    below: "list[_Node]" = field(factory=list["_Node"])


def tree_lines(
    root: ActionReport,
    *,
    most: int,
    now: float | None = None,
    left_out: Mapping[str, int] | None = None,
) -> Sequence[Line]:
    """Return the tree below an action, in `most` lines at most.

    What goes on, has failed or was tried again is shown first; of what has completed, as much as
    there is room for.

    Args:
        now: seconds since the epoch, for what goes on; None: the time.
        left_out: completed calls of an action, by its name, that are not in the tree.
    """
    node = _nodes(root)
    when = time.time() if now is None else now
    lines: list[Line] = []
    for settled in _MOST_SETTLED:
        lines = list(islice(_lines(node, settled, when, left_out or {}), most + 1))
        if len(lines) <= most:
            return lines
    return [*lines[: most - 1], Line(0, "and more", None)]


def _nodes(root: ActionReport) -> _Node:
    """Return the tree, with what is settled marked; it may be as deep as tasks call tasks."""
    order = [_Node(root)]
    for each in order:
        each.below = [_Node(child) for child in each.report.children]
        order.extend(each.below)
    for each in reversed(order):
        is_plain = each.report.phase == "completed" and each.report.attempts <= 1
        each.is_settled = is_plain and all(child.is_settled for child in each.below)
    return order[0]


def _lines(
    root: _Node, most_settled: int, now: float, elsewhere: Mapping[str, int]
) -> Iterator[Line]:
    waiting: list[tuple[_Node | Line, int]] = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, Line):
            yield node
            continue
        yield _line(node.report, depth, now)
        settled = [each for each in node.below if each.is_settled]
        kept = {id(each) for each in settled[len(settled) - most_settled :] if most_settled}
        if len(settled) <= most_settled:
            kept = {id(each) for each in settled}
        shown = [each for each in node.below if not each.is_settled or id(each) in kept]
        waiting += [(each, depth + 1) for each in reversed(shown)]
        left_out = len(node.below) - len(shown) + elsewhere.get(node.report.name, 0)
        if left_out:
            text = f"{count(left_out, 'call')} completed"
            waiting.append((Line(min(depth + 1, _DEPTH), text, None), depth))


def _line(action: ActionReport, depth: int, now: float) -> Line:
    name = plain(action.name if depth == 0 else action.name.rpartition("/")[2])
    parts: list[str] = []
    if action.started:
        parts.append(f"{max(0.0, (action.ended or now) - action.started):.1f} s")
    if action.attempts > 1:
        parts.append(f"{action.attempts} attempts")
    if action.is_cached:
        parts.append("cached")
    if action.queue is not None and action.phase == "waiting":
        parts.append(f"for a place in {plain(action.queue)}")
    if action.group is not None:
        parts.append(f"in {plain(action.group)}")
    if action.error is not None and not _is_a_callers(action):
        parts.append(plain(action.error, 200))
    return Line(min(depth, _DEPTH), name, action.phase, ", ".join(parts))


def _is_a_callers(action: ActionReport) -> bool:
    """Tell whether its error only passed through: it is told where it was raised."""
    return any(each.error is not None and each.phase == "failed" for each in action.children)


def plain_line(line: Line, indent: str = "  ") -> str:
    """Return a line as text."""
    phase = "" if line.phase is None else f"  {line.phase}"
    rest = f"  {line.rest}" if line.rest else ""
    return f"{indent}{'  ' * line.depth}{line.name}{phase}{rest}"


@frozen
class Tally:
    """How many actions are in each phase, and some that go on."""

    counts: Mapping[Phase, int]
    running: Sequence[str]
    """Names of the first few that go on and wait for no call of theirs."""

    def text(self) -> str:
        """Return `12 of 300 actions done, 3 running, 1 failed`."""
        done = self.counts.get("completed", 0)
        total = sum(self.counts.values())
        parts = [f"{done:,} of {count(total, 'action')} done"]
        others: tuple[Phase, ...] = ("running", "failed", "cancelled")
        parts += [f"{self.counts[each]:,} {each}" for each in others if each in self.counts]
        return ", ".join(parts)


def tally(glance: Glance) -> Tally:
    """Return what there is to say of a tree in one line."""
    return Tally(glance.counts, [plain(each, 80) for each in glance.running])


def glance_at(run: TaskRun, most: int) -> Glance:
    """Return some of a run's actions: `most` calls of each that go on, and that have completed."""
    if isinstance(run.work, TaskWork):
        root = next(iter(calls_of(run.context).roots.values()))
        return glance(root, most)
    return whole_at_a_glance(run.actions())  # it is elsewhere, and tells when it has ended


def whole_at_a_glance(root: ActionReport) -> Glance:
    """Return a glance that has all of a tree."""
    counts: dict[Phase, int] = {}
    for each in root.walk():
        counts[each.phase] = counts.get(each.phase, 0) + 1
    return Glance(root=root, left_out={}, counts=counts, running=())
