"""`trouper run`: load the file, find out what is meant in it, and run that."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from attrs import frozen

from .._cli_load import Task, load_target
from .._cli_problem import Problem
from .._cli_run import EXIT_OK, run_command, stdout_kept_clean
from .._workflow import Workflow
from ..settings._init import current
from ._configured import configured
from ._run_options import RunOptions
from ._run_task import dry_run, run_task
from ._task_flags import TaskFlags
from ._words import Words, read_task_words

_INSTEAD = "say --settings FILE, or --no-settings"


@frozen
class Own:
    """What trouper's own command line of `run` is."""

    flags: Collection[str]
    switches: Collection[str]
    """Those of them that take no value."""
    read: Callable[[Sequence[str]], RunOptions]
    """Read words without a task's."""


def run_target(options: RunOptions, words: Words, own: Own) -> int:
    """Run what the words name, and return the exit code.

    Args:
        options: what `words.own` says.

    Raises:
        Problem: nothing could be run.
    """
    read = (options.settings, options.no_settings)
    with ExitStack() as configuration, ExitStack() as clean:
        if not options.no_settings:
            configuration.enter_context(
                configured(options.settings, instead=_INSTEAD, profiles=options.config)
            )
        # The file may print while it is loaded, before it is known whose a flag behind it is.
        if options.as_json or "--json" in words.behind:
            clean.enter_context(stdout_kept_clean())
        found = load_target(options.target, words.task)
        if isinstance(found, Workflow):
            go, options = _workflow(found, options, words, own)
        else:
            go, options = _task(found, options, words, own)
        if (options.settings, options.no_settings) != read:
            raise Problem("--settings and --no-settings are for all: write them before the file")
        if not options.as_json:
            clean.close()
        code, report = go()
    for line in report:
        print(line, flush=True)
    return code


Go = Callable[[], tuple[int, Iterable[str]]]
"""Runs; gives back the exit code, and what is to be printed on a clean stdout."""


def _workflow(
    found: Workflow, options: RunOptions, words: Words, own: Own
) -> tuple[Go, RunOptions]:
    if words.behind:
        options = own.read((*words.own, *words.behind))
    said = {**current().run_defaults(), **options.flags.parameters()}
    if said.get("dry_run"):
        return partial(dry_run, options, found), options
    return partial(run_command, options, found), options


def _task(found: Task, options: RunOptions, words: Words, own: Own) -> tuple[Go, RunOptions]:
    flags = TaskFlags(found.task, (found.args, found.named))
    behind = read_task_words(
        words.behind,
        task=flags.task,
        flags=flags.with_value,
        switches=flags.switches,
        own=own.flags,
        own_switches=own.switches,
    )
    if behind.wants_help:
        return lambda: (EXIT_OK, flags.help_lines(options.target)), options
    if behind.others:
        options = own.read((*words.own, *behind.others))
    args, named = flags.arguments(behind.given)
    return partial(run_task, options, found.target, named, args), options
