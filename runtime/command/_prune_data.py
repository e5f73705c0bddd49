"""What a run has left outside of its own folder: data below its `raw_data_path`, and its journals.

Rule: nothing goes that is not surely the run's own. Data is known by the mark in the names of its
folders; what lies in a bucket stays, and so does what a run without a workspace has left.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..io._location import parse_location
from ..io._places import data_of_run, owner_of
from ..store._records import RunRecord
from ..store._store import Store
from ..workspace._journal import earlier_journals, journals_in


def data_of(store: Store, root: Path, run: RunRecord) -> Sequence[Path]:
    """Return the folders on this machine that hold data of a run, of all its executions."""
    raws = {root / "raw", *_given(store.runs.executions(run.key))}
    return sorted(
        folder
        for raw in raws
        for folder in data_of_run(raw, run.name, owner_of(root, raw, run.project, run.experiment))
    )


def _given(executions: Iterable[RunRecord]) -> Iterator[Path]:
    for execution in executions:
        said = execution.params.get("raw_data_path")
        with suppress(TypeError, ValueError):
            place = parse_location(said, "raw_data_path")
            if place.is_local:
                yield place.local


def remove_data(folders: Iterable[Path]) -> None:
    """Remove them, and the folder of the run if nothing else is in it."""
    for folder in folders:
        # What can't be removed stays: it is whoever's it was before.
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()


def remove_journals(root: Path, run: int) -> None:
    """Remove what a run that is forgotten could have been recovered from."""
    for path in earlier_journals(root, run):
        with suppress(OSError):
            path.unlink()


def runs_with_journals(root: Path) -> frozenset[int]:
    """Return the ids of the runs that have one."""
    return frozenset(run for run, _ in journals_in(root))
