"""The workspaces that runs of this process are recorded in: one object for each folder, open for as
long as any run holds it, so that runs at the same time share a database and the thread that writes.

The one that was held last stays open for the next run: to open and close the database waits for
the disk several times, which is most of what recording a short run would cost. It is closed when
another one takes its place, at the latest when the process ends.
"""

import atexit
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ..settings._init import current
from ..store._errors import StoreError
from ._workspace import Workspace, options_over

_attached: WeakValueDictionary[Path, Workspace] = WeakValueDictionary()
_holders: dict[int, int] = {}
"""By the id of the workspace: several objects of one folder each have a database open."""
_idle: list[Workspace] = []
"""The one that is open and that no run holds, if there is one."""
_in_parent: list[object] = []
"""What the process that this one was forked from has open: it is not ours to close."""
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
        if found is not None and not _is_idle(found):
            return found
        if found is not None:
            if found.store_options == options_over(current(), options):
                return found
            _close_idle()  # it was configured otherwise since
        _attached[place] = fresh = Workspace(place, **options)
        return fresh


def _is_idle(workspace: Workspace) -> bool:
    return any(each is workspace for each in _idle)


def hold_workspace(workspace: Workspace) -> None:
    """Open its database, until `let_workspace_go`.

    Raises:
        StoreError: the database can't be opened or made; the text says why.
    """
    with _guard:
        if _is_idle(workspace):
            _idle.clear()
            if not workspace.store.is_in_place():
                _close(workspace)  # its folder was removed or moved meanwhile
        assert workspace.store is not None  # opened now: what is wrong is told now
        _holders[id(workspace)] = _holders.get(id(workspace), 0) + 1


def let_workspace_go(workspace: Workspace) -> None:
    """Let go of what `hold_workspace` has opened; if it is attached it stays open, but idle.

    One that the user has made is the user's to close.
    """
    with _guard:
        left = _holders[id(workspace)] - 1
        if left:
            _holders[id(workspace)] = left
            return
        del _holders[id(workspace)]
        if _attached.get(workspace.path) is workspace:
            # Inside of the guard: whoever wants it next finds it open, or opens it after this.
            _close_idle()
            _idle.append(workspace)


def close_idle() -> None:
    """Close what stays open for the next run."""
    with _guard:
        _close_idle()


def _close_idle() -> None:
    while _idle:
        _close(_idle.pop())


def _close(workspace: Workspace) -> None:
    # What could not be written was told to the run that it belonged to.
    with suppress(StoreError):
        workspace.close()


atexit.register(close_idle)


def _forget_in_child() -> None:
    global _guard
    _guard = threading.Lock()  # another thread may have held it
    _in_parent.extend(_idle)
    _idle.clear()
    _attached.clear()
    _holders.clear()


os.register_at_fork(after_in_child=_forget_in_child)
