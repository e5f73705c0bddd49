"""One execution of a run, as the database tells of it; and its actions as a tree."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from ...actors._failure import FailureSummary
from ..store._records import ActionRecord, Phase, RunRecord
from ..tasks._action import ActionReport
from ..tasks._outputs import Outputs
from ._kept_values import shown


class RunExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a run."""

    id: str
    """Unique within the experiment: `my-run.1`, `my-run.2`, ..."""
    number: int
    phase: Phase
    is_lost: bool
    """Its process died without a word; `phase` is "failed" then."""
    target: str
    """Name of the workflow or task."""
    started: float
    """Seconds since the epoch."""
    ended: float | None
    error_code: str | None
    """Name of the class of what it failed with."""
    error: str | None
    trace: str | None
    """The traceback, as text."""
    outputs: Outputs
    """What was finished, by node; as plain data."""
    profile: str | None
    config: dict[str, Any]
    config_hash: str
    host: str
    pid: int
    left_out: int
    """Actions that are not recorded, because there were too many."""

    @property
    def seconds(self) -> float | None:
        """How long it took; None: it goes on. Clocks may jump, so it is never below 0."""
        return None if self.ended is None else max(0.0, self.ended - self.started)


def execution_of(record: RunRecord) -> RunExecution:
    """Return what a record tells."""
    return RunExecution(
        id=record.id,
        number=record.number,
        phase=record.phase,
        is_lost=record.is_lost,
        target=record.target,
        started=record.started,
        ended=record.ended,
        error_code=record.error_code,
        error=record.error,
        trace=record.trace,
        outputs=outputs_in(record),
        profile=record.profile,
        config=record.config,
        config_hash=record.config_hash,
        host=record.host.partition("/")[0],
        pid=record.pid,
        left_out=record.actions_left_out,
    )


def outputs_in(record: RunRecord) -> Outputs:
    """Return what an execution has given back, as plain data."""
    if record.outputs is None:
        return Outputs()
    names, values = shown(record.outputs)
    return Outputs(values, names)


def tree_of(record: RunRecord, actions: Sequence[ActionRecord]) -> ActionReport:
    """Return the actions of an execution, each below its caller.

    A workflow's nodes lie below the workflow; a task's first action is the top.
    """
    below: defaultdict[str | None, list[ActionRecord]] = defaultdict(list)
    known = {each.name for each in actions}
    for each in actions:
        below[each.parent if each.parent in known else None].append(each)
    roots = tuple(_report(each, below) for each in below[None])
    if record.kind == "task" and len(roots) == 1:
        return roots[0]
    return ActionReport(
        name=record.target,
        task=record.target,
        phase=record.phase,
        attempts=1,
        started=record.started,
        ended=record.ended or 0.0,
        error=_summary(record.error_code, record.error),
        children=roots,
    )


def _report(
    root: ActionRecord, below: "defaultdict[str | None, list[ActionRecord]]"
) -> ActionReport:
    """Return an action with all below it; calls may lie a thousand deep, so without recursion."""
    order, waiting = [root], [root]
    while waiting:
        found = below[waiting.pop().name]
        order += found
        waiting += found
    made: dict[str, ActionReport] = {}
    for each in reversed(order):
        children = tuple(made[child.name] for child in below[each.name])
        made[each.name] = _one(each, children)
    return made[root.name]


def _one(action: ActionRecord, children: tuple[ActionReport, ...]) -> ActionReport:
    return ActionReport(
        name=action.name,
        task=action.task,
        phase=action.phase,
        attempts=action.attempts,
        started=action.started,
        ended=action.ended or 0.0,
        error=_summary(action.error_code, action.error),
        group=action.call_group,
        queue=action.queue,
        is_cached=action.is_cached,
        interruptible=action.interruptible,
        children=children,
    )


def _summary(code: str | None, error: str | None) -> FailureSummary | None:
    return (
        None
        if code is None and error is None
        else FailureSummary(type=code or "", message=error or "")
    )


RunExecution.__module__ = "trouper"
