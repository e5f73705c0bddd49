"""The workspace that a command looks at, and the runs in it."""

from collections.abc import Generator
from contextlib import contextmanager

from .._cli_problem import Problem
from .._cli_text import plain
from .._names import suggest
from ..assets._errors import AssetError
from ..io._errors import StorageError
from ..store._errors import AmbiguousRun, NoSuchRun, StoreError, StoreReadOnly
from ..store._records import RunRecord
from ..store._store import Store, open_store
from ..workspace._workspace import Workspace
from ._configured import configured_place

_KNOWN = 1_000
"""Runs among which a nearest name is looked for."""


@contextmanager
def opened_workspace(root: str | None) -> Generator[Workspace, None, None]:
    """Open the workspace of a command.

    Raises:
        Problem: there is none, or what was done with it inside can't be; each with its fix.
    """
    with configured_place(root), problems(), Workspace(root, create=False) as workspace:
        yield workspace


@contextmanager
def problems() -> Generator[None, None, None]:
    """Turn what goes wrong with a workspace into what a person is told."""
    try:
        yield
    except (StoreError, AssetError, StorageError, ValueError) as error:
        raise Problem(plain(error, 2_000)) from None


@contextmanager
def opened_catalog(workspace: Workspace) -> Generator[Store, None, None]:
    """Give the database so that its catalog can be brought up to date; else to read only."""
    try:
        store = workspace.store
    except StoreReadOnly:
        with open_store(workspace.path, read_only=True) as read_only:
            yield read_only
    else:
        yield store


def find_run(workspace: Workspace, reference: str) -> RunRecord:
    """Return the run that `NAME`, or `PROJECT/EXPERIMENT/NAME`, stands for.

    Raises:
        Problem: there is none, or several could be meant.
    """
    with workspace.reading() as store:
        assert store is not None  # it is there, or `opened_workspace` had refused it
        try:
            return store.runs.get(reference)
        except AmbiguousRun as error:
            raise Problem(plain(error, 2_000)) from None
        except NoSuchRun:
            known = [each.name for each in store.runs.query(limit=_KNOWN)]
    hint = plain(suggest(reference, known))
    raise Problem(f"no run {plain(reference)!r} is recorded;{hint}") from None
