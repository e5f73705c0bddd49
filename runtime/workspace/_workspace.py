"""`trouper.Workspace(root)`: a folder in which runs are kept."""

import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ..io._location import parse_folder
from ..settings._init import current
from ..store._errors import NoWorkspace, StoreReadOnly
from ..store._records import DEFAULT_SCOPE, Phase
from ._names import name_of
from ._project import Project
from ._run import Run, run_of
from ._scope import Scope, ScopeKind

if TYPE_CHECKING:
    from ..assets._catalog import Catalog
    from ..settings._sections import Configuration
    from ..store._store import Store
    from ._blank_journals import BlankJournals

DATABASE = "trouper.db"


class Workspace(Scope):
    """The folder, its database, and the projects in it. Any thread and process may use it.

    Nothing is on disk until something is kept. `close()` it, or use it in a `with` block; what was
    recorded is on disk also without.
    """

    kind: ScopeKind = "workspace"

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        *,
        create: bool = True,
        durability: Literal["normal", "full"] | None = None,
        busy_timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """Name the folder.

        Args:
            root: None: as configured, by `$TROUPER_HOME` for one; else `./.trouper`.
            create: False: refuse a folder in which nothing was ever kept.
            durability, busy_timeout, max_bytes: as of the configuration's section `storage`, over
                what is said there.

        Raises:
            NoWorkspace: there is none, and `create` is False.
            StoreReadOnly: `root` is a file.
            TypeError, ValueError: it names no folder on this machine.
        """
        configured = current()
        path = configured.root if root is None else parse_folder(root, "a workspace")
        super().__init__(path.name or "/", path, None)
        given = {"durability": durability, "busy_timeout": busy_timeout, "max_bytes": max_bytes}
        self._options = options_over(configured, given)
        self._store: Store | None = None
        self._read_only: Store | None = None
        self._guard = threading.Lock()
        self._blanks: BlankJournals | None = None
        if os.path.isfile(path):
            raise StoreReadOnly(f"the workspace {str(path)!r} is a file; name a folder")
        if not create and not self.is_there():
            raise NoWorkspace(
                f"there is no workspace at {str(path)!r}: no {DATABASE} in it; give the folder "
                "that a run was recorded in, or start a run there"
            )

    @property
    def store_options(self) -> dict[str, Any]:
        """How its database is opened."""
        return dict(self._options)

    @property
    def workspace(self) -> "Workspace":
        return self

    def is_there(self) -> bool:
        """Return whether something was ever kept in it."""
        return os.path.exists(self.path / DATABASE)

    @property
    def store(self) -> "Store":
        with self._guard:
            if self._store is None:
                self._store = _opened(self.path, **self._options)
            return self._store

    @property
    def blank_journals(self) -> "BlankJournals":
        """The journals of its runs are made from these."""
        from ._blank_journals import BlankJournals

        with self._guard:
            if self._blanks is None:
                self._blanks = BlankJournals(self.path)
            return self._blanks

    @contextmanager
    def reading(self) -> "Generator[Store | None, None, None]":
        """Give the database to read from; None: nothing was ever kept. Changes nothing on disk.

        Raises:
            StoreError: it can't be read.
        """
        with self._guard:
            opened = self._store
        if opened is not None:
            yield opened
        elif not self.is_there():
            yield None
        else:
            with _open(self.path, read_only=True, **self._options) as store:
                yield store

    # -- what is in it -----------------------------------------------------------------------

    @property
    def catalog(self) -> "Catalog":
        """All assets in it, whatever scope they belong to: `catalog.query_assets(...)`.

        Of a folder that may not be written: those that the catalog knows of.

        Raises:
            StoreError: the database can't be opened.
        """
        from ..assets._catalog import Catalog

        try:
            return Catalog(self.store)
        except StoreReadOnly:
            with self._guard:
                if self._read_only is None:
                    self._read_only = _open(self.path, read_only=True, **self._options)
                return Catalog(self._read_only)

    def project(self, name: str = DEFAULT_SCOPE) -> Project:
        """Return the project of this name.

        Raises:
            TypeError, ValueError: it can't be called so.
        """
        return Project(name, self)

    def projects(self) -> list[Project]:
        """Return the projects that something was kept in: runs, or assets. By name."""
        found = {of for of, _, _ in self.scopes()}
        found |= {each[0] for each in self.scopes_of_assets()}
        return [self.project(each) for each in sorted(found)]

    def scopes_of_assets(self) -> list[tuple[str, ...]]:
        """Return (project,) or (project, experiment) of each that has assets of its own."""
        with self.reading() as store:
            keys = () if store is None else store.assets.scopes_above_runs()
        return [tuple(map(name_of, each.split("/")[1::2])) for each in keys if each]

    def scopes(self) -> Sequence[tuple[str, str, dict[str, Any]]]:
        """Return project, name and parameters of each experiment that a run was recorded in."""
        with self.reading() as store:
            return () if store is None else store.runs.scopes()

    def find_run(self, reference: str) -> Run:
        """Return the run that `NAME`, or `PROJECT/EXPERIMENT/NAME`, stands for.

        Raises:
            NoSuchRun: there is none.
            AmbiguousRun: several experiments have one of this name; the text lists them.
        """
        with self.reading() as store:
            if store is None:
                raise NoWorkspace(
                    f"no run {reference!r}: nothing was ever kept in {str(self.path)!r}; give the "
                    "folder that a run was recorded in"
                )
            return run_of(self, store.runs.find(reference))

    def runs(
        self,
        *,
        project: str | None = None,
        experiment: str | None = None,
        domain: str | None = None,
        target: str | None = None,
        profile: str | None = None,
        phase: Phase | None = None,
        labels: dict[str, str] | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Return the runs that are as asked for, the newest first.

        Args:
            target: the name of a workflow or task.
            labels: all of them have to be there.
            limit: at most so many; None: all.
        """
        with self.reading() as store:
            if store is None:
                return []
            found = store.runs.query(
                project=project,
                experiment=experiment,
                domain=domain,
                target=target,
                profile=profile,
                phase=phase,
                labels=labels,
                limit=limit,
            )
        return [run_of(self, each.key) for each in found]

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits, and close the database; it is opened again when it is needed.

        Raises:
            StoreError: some records could not be written.
        """
        with self._guard:
            opened, blanks = (self._store, self._read_only), self._blanks
            self._store = self._read_only = None
        if blanks is not None:
            blanks.close()
        for store in opened:
            if store is not None:
                store.close()

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def options_over(configured: "Configuration", given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a database is opened: as it is given, else as configured."""
    said = {key: value for key, value in given.items() if value is not None}
    return {**configured.store_options(), **said}


def _open(root: Path, **options: Any) -> "Store":
    # SQLite is loaded when something is kept or read, not with `import trouper`.
    from ..store._store import open_store

    return open_store(root, **options)


def _opened(root: Path, **options: Any) -> "Store":
    """Return the database, opened to write, with the folders of runs brought up to date."""
    from ._left_behind import settle_left_behind

    store = _open(root, **options)
    settle_left_behind(store)
    return store


Workspace.__module__ = "trouper"
