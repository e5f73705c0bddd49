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
from ._prune_data import data_of, remove_data, remove_journals, runs_with_journals
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
        runs = chosen(
            _runs(workspace, wanted),
            seconds=seconds,
            keep=wanted.keep,
            phase=wanted.phase,
            now=time.time(),
        )
        data = [_data_of(workspace, each) for each in runs]
        sizes = [
            sum(map(bytes_below, (workspace.path / run_folder(each), *folders)))
            for each, folders in zip(runs, data, strict=True)
        ]
        if not as_json:
            yield from _list(runs, sizes)
        removed: Sequence[RunRecord] = ()
        if runs and not dry_run:
            if not yes and not _agreed(f"remove {_all(runs, sizes)}? [y/N] "):
                yield "nothing was removed"
                return
            removed = [
                each
                for each, folders in zip(runs, data, strict=True)
                if _remove(workspace, each, folders)
            ]
        if not dry_run:
            _sweep(workspace)
        if as_json:
            yield _as_json(runs, sizes, removed, dry_run=dry_run)
        elif removed:
            kept = len(runs) - len(removed)
            began = f"; {count(kept, 'run')} began anew and stayed" if kept else ""
            yield f"removed {count(len(removed), 'run')}{began}"


def _runs(workspace: Workspace, wanted: Wanted) -> Sequence[RunRecord]:
    with workspace.reading() as store:
        assert store is not None
        return store.runs.query(project=wanted.project, experiment=wanted.experiment, limit=None)


def _data_of(workspace: Workspace, run: RunRecord) -> Sequence[Path]:
    with workspace.reading() as store:
        assert store is not None
        return data_of(store, workspace.path, run)


def _list(runs: Sequence[RunRecord], sizes: Sequence[int]) -> Iterator[str]:
    if not runs:
        yield "no run is to be removed"
        return
    head = ("RUN", "PHASE", "ENDED", "SIZE")
    rows = [
        (plain(str(run.key)), run.phase, age_text(run.ended), size_text(size))
        for run, size in zip(runs[:_SHOWN], sizes, strict=False)
    ]
    yield from columns([head, *rows], indent="")
    if len(runs) > _SHOWN:
        yield f"and {len(runs) - _SHOWN:,} more"
    yield f"{_all(runs, sizes)} in all"


def _all(runs: Sequence[RunRecord], sizes: Sequence[int]) -> str:
    return f"{count(len(runs), 'run')}, {size_text(sum(sizes))}"


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Problem("there is nobody to ask; say --yes to remove them, or --dry-run to look")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(workspace: Workspace, run: RunRecord, data: Sequence[Path]) -> bool:
    key = run_folder(run)
    folder = workspace.path / key
    aside = _aside(folder)
    data_aside = {each: _aside(each) for each in data}

    def put_aside() -> None:
        for each, to in data_aside.items():
            with suppress(OSError):  # then it stays: it may be on a disk that is only read
                os.replace(each, to)
        try:
            os.replace(folder, aside)
        except FileNotFoundError:
            return  # nothing was ever kept of it
        except OSError as error:
            raise Problem(
                f"{plain(folder)} can't be removed: {error.strerror}; check the rights there"
            ) from None

    gone = forget_run(workspace.store.connections, run, key, before=put_aside)
    if gone:
        _delete(aside)
        remove_data(data_aside.values())
        remove_journals(workspace.path, run.run)
    return gone


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{_REMOVED}{secrets.token_hex(8)}")


def _sweep(workspace: Workspace) -> None:
    """Remove what an earlier prune that was killed has left."""
    for left in (workspace.path / "projects").glob(f"*/experiments/*/runs/{_REMOVED}*"):
        _delete(left)
    for left in (workspace.path / "raw").glob(f"*/{_REMOVED}*"):
        remove_data([left])
    # In this order: a run that begins now is known before it has a journal.
    found = runs_with_journals(workspace.path)
    for run in found - workspace.store.runs.ids() if found else ():
        remove_journals(workspace.path, run)


def _delete(folder: Path) -> None:
    # What can't be deleted now is tried again by the next prune.
    shutil.rmtree(folder, ignore_errors=True)


def _as_json(
    runs: Sequence[RunRecord], sizes: Sequence[int], removed: Sequence[RunRecord], *, dry_run: bool
) -> str:
    gone = {each.key for each in removed}
    rows: list[dict[str, Any]] = [
        {
            "run": str(run.key),
            "phase": run.phase,
            "ended": run.ended,
            "size": size,
            "removed": run.key in gone,
        }
        for run, size in zip(runs, sizes, strict=True)
    ]
    return json.dumps({"dry_run": dry_run, "runs": rows, "size": sum(sizes)}, indent=2)
