"""What a run has left outside of its own folder: data below its `raw_data_path`, and its journals.

Rule 1: nothing goes that is not surely the run's own. Data is known by the mark in the names of its
folders; what a run without a workspace has left stays.
Rule 2: what lies in a bucket goes when its run is forgotten. A note beside the run's other files
says what that is, so if a prune is killed the next one goes on.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from ..io._errors import MissingExtra, StorageError
from ..io._location import Location, parse_location
from ..io._places import data_of_run, is_data_of, owner_of
from ..io._storage import storage_of
from ..store._connections import FOLDER_MODE
from ..store._records import RunRecord
from ..store._store import Store
from ..workspace._journal import earlier_journals, journals_in
from ._measures import bytes_below

_NOTE = "in-buckets.json"


@frozen(kw_only=True)
class RunData:
    """What lies outside of the run's folder."""

    folders: Sequence[Path]
    """On this machine."""
    far: Sequence[Location]
    """Folders in buckets."""
    size: int
    """Bytes of all."""
    trouble: str = ""
    """Why a bucket could not be looked into; the run has to stay then."""


@define
class Finder:
    """Finds the data of the runs of one workspace. Asks a bucket that does not answer only once."""

    store: Store
    root: Path
    keep_buckets: bool
    """What lies in buckets stays."""
    _troubles: dict[tuple[str, str], str] = field(factory=dict[tuple[str, str], str], init=False)

    def data_of(self, run: RunRecord) -> RunData:
        """Return the data of a run, of all its executions."""
        given = set(_given(self.store.runs.executions(run.key)))
        local = {self.root / "raw", *(each.local for each in given if each.is_local)}
        folders = sorted(
            folder for raw in local for folder in data_of_run(raw, run.name, self._owner(run, raw))
        )
        size = sum(map(bytes_below, folders))
        far: dict[Location, int] = {}
        buckets = () if self.keep_buckets else given - {each for each in given if each.is_local}
        for raw in sorted(buckets, key=lambda each: each.uri):
            try:
                far |= self._in_bucket(raw / run.name, self._owner(run, None))
            except (StorageError, MissingExtra) as error:
                return RunData(folders=folders, far=(), size=size, trouble=str(error))
        return RunData(folders=folders, far=tuple(far), size=size + sum(far.values()))

    def _owner(self, run: RunRecord, raw: Path | None) -> str:
        return owner_of(self.root, raw, run.project, run.experiment)

    def _in_bucket(self, place: Location, owner: str) -> dict[Location, int]:
        """Return the run's folders below a place, and what is in each."""
        bucket = (place.scheme, place.bucket)
        if bucket in self._troubles:
            raise StorageError(self._troubles[bucket])
        found: dict[Location, int] = {}
        try:
            for path, size in storage_of(place).walk(place):
                name, is_below, _ = path.partition("/")
                if is_below and is_data_of(name, owner):
                    found[place / name] = found.get(place / name, 0) + size
        except StorageError as error:
            self._troubles[bucket] = str(error)
            raise
        return found


def _given(executions: Iterable[RunRecord]) -> Iterator[Location]:
    for execution in executions:
        said = execution.params.get("raw_data_path")
        with suppress(TypeError, ValueError):
            yield parse_location(said, "raw_data_path")


# -- removing -------------------------------------------------------------------------------------


def remove_data(folders: Iterable[Path]) -> None:
    """Remove them, and the folder of the run if nothing else is in it."""
    for folder in folders:
        # What can't be removed stays: it is whoever's it was before.
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()


def note_far(aside: Path, far: Sequence[Location]) -> None:
    """Note what goes from buckets, beside what goes here.

    Raises:
        OSError: it can't be written.
    """
    if far:
        aside.mkdir(mode=FOLDER_MODE, exist_ok=True)
        (aside / _NOTE).write_text(json.dumps([each.uri for each in far]), encoding="utf-8")


def has_far(aside: Path) -> bool:
    """Return whether something in a bucket was noted."""
    return (aside / _NOTE).exists()


def remove_far(aside: Path) -> str:
    """Remove from buckets what was noted; return why something of it is still there, else ""."""
    try:
        noted = json.loads((aside / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it was being written when its process died
        return ""
    for uri in noted:
        place = parse_location(uri, "a folder in a bucket")
        try:
            storage = storage_of(place)
            storage.remove(place)
            if next(iter(storage.walk(place)), None) is not None:
                return f"{uri} could not be removed; the next prune tries again"
        except (StorageError, MissingExtra) as error:
            return f"{error}; the next prune tries again"
    return ""


def remove_journals(root: Path, run: int) -> None:
    """Remove what a run that is forgotten could have been recovered from."""
    for path in earlier_journals(root, run):
        with suppress(OSError):
            path.unlink()


def runs_with_journals(root: Path) -> frozenset[int]:
    """Return the ids of the runs that have one."""
    return frozenset(run for run, _ in journals_in(root))
