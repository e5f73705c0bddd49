"""`trouper run`: load, configure, run with a view, report, and say by the exit code how it went."""

import math
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import TracebackType
from typing import Any, Final, Protocol

from ..actors._profile_config import ProfileConfig
from ._blocking import run_to_end
from ._cli_check import ensure_valid
from ._cli_config import read_profiles
from ._cli_dead_letters import check_writable, keep, put_back
from ._cli_json import json_report
from ._cli_logging import log_lines
from ._cli_plain import PlainView
from ._cli_problem import Problem
from ._cli_report import closing_report
from ._cli_text import plain
from ._execution import Execution
from ._interrupts import EXIT_INTERRUPTED
from ._report import WorkflowResult
from ._run import DRAIN_BUDGET, LiveRun
from ._workflow import Workflow
from .command._run_options import RunOptions
from .store._errors import StoreError
from .tasks._parameters import check_parameters
from .tasks._run import TaskRun
from .tasks._runner import prepare_graph

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1


class View(Protocol):
    """How a run is shown while it goes on; entered before it begins, left when it has ended."""

    last_words: bytes

    def __enter__(self) -> Any: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def say(self, line: str) -> None:
        """Print one harmless line."""
        ...

    async def watch(self, run: LiveRun) -> None:
        """Show the run until cancelled."""
        ...


def run_command(options: RunOptions, workflow: Workflow) -> tuple[int, Sequence[str]]:
    """Run a workflow; return the exit code, and the report if it is to be JSON.

    Raises:
        Problem: nothing could be run.
    """
    duration = _seconds(options.duration)
    config = _config(options)
    result = _run(options, workflow, config, duration)
    code = exit_code(result)
    return code, [json_report(result, code)] if options.as_json else ()


def exit_code(result: WorkflowResult) -> int:
    """Return 0 for a run that completed, 1 for one that did not, 130 for an interrupted one."""
    if result.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_OK if result.ok else EXIT_FAILED


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Problem(f"--for takes seconds, more than 0, got {plain(text)!r}; write --for 15")
    return seconds


def _config(options: RunOptions) -> ProfileConfig:
    try:
        profiles = read_profiles(options.config)
        return profiles.resolve(options.profile, options.overrides)
    except (ValueError, TypeError) as error:
        raise Problem(plain(error)) from None


@contextmanager
def stdout_kept_clean() -> Generator[None, None, None]:
    """Send to stderr what the workflow prints, the programs that it starts included."""
    stdout = sys.stdout
    stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _run(
    options: RunOptions, workflow: Workflow, config: ProfileConfig, duration: float | None
) -> WorkflowResult:
    ensure_valid(options.target, workflow)
    execution, recorded = _prepared(options, workflow, config)
    if options.redeliver is not None:
        put_back(execution, options.redeliver)
    if options.dead_letters is not None:
        check_writable(options.dead_letters)
    view = _view(options)
    with log_lines(view.say):
        with view:
            result = _run_to_end(execution, recorded, duration, view)
        if not options.as_json:
            for line in closing_report(result):
                view.say(line)
    if options.dead_letters is not None:
        keep(options.dead_letters, result.dead_letters)
    return result


def _prepared(
    options: RunOptions, workflow: Workflow, config: ProfileConfig
) -> tuple[Execution, TaskRun]:
    parameters = options.flags.parameters()
    mode = parameters.pop("mode", None)
    try:
        return prepare_graph(workflow, check_parameters(mode, parameters), profile_config=config)
    except (StoreError, TypeError, ValueError, NotImplementedError) as error:
        raise Problem(plain(error, 2_000)) from None


def _view(options: RunOptions) -> View:
    if not options.as_json and not options.is_plain and sys.stdout.isatty():
        from rich import get_console  # here, for it takes as long to load as many a run

        from ._cli_live import LiveView

        console = get_console()
        if not console.is_dumb_terminal:
            return LiveView(console)
    return PlainView(sys.stdout)


def _run_to_end(
    execution: Execution, recorded: TaskRun, duration: float | None, view: View
) -> WorkflowResult:
    try:
        return run_to_end(
            execution,
            duration=duration,
            drain_budget=DRAIN_BUDGET,
            on_start=view.watch,
            last_words=view.last_words,
            recorded=recorded,
        )
    except StoreError as error:
        raise Problem(plain(error, 2_000)) from None
    except (SystemExit, KeyboardInterrupt, BaseExceptionGroup) as error:
        # A body may call sys.exit(). How far the run came is reported all the same.
        if not execution.finished.is_set():
            raise
        execution.interrupted = execution.interrupted or isinstance(error, KeyboardInterrupt)
        return execution.result()
