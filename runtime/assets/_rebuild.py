"""`catalog.rebuild()`: what the database has is made anew from the files that are there.

Rule 1: runs as `run.json` tells, in the order in which they were begun; assets as manifests tell.
Rule 2: what is damaged, or clashes, takes nothing else with it: it is named when all else is done.
Rule 3: a run that goes on is left alone, and so is one whose folder can't be looked into.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from attrs import Factory, define

from ..store._errors import NotTheSame, StoreError
from ..store._records import RunKey
from ..store._run_copies import TakenIn, executions_in, forget, runs_that_ended, take_in
from ..store._store import Store
from ..workspace._actions_file import read_actions
from ..workspace._journal import journal_at, journals_in
from ..workspace._left_behind import settle_left_behind
from ..workspace._names import check_run_id, folder_of, key_of_run, name_of
from ..workspace._run_file import NAME as RUN_FILE
from ..workspace._run_file import read_run, tell_run
from ._errors import ManifestDamaged
from ._manifest import MANIFEST
from ._rebuilt import Rebuilt
from ._scope import kind_of
from ._shelf import shelf_at

_NAMED = 10
"""Troubles that an error names."""
_SCOPES = ("projects", None, "experiments", None, "runs", None)
_WHAT = ("project", "experiment")


@define(eq=False)
class Rebuild:
    """One rebuild of one workspace: `run`, and then see what `trouble` there was."""

    store: Store
    dry: bool
    """Only look."""
    root: Path = Factory(lambda self: self.store.path.parent, takes_self=True)
    troubles: list[ManifestDamaged | NotTheSame] = Factory(list[ManifestDamaged | NotTheSame])

    def run(self) -> Rebuilt:
        """Do all that can be done."""
        if not self.dry:
            settle_left_behind(self.store)
        folders = list(self._folders())
        runs = [key for key, files in folders if RUN_FILE in files and kind_of(key) == "run"]
        manifests = [key for key, files in folders if MANIFEST in files and kind_of(key)]
        if not self.dry:
            self._sweep_journals()
        rebuilt = Rebuilt(
            runs=len(runs),
            taken_in=tuple(self._take_in(runs)),
            forgotten=tuple(self._forget()),
            manifests=len(manifests),
        )
        if not self.dry:
            self._index(manifests)
        return rebuilt

    def trouble(self) -> ManifestDamaged | NotTheSame | None:
        """Return what files can't be read, or clash, in one error that names them."""
        return _all(self.troubles) if self.troubles else None

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        """Give all places where scopes may be, relative to the workspace, and their files."""
        for folder, below, files in os.walk(self.root):
            key = Path(folder).relative_to(self.root).as_posix()
            key = "" if key == "." else key
            yield key, files
            below[:] = sorted(each for each in below if _leads_to_scope(key, each))

    # -- runs --------------------------------------------------------------------------------

    def _take_in(self, places: Iterable[str]) -> Iterator[str]:
        found = [each for each in map(self._read, places) if each is not None]
        # So that the newest is listed first, as it was where they were recorded.
        for given in sorted(found, key=lambda each: each.copy.executions[-1].started):
            try:
                if take_in(self.store.connections, given):
                    yield str(given.key)
            except ManifestDamaged as trouble:
                self.troubles.append(trouble)
            except NotTheSame as clash:
                folder = str(self.root / key_of_run(given.key))
                self.troubles.append(NotTheSame(f"{folder!r} was left out: {clash}"))

    def _read(self, place: str) -> TakenIn | None:
        folder = self.root / place
        try:
            key = _key_at(folder, place)
            copy = read_run(folder)
        except (ManifestDamaged, NotTheSame) as trouble:
            self.troubles.append(trouble)
            return None
        if copy is None or not copy.executions:
            return None
        return TakenIn(
            copy=copy,
            key=key,
            actions=lambda number: read_actions(folder, number),
            is_there=lambda: not _is_gone(folder / RUN_FILE),
            first_id=1 + max((run for run, _ in journals_in(self.root)), default=0),
            dry=self.dry,
        )

    def _forget(self) -> Iterator[str]:
        for key in runs_that_ended(self.store.connections):
            folder = self.root / key_of_run(key)
            is_gone = partial(_is_gone, folder)
            if is_gone():
                if self.dry or forget(self.store.connections, key, is_gone):
                    yield str(key)
            elif _is_gone(folder / RUN_FILE) and not self.dry:
                # The disk was full, say, when it was to be written.
                with suppress(StoreError):
                    tell_run(self.store, key, folder)

    def _sweep_journals(self) -> None:
        """Remove those of executions that are not recorded: another one may get its number."""
        journals = journals_in(self.root)  # before: an execution is recorded before it has one
        known = executions_in(self.store.connections)
        for run, execution in journals:
            if execution not in known:
                with suppress(OSError):
                    os.unlink(journal_at(self.root, run, execution))

    # -- assets ------------------------------------------------------------------------------

    def _index(self, keys: list[str]) -> None:
        gone = set(self.store.assets.scopes()) - set(keys)
        self.store.assets.forget(gone)
        for key in keys:
            try:
                shelf_at(self.store, key).index_anew()
            except ManifestDamaged as damage:
                self.troubles.append(damage)


def _leads_to_scope(key: str, folder: str) -> bool:
    """Return whether scopes may lie below: what else there is need not be searched."""
    parts = [*(key.split("/") if key else ()), folder]
    return len(parts) <= len(_SCOPES) and all(
        wanted in (None, part) for part, wanted in zip(parts, _SCOPES, strict=False)
    )


def _key_at(folder: Path, place: str) -> RunKey:
    """Return the run whose folder lies there.

    Raises:
        NotTheSame: no run can have it; the text says what to rename.
    """
    *above, run = place.split("/")[1::2]
    try:
        for part, what in zip(above, _WHAT, strict=True):
            wanted = folder_of(name_of(part), what)
            if wanted != part:
                raise ValueError(f"the folder of this {what} is to be called {wanted!r}")
        project, experiment = map(name_of, above)
        return RunKey(check_run_id(run), project, experiment)
    except ValueError as error:
        raise NotTheSame(f"{str(folder)!r} can't be taken in: {error}; rename it") from error


def _is_gone(file: Path) -> bool:
    """Return whether it is not there; where that can't be told it is."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _all(troubles: list[ManifestDamaged | NotTheSame]) -> ManifestDamaged | NotTheSame:
    more = f"; and {len(troubles) - _NAMED} more" if len(troubles) > _NAMED else ""
    text = f"{'; '.join(map(str, troubles[:_NAMED]))}{more}"
    is_damage = any(isinstance(each, ManifestDamaged) for each in troubles)
    return ManifestDamaged(text) if is_damage else NotTheSame(text)
