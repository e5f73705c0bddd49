"""The workspaces that runs of this process are recorded in: one object for each folder, open for as
long as any run holds it, so that runs at the same time share a database and the thread that writes.
"""

import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ._workspace import Workspace

_attached: WeakValueDictionary[Path, Workspace] = WeakValueDictionary()
_holders: dict[int, int] = {}
"""By the id of the workspace: several objects of one folder each have a database open."""
_guard = threading.Lock()


def attach_workspace(root: Path, **options: Any) -> Workspace:
    """Return the workspace of a folder; nothing is opened or made yet.

    Args:
        options: as of `Workspace`, for the first one who attaches it.

    Raises:
        StoreReadOnly: `root` is a file.
    """
    place = root.resolve()
    with _guard:
        found = _attached.get(place)
        if found is None:
            found = _attached[place] = Workspace(place, **options)
        return found


def hold_workspace(workspace: Workspace) -> None:
    """Open its database, until `let_workspace_go`.

    Raises:
        StoreError: the database can't be opened or made; the text says why.
    """
    with _guard:
        assert workspace.store is not None  # opened now: what is wrong is told now
        _holders[id(workspace)] = _holders.get(id(workspace), 0) + 1


def let_workspace_go(workspace: Workspace) -> None:
    """Let go of what `hold_workspace` has opened; the last one closes it, if it is attached.

    One that the user has made is the user's to close.

    Raises:
        StoreError: some records could not be written.
    """
    with _guard:
        left = _holders[id(workspace)] - 1
        if left:
            _holders[id(workspace)] = left
            return
        del _holders[id(workspace)]
        if _attached.get(workspace.path) is workspace:
            # Inside of the guard: whoever wants it next opens it after it was closed.
            workspace.close()


def _forget_in_child() -> None:
    global _guard
    _guard = threading.Lock()  # another thread may have held it
    _attached.clear()
    _holders.clear()


os.register_at_fork(after_in_child=_forget_in_child)
