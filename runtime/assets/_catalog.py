"""`Catalog`: asks for assets, runs and who made what, over a whole workspace.

Rule 1: the manifests are the truth. The catalog is brought up to date by whoever asks it: of each
manifest that may have grown, it reads what is new.
Rule 2: `rebuild` makes it anew from all manifests that there are, and gives an equal one.
Rule 3: a manifest that is damaged takes no other with it: it is named, and the others answer.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store._asset_rows import AssetQuery, Order
from ..store._records import RunRecord
from ..store._store import Store
from ._errors import AssetError, ManifestDamaged
from ._lineage import Lineage, Maker
from ._manifest import MANIFEST
from ._records import KINDS, Asset, Use
from ._scope import Scope, ScopeKind, key_of, kind_of
from ._shelf import asset_of, manifest_size, shelf_at

if TYPE_CHECKING:
    from ..workspace._run import Run
    from ..workspace._run_execution import RunExecution

_log = logging.getLogger("trouper")

_SCOPE_KINDS = ("workspace", "project", "experiment", "run")

_NAMED = 10
"""Damaged manifests that an error names."""


class Catalog:
    """The assets of a workspace. Any thread may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._root = store.path.parent

    # -- assets ------------------------------------------------------------------------------

    def query_assets(
        self,
        *,
        kind: str | Iterable[str] | None = None,
        name: str | None = None,
        scope: Scope | ScopeKind | None = None,
        producer_run: str | Scope | None = None,
        producer_execution: int | None = None,
        producer_task: str | None = None,
        tag: str | Iterable[str] | None = None,
        limit: int | None = None,
        order: Order = "newest",
    ) -> list[Any]:
        """Return the records of the assets that are all of what is said.

        Args:
            kind: one, or any of several: "artifact", "log", "checkpoint", "data", ...
            scope: a workspace, project, experiment or run, with all that lies in it; or the word
                for one of these, for the assets of that kind of scope alone.
            producer_run: the run that made them: a name, `PROJECT/EXPERIMENT/NAME`, or a `Run`.
            tag: one, or all of several.
            limit: at most so many; None: all.
            order: "newest", "oldest" or "name".

        Raises:
            ValueError: there is no such kind or order, or `limit` is below 0.
            StoreError: the catalog can't be read.
            ManifestDamaged: the manifest of `scope` itself can't be read. What one below it holds
                since it was damaged is left out; a warning names it.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, got {limit}")
        if order not in ("newest", "oldest", "name"):
            raise ValueError(f"order can't be {order!r}; choose newest, oldest or name")
        project, experiment, run = _run_of(producer_run)
        query = AssetQuery(
            kinds=_kinds(kind),
            name=name,
            scope=None if scope is None or isinstance(scope, str) else key_of(scope),
            scope_kind=_scope_kind(scope) if isinstance(scope, str) else None,
            project=project,
            experiment=experiment,
            run=run,
            execution=producer_execution,
            task=producer_task,
            tags=_several(tag),
            limit=limit,
            order=order,
        )
        self.catch_up(query.scope)
        return self.select(query)

    def get(self, id: str) -> Any:
        """Return the asset of this id.

        Raises:
            AssetError: there is none.
        """
        self.catch_up()
        found = self.select(AssetQuery(ids=(id,), limit=1))
        if not found:
            raise AssetError(
                f"there is no asset {id!r} in {str(self._root)!r}; rebuild the catalog if its "
                "folder was put there from elsewhere"
            )
        return found[0]

    def select(self, query: AssetQuery) -> list[Any]:
        return [asset_of(each, self._root) for each in self._store.assets.select(query)]

    # -- runs --------------------------------------------------------------------------------

    def runs(self, **about: Any) -> Sequence[RunRecord]:
        """Return the runs, the newest first; arguments as of `Workspace.runs`."""
        return self._store.runs.query(**about)

    def executions(self, run: "str | Run") -> "list[RunExecution]":
        """Return all attempts at a run, the first one first; none if there is no such run.

        Args:
            run: `NAME`, `PROJECT/EXPERIMENT/NAME`, or a `Run`.

        Raises:
            AmbiguousRun: several experiments have one of this name; the text lists them.
        """
        from ..workspace._run_execution import execution_of

        key = run if isinstance(run, str) else run.key
        return [execution_of(each) for each in self._store.runs.executions(key)]

    # -- who made what -----------------------------------------------------------------------

    @property
    def lineage(self) -> Lineage:
        """The graph of assets and their makers, to be walked."""
        return Lineage(self._store, self._root, self.catch_up)

    def produces(self, run: str | Scope, task: str | None = None) -> list[Asset]:
        """Return what a run, or a task of it, has made; oldest first."""
        return self.query_assets(producer_run=run, producer_task=task, order="oldest")

    def consumes(self, run: str | Scope, task: str | None = None) -> list[Use]:
        """Return what a run, or a task of it, has read; oldest first."""
        project, experiment, name = _run_of(run)
        return self.lineage.uses(Maker(project=project, experiment=experiment, run=name, task=task))

    # -- keeping it true ---------------------------------------------------------------------

    def catch_up(self, scope: str | None = None) -> None:
        """Read what manifests that are being written hold behind what is known of them.

        Where the catalog may not be written it stays as it is.

        Args:
            scope: where it is searched, relative to the workspace; None: everywhere.

        Raises:
            ManifestDamaged: that of this very scope can't be read. Of others that is logged, once
                for each damage, and what they held before still counts.
        """
        if self._store.connections.place.read_only:
            return
        for key, _, size in self._store.assets.open_manifests():
            if manifest_size(self._root / key) != size:
                shelf = shelf_at(self._store, key)
                try:
                    shelf.index()
                except ManifestDamaged as damage:
                    if key == scope:
                        raise
                    if shelf.told_damage != str(damage):
                        shelf.told_damage = str(damage)
                        _log.warning("its new assets are left out of the catalog: %s", damage)

    def rebuild(self) -> int:
        """Make it anew from the manifests that are there; return how many there are.

        Runs may go on meanwhile: what they add is read after.

        Raises:
            ManifestDamaged: some can't be read; the text names them. All others are in it.
        """
        keys = list(self._manifests())
        gone = set(self._store.assets.scopes()) - set(keys)
        self._store.assets.forget(gone)
        damages: list[ManifestDamaged] = []
        for key in keys:
            try:
                shelf_at(self._store, key).index_anew()
            except ManifestDamaged as damage:
                damages.append(damage)
        if damages:
            more = f"; and {len(damages) - _NAMED} more" if len(damages) > _NAMED else ""
            raise ManifestDamaged(f"{'; '.join(map(str, damages[:_NAMED]))}{more}") from damages[0]
        return len(keys)

    def _manifests(self) -> Iterator[str]:
        """Give the keys of scopes that have a manifest."""
        for folder, below, files in os.walk(self._root):
            key = Path(folder).relative_to(self._root).as_posix()
            key = "" if key == "." else key
            if MANIFEST in files and kind_of(key) is not None:
                yield key
            below[:] = sorted(each for each in below if _leads_to_scope(key, each))


def _leads_to_scope(key: str, folder: str) -> bool:
    """Return whether scopes may lie below: what else there is need not be searched."""
    parts = [*(key.split("/") if key else ()), folder]
    expected = ("projects", None, "experiments", None, "runs", None)
    return len(parts) <= len(expected) and all(
        wanted in (None, part) for part, wanted in zip(parts, expected, strict=False)
    )


def _several(given: str | Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _kinds(kind: str | Iterable[str] | None) -> tuple[str, ...]:
    kinds = _several(kind)
    for each in kinds:
        if each not in KINDS:
            raise ValueError(f"there is no kind {each!r} of assets; known: {', '.join(KINDS)}")
    return kinds


def _scope_kind(scope: object) -> str:
    if scope not in _SCOPE_KINDS:
        raise ValueError(
            f"there is no kind {scope!r} of scope; known: {', '.join(_SCOPE_KINDS)}, or give the "
            "scope itself"
        )
    return str(scope)


def _run_of(run: str | Scope | None) -> tuple[str | None, str | None, str | None]:
    """Return project, experiment and name of a run, as far as they are said."""
    if run is None:
        return None, None, None
    if not isinstance(run, str):
        above = run.parent
        project = None if above is None else above.parent
        return getattr(project, "name", None), getattr(above, "name", None), run.name
    parts = run.split("/")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    if len(parts) == 1:
        return None, None, run
    raise ValueError(f"a run is NAME or PROJECT/EXPERIMENT/NAME, got {run!r}")
