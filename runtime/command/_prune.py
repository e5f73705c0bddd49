"""`trouper prune`: remove runs that ended long ago, with their files and data. It asks before.

Rule 1: a run that goes on, or that nobody can know to be dead, is never removed.
Rule 2: its folders get other names in the transaction that forgets it; so of a run that is half
removed nothing is seen any more, and the next prune removes what is left of it.
"""

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from .._cli_problem import Problem
from .._cli_text import columns, count, plain
from ..store._pruning import forget_run
from ..store._records import Phase, RunRecord
from ..workspace._workspace import Workspace
from ._measures import age_text, bytes_below, read_age, size_text
from ._places import opened_workspace
from ._prune_data import (
    Finder,
    RunData,
    has_far,
    note_far,
    remove_data,
    remove_far,
    remove_journals,
    runs_with_journals,
)
from ._show_logs import run_folder

_REMOVED = ".removed-"
"""How the name of a folder begins whose run is forgotten."""
_SHOWN = 50


@frozen(kw_only=True)
class Wanted:
    """Which runs are to go."""

    root: str | None = None
    older_than: str = "30d"
    keep: int = 0
    """The newest so many of each experiment stay."""
    phase: Phase | None = None
    project: str | None = None
    experiment: str | None = None
    keep_buckets: bool = False
    """What lies in buckets stays."""


@frozen(kw_only=True)
class _Going:
    """A run that is to go."""

    run: RunRecord
    data: RunData
    size: int
    """Bytes of all that it has left."""


def chosen(
    runs: Iterable[RunRecord], *, seconds: float, keep: int, phase: Phase | None, now: float
) -> list[RunRecord]:
    """Return those that go.

    Args:
        runs: the newest first.
        seconds: since their end, at least.
        phase: only those; what is kept is counted among all.
    """
    seen: dict[tuple[str, str], int] = {}
    found: list[RunRecord] = []
    for run in runs:
        of = (run.project, run.experiment)
        seen[of] = seen.get(of, 0) + 1
        if run.ended is None or seen[of] <= keep or now - run.ended < seconds:
            continue
        if phase is None or run.phase == phase:
            found.append(run)
    return found


def prune(wanted: Wanted, *, dry_run: bool, yes: bool, as_json: bool) -> Iterator[str]:
    """Yield what is, or would be, removed; and remove it, if whoever is asked says so.

    Raises:
        Problem: there is no workspace, nobody can be asked, or a folder can't be removed.
    """
    try:
        seconds = read_age(wanted.older_than)
    except ValueError as error:
        raise Problem(f"--older-than: {plain(error)}") from None
    if wanted.keep < 0:
        raise Problem(f"--keep takes 0 or more, got {wanted.keep}")
    with opened_workspace(wanted.root) as workspace:
        found = _found(workspace, wanted, seconds)
        going = [each for each in found if not each.data.trouble]
        if not as_json:
            yield from _list(going)
            yield from _staying(found)
        removed: Sequence[RunRecord] = ()
        left: Sequence[str] = ()
        if going and not dry_run:
            if not yes and not _agreed(f"remove {_all(going)}? [y/N] "):
                yield "nothing was removed"
                return
            removed = [each.run for each in going if _remove(workspace, each)]
        if not dry_run:
            left = _sweep(workspace, keep_buckets=wanted.keep_buckets)
        if as_json:
            yield _as_json(found, removed, dry_run=dry_run)
        elif removed:
            kept = len(going) - len(removed)
            began = f"; {count(kept, 'run')} began anew and stayed" if kept else ""
            yield f"removed {count(len(removed), 'run')}{began}"
        if not as_json:
            yield from map(plain, left)


def _found(workspace: Workspace, wanted: Wanted, seconds: float) -> Sequence[_Going]:
    with workspace.reading() as store:
        assert store is not None
        runs = chosen(
            store.runs.query(project=wanted.project, experiment=wanted.experiment, limit=None),
            seconds=seconds,
            keep=wanted.keep,
            phase=wanted.phase,
            now=time.time(),
        )
        finder = Finder(store, workspace.path, wanted.keep_buckets)
        found = [(run, finder.data_of(run)) for run in runs]
    return [
        _Going(run=run, data=data, size=data.size + bytes_below(workspace.path / run_folder(run)))
        for run, data in found
    ]


def _list(runs: Sequence[_Going]) -> Iterator[str]:
    if not runs:
        yield "no run is to be removed"
        return
    head = ("RUN", "PHASE", "ENDED", "SIZE")
    rows = [
        (plain(str(each.run.key)), each.run.phase, age_text(each.run.ended), size_text(each.size))
        for each in runs[:_SHOWN]
    ]
    yield from columns([head, *rows], indent="")
    if len(runs) > _SHOWN:
        yield f"and {len(runs) - _SHOWN:,} more"
    yield f"{_all(runs)} in all"


def _staying(found: Sequence[_Going]) -> Iterator[str]:
    """Yield why runs stay that should go."""
    troubles = [each.data.trouble for each in found if each.data.trouble]
    if troubles:
        yield (
            f"for {count(len(troubles), 'run')} the data in buckets can't be looked at, so all of "
            f"that stays: {plain(troubles[0])}; --keep-buckets leaves what lies there alone"
        )


def _all(runs: Sequence[_Going]) -> str:
    return f"{count(len(runs), 'run')}, {size_text(sum(each.size for each in runs))}"


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Problem("there is nobody to ask; say --yes to remove them, or --dry-run to look")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(workspace: Workspace, going: _Going) -> bool:
    run, data = going.run, going.data
    key = run_folder(run)
    folder = workspace.path / key
    aside = _aside(folder)
    data_aside = {each: _aside(each) for each in data.folders}

    def put_aside() -> None:
        for each, to in data_aside.items():
            with suppress(OSError):  # then it stays: it may be on a disk that is only read
                os.replace(each, to)
        try:
            with suppress(FileNotFoundError):  # nothing was ever kept of it
                os.replace(folder, aside)
            note_far(aside, data.far)
        except OSError as error:
            raise Problem(
                f"{plain(folder)} can't be removed: {error.strerror}; check the rights there"
            ) from None

    store = workspace.store
    gone = forget_run(store.connections, run, key, before=put_aside, with_cached=bool(data.far))
    if gone:
        remove_data(data_aside.values())
        remove_journals(workspace.path, run.run)
        if not data.far:  # else `_sweep` removes it, and what lies there
            _delete(aside)
    return gone


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{_REMOVED}{secrets.token_hex(8)}")


def _sweep(workspace: Workspace, *, keep_buckets: bool) -> Sequence[str]:
    """Remove what this prune has put aside, or an earlier one that was killed; return what could
    not be."""
    troubles: list[str] = []
    for left in (workspace.path / "projects").glob(f"*/experiments/*/runs/{_REMOVED}*"):
        if keep_buckets and has_far(left):
            continue
        trouble = remove_far(left)
        if trouble:
            troubles.append(trouble)
        else:
            _delete(left)
    for left in (workspace.path / "raw").glob(f"*/{_REMOVED}*"):
        remove_data([left])
    # In this order: a run that begins now is known before it has a journal.
    found = runs_with_journals(workspace.path)
    for run in found - workspace.store.runs.ids() if found else ():
        remove_journals(workspace.path, run)
    return troubles


def _delete(folder: Path) -> None:
    # What can't be deleted now is tried again by the next prune.
    shutil.rmtree(folder, ignore_errors=True)


def _as_json(found: Sequence[_Going], removed: Sequence[RunRecord], *, dry_run: bool) -> str:
    gone = {each.key for each in removed}
    rows: list[dict[str, Any]] = [
        {
            "run": str(each.run.key),
            "phase": each.run.phase,
            "ended": each.run.ended,
            "size": each.size,
            "removed": each.run.key in gone,
            "stays": each.data.trouble or None,
        }
        for each in found
    ]
    size = sum(each.size for each in found)
    return json.dumps({"dry_run": dry_run, "runs": rows, "size": size}, indent=2)
