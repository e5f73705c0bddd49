"""`Catalog`: asks for assets, runs and who made what, over a whole workspace.

Rule 1: the manifests are the truth. The catalog is brought up to date by whoever asks it: of each
manifest that may have grown, it reads what is new.
Rule 2: `rebuild` makes it anew from all files that there are, and gives an equal one.
Rule 3: a manifest that is damaged takes no other with it: it is named, and the others answer.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..store._asset_rows import AssetQuery, Order
from ..store._records import RunRecord
from ..store._store import Store
from ._errors import AssetError, ManifestDamaged
from ._lineage import Lineage, Maker
from ._records import KINDS, Asset, Use
from ._scope import Scope, ScopeKind, key_of
from ._shelf import asset_of, manifest_size, shelf_at

if TYPE_CHECKING:
    from ..workspace._run import Run
    from ..workspace._run_execution import RunExecution
    from ._rebuilt import Rebuilt

_log = logging.getLogger("trouper")

_SCOPE_KINDS = ("workspace", "project", "experiment", "run")


class Catalog:
    """The assets of a workspace. Any thread may use it."""

    def __init__(self, store: Store) -> None:
        self.store = store
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
        return [asset_of(each, self._root) for each in self.store.assets.select(query)]

    # -- runs --------------------------------------------------------------------------------

    def runs(self, **about: Any) -> Sequence[RunRecord]:
        """Return the runs, the newest first; arguments as of `Workspace.runs`."""
        return self.store.runs.query(**about)

    def executions(self, run: "str | Run") -> "list[RunExecution]":
        """Return all attempts at a run, the first one first; none if there is no such run.

        Args:
            run: `NAME`, `PROJECT/EXPERIMENT/NAME`, or a `Run`.

        Raises:
            AmbiguousRun: several experiments have one of this name; the text lists them.
        """
        from ..workspace._run_execution import execution_of

        key = run if isinstance(run, str) else run.key
        return [execution_of(each) for each in self.store.runs.executions(key)]

    # -- who made what -----------------------------------------------------------------------

    @property
    def lineage(self) -> Lineage:
        """The graph of assets and their makers, to be walked."""
        return Lineage(self.store, self._root, self.catch_up)

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
        if self.store.connections.place.read_only:
            return
        for key, _, size in self.store.assets.open_manifests():
            if manifest_size(self._root / key) != size:
                shelf = shelf_at(self.store, key)
                try:
                    shelf.index()
                except ManifestDamaged as damage:
                    if key == scope:
                        raise
                    if shelf.told_damage != str(damage):
                        shelf.told_damage = str(damage)
                        _log.warning("its new assets are left out of the catalog: %s", damage)

    def rebuild(self, *, dry_run: bool = False) -> "Rebuilt":
        """Make it anew from the files that are there: manifests of assets, and records of runs.

        So a run whose folder was moved or copied here is found, under the name that its folder
        has; one whose folder was removed is forgotten. Runs may go on meanwhile: what they add is
        read after.

        Args:
            dry_run: change nothing, only say what would be done.

        Raises:
            ManifestDamaged: some can't be read; the text names them. All others are in it.
            NotTheSame: some folders hold another run than is recorded by their name; the text
                names them. Neither was changed, and all others are in it.
        """
        from ._rebuild import Rebuild

        rebuild = Rebuild(self.store, dry_run)
        rebuilt = rebuild.run()
        trouble = rebuild.trouble()
        if trouble is not None:
            raise trouble from rebuild.troubles[0]
        return rebuilt


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
