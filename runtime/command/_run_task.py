"""`trouper run FILE TASK`: start it with its flags, show it, report, and say how it went."""

import sys
import time
from collections.abc import Iterable
from typing import Any

import trio

from .._cli_logging import log_lines
from .._cli_problem import Problem
from .._cli_run import EXIT_FAILED, EXIT_OK
from .._cli_text import plain
from .._interrupts import EXIT_INTERRUPTED, catch_interrupts
from .._leaf import only_leaf
from .._workflow import Workflow
from ..store._errors import StoreError
from ..tasks._dry_run import DryWork
from ..tasks._run import TaskRun
from ..tasks._runner import with_runcontext
from ._run_options import RunOptions
from ._task_report import Ended, closing_lines, json_lines
from ._task_views import PlainTaskView, SilentTaskView

_FOR_GRAPHS = (
    ("duration", "--for", "give the task a timeout="),
    ("dead_letters", "--dead-letters", "a task has no messages"),
    ("redeliver", "--redeliver", "a task has no messages"),
    ("config", "--config", "give the task parameters"),
    ("profile", "--profile", "give the task parameters"),
    ("overrides", "--override", "give the task parameters"),
)


def run_task(
    options: RunOptions, target: Any, named: dict[str, Any], args: tuple[Any, ...]
) -> tuple[int, Iterable[str]]:
    """Run a task; return the exit code, and the report if it is to be JSON.

    Raises:
        Problem: nothing could be run.
    """
    for attribute, flag, instead in _FOR_GRAPHS:
        if getattr(options, attribute):
            raise Problem(f"{flag} has an effect on workflows only; {instead}")
    return show_task(options, _prepare(options, target, args, named))


def dry_run(options: RunOptions, workflow: Workflow) -> tuple[int, Iterable[str]]:
    """Bundle the code of a workflow, and say what would run; returns as `run_task`.

    Raises:
        Problem: the graph, or what was asked for, is not right.
    """
    return show_task(options, _prepare(options, workflow, (), {}))


def show_task(options: RunOptions, run: TaskRun) -> tuple[int, Iterable[str]]:
    """Run it with a view; return the exit code, and the report if it is to be JSON."""
    began = time.monotonic()
    try:
        view = _view(options, run)
        _show(run, view)
    finally:
        run.give_up()
    ended = Ended(run=run, seconds=time.monotonic() - began, exit_code=exit_code(run))
    if options.as_json:
        return ended.exit_code, json_lines(ended)
    for line in closing_lines(ended):
        view.say(line)
    return ended.exit_code, ()


def exit_code(run: TaskRun) -> int:
    """Return 0 for a run that completed, 130 for an interrupted one, else 1."""
    if run.phase == "completed":
        return EXIT_OK
    return EXIT_INTERRUPTED if run.interrupted else EXIT_FAILED


def _prepare(
    options: RunOptions, target: Any, args: tuple[Any, ...], named: dict[str, Any]
) -> TaskRun:
    parameters = options.flags.parameters()
    mode = parameters.pop("mode", None)
    try:
        run = with_runcontext(mode, **parameters).prepare(target, args, named)
        run.begin()
    except (TypeError, ValueError, NotImplementedError, StoreError) as error:
        raise Problem(plain(error, 2_000)) from None
    return run


def _view(options: RunOptions, run: TaskRun) -> Any:
    if isinstance(run.work, DryWork):
        return SilentTaskView(sys.stdout)
    if not options.as_json and not options.is_plain and sys.stdout.isatty():
        from rich import get_console  # here, for it takes as long to load as many a run

        from ._task_picture import LiveTaskView

        console = get_console()
        if not console.is_dumb_terminal:
            return LiveTaskView(console)
    return PlainTaskView(sys.stdout)


def _show(run: TaskRun, view: Any) -> None:
    """Run it to its end, with a view."""

    async def main() -> None:
        with catch_interrupts(view.last_words) as interrupts:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.work.obey, run, interrupts)
                nursery.start_soon(view.watch_task, run)
                await run.go()
                nursery.cancel_scope.cancel()

    with log_lines(view.say), view:
        try:
            trio.run(main)
            return
        except BaseException as error:
            leaf = only_leaf(error)
        # A task may call sys.exit(). How far the run came is reported all the same.
        if not run.done() or not isinstance(leaf, SystemExit | KeyboardInterrupt):
            raise leaf
        run.interrupted = run.interrupted or isinstance(leaf, KeyboardInterrupt)
