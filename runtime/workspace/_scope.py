"""What workspace, project, experiment and run have in common: a name, a place, and a parent."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..assets._data_assets import DataAssets
    from ..store._store import Store
    from ._workspace import Workspace

ScopeKind = Literal["workspace", "project", "experiment", "run"]


class Scope:
    """A place that assets belong to. Two objects of one place are equal.

    Nothing of it is on disk until something is kept in it.
    """

    kind: ScopeKind

    def __init__(self, name: str, path: Path | None, parent: "Scope | None") -> None:
        self._name = name
        self._path = path
        self._parent = parent

    def __repr__(self) -> str:
        where = "in memory" if self._path is None else f"at {str(self._path)!r}"
        return f"<{self.kind} {self._name!r} {where}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scope):
            return NotImplemented
        if self._path is None:
            return self is other
        return (self.kind, self._path) == (other.kind, other._path)

    def __hash__(self) -> int:
        return hash((self.kind, self._path, self._name))

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> Path:
        """Its folder, absolute; it may not be there yet.

        Raises:
            RuntimeError: it lies in no workspace.
        """
        if self._path is None:
            raise RuntimeError(self.nowhere())
        return self._path

    @property
    def parent(self) -> "Scope | None":
        """The scope that it lies in; None: it is the workspace."""
        return self._parent

    @property
    def workspace(self) -> "Workspace":
        """The workspace that it lies in.

        Raises:
            RuntimeError: it lies in none.
        """
        if self._parent is None:
            raise RuntimeError(self.nowhere())
        return self._parent.workspace

    def nowhere(self) -> str:
        """Return what is wrong when a place is needed and there is none."""
        return (
            f"the {self.kind} {self._name!r} is kept in memory alone, so it has no folder and no "
            "database; start it with a workspace"
        )

    @property
    def store(self) -> "Store":
        """The workspace's database, open for writing; it is made if it is not there.

        Raises:
            StoreError: it can't be opened.
            RuntimeError: it lies in no workspace.
        """
        return self.workspace.store

    @property
    def data_assets(self) -> "DataAssets":
        """Files and folders from elsewhere: `data_assets.import_asset(name, src)`.

        Raises:
            StoreError: the workspace's database can't be opened.
        """
        from ..assets._data_assets import data_assets_of

        return data_assets_of(self)
