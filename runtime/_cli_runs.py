"""`trouper runs`: what is recorded of runs, also of those that go on, read from the database."""

import json
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from ._cli_json import jsonable
from ._cli_problem import Problem
from ._cli_text import columns, count, plain, plain_lines, shown
from ._names import suggest
from .command._configured import configured_place
from .settings._init import current
from .store._errors import AmbiguousRun, NoSuchRun, StoreError
from .store._records import ActionRecord, Phase, RunRecord
from .store._store import Store, open_store

_ACTIONS = 1_000
"""Actions that are shown as text; JSON has all."""


@frozen(kw_only=True)
class Wanted:
    """What stands on the command line of `trouper runs`."""

    root: str | None = None
    project: str | None = None
    experiment: str | None = None
    domain: str | None = None
    target: str | None = None
    profile: str | None = None
    phase: Phase | None = None
    labels: Sequence[str] = ()
    limit: int = 20


def list_runs(wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Yield the lines that tell of runs, the newest first.

    Raises:
        Problem: there is no workspace, or it can't be read.
    """
    with _opened(wanted.root) as store:
        runs = store.runs.query(
            project=wanted.project,
            experiment=wanted.experiment,
            domain=wanted.domain,
            target=wanted.target,
            profile=wanted.profile,
            phase=wanted.phase,
            labels=_labels(wanted.labels),
            limit=wanted.limit or None,
        )
    if as_json:
        yield json.dumps([run_as_json(each) for each in runs], indent=2)
    elif runs:
        head = ("RUN", "PHASE", "STARTED (UTC)", "TOOK", "WHAT", "PROJECT", "EXPERIMENT", "LABELS")
        yield from columns([head, *map(_row, runs)], indent="")
    else:
        yield "no runs"


def show_run(name: str, root: str | None, *, as_json: bool) -> Iterator[str]:
    """Yield the lines that tell all of one run.

    Raises:
        Problem: there is no such run, no workspace, or it can't be read.
    """
    with _opened(root) as store:
        try:
            run = store.runs.get(name)
        except AmbiguousRun as error:
            raise Problem(plain(error, 2_000)) from None
        except NoSuchRun:
            names = [each.name for each in store.runs.query(limit=1_000)]
            hint = plain(suggest(name, names))
            raise Problem(f"no run named {plain(name)!r} is recorded;{hint}") from None
        executions = store.runs.executions(run.key)
        actions = store.actions.of(run.execution)
        results = store.results.all(run.run)
    if as_json:
        yield json.dumps(
            {
                **run_as_json(run),
                "executions": [run_as_json(each) for each in executions],
                "actions": [_action_as_json(each) for each in actions],
                "results": {key: jsonable(value) for key, value in results.items()},
            },
            indent=2,
        )
        return
    yield from _facts(run)
    if len(executions) > 1:
        yield f"executions: {', '.join(f'{each.number} {each.phase}' for each in executions)}"
    yield from (f"result {plain(key)}: {shown(value)}" for key, value in results.items())
    yield from _tree(actions, run)


@contextmanager
def _opened(root: str | None) -> Generator[Store, None, None]:
    try:
        with configured_place(root):
            configured = current()
            place = configured.root if root is None else root
            with open_store(place, read_only=True, **configured.store_options()) as store:
                yield store
    except (StoreError, ValueError) as error:
        raise Problem(plain(error, 2_000)) from None


def _labels(words: Sequence[str]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise Problem(f"--label takes KEY=VALUE, got {plain(word)!r}; write --label team=ml")
        labels[key] = value
    return labels


def _row(run: RunRecord) -> tuple[str, ...]:
    return (
        plain(run.name),
        run.phase,
        _when(run.started),
        _took_by(run),
        plain(run.target, 40),
        plain("/".join(each for each in (run.project, run.domain) if each), 40),
        plain(run.experiment, 40),
        plain(" ".join(f"{key}={value}" for key, value in run.labels.items()) or "-", 80),
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _took_by(run: RunRecord) -> str:
    """Return how long a run took; of one whose process died, how long it was heard of."""
    if not run.is_lost:
        return _took(run.started, run.ended)
    known = _took(run.started, run.ended)
    return "-" if known == _took(0.0, 0.0) else f"{known}+"


def _took(started: float, ended: float | None) -> str:
    """Return how long it took, or has taken so far; a clock may have been set back meanwhile."""
    seconds = max(0.0, (time.time() if ended is None else ended) - started)
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes}m{left:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def _facts(run: RunRecord) -> Iterator[str]:
    what = f"{run.kind} {plain(run.target)}"
    yield f"{plain(run.name)}: {run.phase}, execution {run.number} of {what}"
    ended = "" if run.ended is None else f", ended {_when(run.ended)}"
    if run.is_lost:
        ended = "" if run.ended is None else f", last heard of {_when(run.ended)}"
    yield f"started {_when(run.started)}{ended} (UTC), took {_took_by(run)}"
    if run.error is not None:
        code = "" if run.error_code is None else f" {plain(run.error_code)}"
        first, *more = plain_lines(run.error)
        yield f"error{code}: {first}"
        yield from (f"  {line}" for line in more)
    facts: dict[str, Any] = {
        "project": run.project,
        "experiment": run.experiment,
        "domain": run.domain,
        "org": run.org,
        "queue": run.queue,
        "mode": run.mode,
        "version": run.version,
        "profile": run.profile,
        "labels": run.labels,
        "annotations": run.annotations,
        "parameters": run.parameters,
        "run context": run.params,
        "config": run.config,
        "process": f"{run.pid} on {run.host.partition('/')[0]}" if run.ended is None else None,
    }
    for key, value in facts.items():
        if value:
            yield f"{key}: {plain(value if isinstance(value, str) else json.dumps(value), 2_000)}"


def _tree(actions: Sequence[ActionRecord], run: RunRecord) -> Iterator[str]:
    """Yield a line for each action, below the one that called it."""
    if not actions:
        return
    left_out = f", {run.actions_left_out:,} left out" if run.actions_left_out else ""
    yield f"{count(len(actions), 'action')}{left_out}:"
    below: defaultdict[str | None, list[ActionRecord]] = defaultdict(list)
    known = {each.name for each in actions}
    for each in actions:
        below[each.parent if each.parent in known else None].append(each)
    waiting = [(each, 1) for each in reversed(below[None])]
    told = 0
    while waiting and told < _ACTIONS:
        action, depth = waiting.pop()
        told += 1
        yield f"{'  ' * min(depth, 20)}{_action(action)}"
        waiting += [(each, depth + 1) for each in reversed(below[action.name])]
    if told < len(actions):
        yield f"  and {count(len(actions) - told, 'action')} more; --json has all"


def _action(action: ActionRecord) -> str:
    more = f", {action.attempts} attempts" if action.attempts > 1 else ""
    more += ", cached" if action.is_cached else ""
    more += f", queue {plain(action.queue)}" if action.queue is not None else ""
    more += f", in {plain(action.call_group)}" if action.call_group is not None else ""
    error = ""
    if action.error is not None:
        error = f": {plain(action.error_code or 'error')}: {plain(action.error, 200)}"
    return (
        f"{plain(action.name)} ({plain(action.task)}) {action.phase}, "
        f"{_took(action.started, action.ended)}{more}{error}"
    )


_HIDDEN = ("token", "inputs", "outputs", "run", "execution", "host", "born")


def run_as_json(run: RunRecord) -> dict[str, Any]:
    """Return what a program may know of a run."""
    names = [name for name in run.__struct_fields__ if name not in _HIDDEN]
    host = run.host.partition("/")[0]
    return {**{name: jsonable(getattr(run, name)) for name in names}, "host": host}


def _action_as_json(action: ActionRecord) -> dict[str, Any]:
    names = [
        each for each in action.__struct_fields__ if each not in ("execution", "key", "output")
    ]
    return {name: jsonable(getattr(action, name)) for name in names}
