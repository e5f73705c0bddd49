"""`trouper runs abort`, `rerun` and `recover`."""

import time
from collections.abc import Iterable, Iterator
from typing import Literal

from .._cli_problem import Problem
from .._cli_run import stdout_kept_clean
from .._cli_text import plain
from ..settings._init import current
from ..store._errors import StoreError
from ..store._owner import SILENCE
from ..tasks._again import prepare_again
from ..workspace._run import Run
from ..workspace._workspace import Workspace
from ._run_options import RunOptions
from ._run_task import show_task

_LOOK = 0.05
"""Seconds between two looks whether the run has ended."""


def abort_run(name: str, root: str | None, seconds: float) -> Iterator[str]:
    """Yield what became of a run that is asked to end.

    Args:
        seconds: how long to wait for its end.

    Raises:
        Problem: there is no such run, or it has ended already.
    """
    try:
        with Workspace(root, create=False) as workspace:
            run = workspace.find_run(name)
            if run.phase != "running":
                raise Problem(_ended(run))
            run.abort()
            yield _waited_for(run, seconds)
    except (StoreError, ValueError) as error:
        raise Problem(plain(error, 2_000)) from None


def _ended(run: Run) -> str:
    last = run.executions()[-1]
    why = f" ({plain(last.error, 200)})" if last.is_lost else ""
    return f"the run {plain(run.name)!r} has ended: {last.phase}{why}; there is nothing to abort"


def _waited_for(run: Run, seconds: float) -> str:
    until = time.monotonic() + seconds
    while not run.done():
        if time.monotonic() >= until:
            last = run.executions()[-1]
            return (
                f"{plain(run.name)}: asked to end, and goes on: process {last.pid} on "
                f"{plain(last.host)} hears of it within a second while it lives; it is taken for "
                f"dead after {SILENCE:.0f} s of silence"
            )
        time.sleep(_LOOK)
    return f"{plain(run.name)}: {run.phase}"


def run_again(
    name: str, root: str | None, *, is_recovery: bool, as_json: bool, is_plain: bool
) -> tuple[int, Iterable[str]]:
    """Do a run again; return the exit code, and the report if it is to be JSON.

    Raises:
        Problem: it can't be begun.
    """
    options = RunOptions(target=name, as_json=as_json, is_plain=is_plain)
    if not as_json:
        return _run(options, root, is_recovery=is_recovery)
    with stdout_kept_clean():
        return _run(options, root, is_recovery=is_recovery)


def _run(options: RunOptions, root: str | None, *, is_recovery: bool) -> tuple[int, Iterable[str]]:
    verb: Literal["resume", "rerun"] = "resume" if is_recovery else "rerun"
    try:
        run = prepare_again(verb, options.target, None, current().root if root is None else root)
        run.begin()
    except (StoreError, TypeError, ValueError, NotImplementedError) as error:
        raise Problem(plain(error, 2_000)) from None
    return show_task(options, run)
