"""How a run of a task has ended, for a person and for a program."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from .._cli_json import failure_as_json, jsonable
from .._cli_report import error_lines
from .._cli_text import plain, shown
from ..tasks._action import ActionReport
from ..tasks._dry_run import DryWork
from ..tasks._outputs import Outputs
from ..tasks._run import TaskRun
from ..tasks.errors import RuntimeUserError
from ._action_tree import glance_at, plain_line, tree_lines

_ACTIONS = 100
"""Lines of the tree that a person gets; JSON has all actions."""


@frozen(kw_only=True)
class Ended:
    """A run that has ended."""

    run: TaskRun
    seconds: float
    exit_code: int


def closing_lines(ended: Ended) -> Iterator[str]:
    """Yield the lines of the report, each harmless for a terminal."""
    run = ended.run
    if isinstance(run.work, DryWork):
        yield from _dry_lines(run)
        return
    interrupted = ", interrupted" if run.interrupted else ""
    yield ""
    yield (
        f"run {plain(run.name)} of {run.work.name}: {run.phase}{interrupted} "
        f"after {ended.seconds:.1f} s"
    )
    if run.phase == "cancelled" and run.reason:
        yield f"  {plain(run.reason)}"
    seen = glance_at(run, _ACTIONS)
    lines = tree_lines(seen.root, most=_ACTIONS, left_out=seen.left_out)
    yield from map(plain_line, lines)
    if run.phase == "completed":
        yield from (f"{plain(name)} = {shown(value)}" for name, value in run.outputs().items())
    error = run.error
    if error is not None:
        yield ""
        yield f"what failed {plain(getattr(error, 'action', '') or run.work.name)}"
        yield from error_lines(error.__cause__ or error)


def _dry_lines(run: TaskRun) -> Iterator[str]:
    """Yield what is to be said of one that has made no bundle; else it has told that itself."""
    if run.phase != "completed":
        yield f"dry run of {run.work.name}: nothing was executed, and no bundle was made"
        yield f"  {plain(run.reason, 2_000)}"


def json_lines(ended: Ended) -> Iterator[str]:
    """Yield the report as one JSON object; what JSON can't hold is a repr, infinity is null."""
    run, error = ended.run, ended.run.error
    done = run.phase == "completed"
    report = {
        "run": run.name,
        "task": run.work.name,
        "dry_run": isinstance(run.work, DryWork),
        "phase": run.phase,
        "exit_code": ended.exit_code,
        "interrupted": run.interrupted,
        "seconds": ended.seconds,
        "reason": run.reason,
        "error": None if error is None else _failure(error),
        "inputs": {name: jsonable(value) for name, value in run.inputs().items()},
        "outputs": _outputs(run.outputs()) if done else {},
        "actions": list(_actions(run.actions())),
    }
    yield json.dumps(report, indent=2, allow_nan=False)


def _outputs(outputs: Outputs) -> dict[str, Any]:
    return {name: jsonable(value) for name, value in outputs.items()}


def _failure(error: BaseException) -> dict[str, Any]:
    code = error.code if isinstance(error, RuntimeUserError) else type(error).__name__
    action = getattr(error, "action", "") or None
    return {"code": code, "action": action, **failure_as_json(error.__cause__ or error)}


def _actions(root: ActionReport) -> Iterator[dict[str, Any]]:
    """Yield all of them, callers first, each with its caller's name."""
    waiting: list[tuple[ActionReport, str | None]] = [(root, None)]
    for action, parent in waiting:
        waiting += [(each, action.name) for each in action.children]
        yield {
            "name": action.name,
            "task": action.task,
            "parent": parent,
            "phase": action.phase,
            "attempts": action.attempts,
            "started": action.started or None,
            "ended": action.ended or None,
            "group": action.group,
            "error": None if action.error is None else str(action.error),
        }
