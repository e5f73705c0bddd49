"""`open_store(root)`: the database of a workspace."""

import os
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from attrs import field, frozen

from ._actions import Actions
from ._assets import AssetIndex
from ._cache import Cache
from ._connections import Connections, Durability, Place
from ._errors import NoWorkspace
from ._flights import SingleFlight
from ._limits import Limits
from ._recorder import OnEvent, Recorder
from ._records import Claim, NewRun
from ._results import Results
from ._runs import Runs

DATABASE = "trouper.db"


class Shelved(Protocol):
    """The open files of one scope's assets."""

    def release(self) -> None:
        """Close them; what was written is on disk."""
        ...


@frozen(kw_only=True, eq=False)
class Store:
    """The tables of one database. Any thread may use it; `close` when none does any more."""

    path: Path
    limits: Limits
    connections: Connections
    runs: Runs
    actions: Actions
    results: Results
    cache: Cache
    flights: SingleFlight
    recorder: Recorder
    assets: AssetIndex
    shelves: dict[str, Shelved] = field(factory=dict[str, Shelved], init=False)
    """The assets of each scope in use, by its place in the workspace."""
    opened: set[Shelved] = field(factory=set[Shelved], init=False)
    """Those that have files open."""

    def start(
        self, new: NewRun, *, on_abort: OnEvent | None = None, on_lost: OnEvent | None = None
    ) -> Claim:
        """Claim a name and beat for it until `finish`; `on_*` as of `Recorder.hold`.

        Raises:
            RunNameTaken: a run of this name is alive.
        """
        claim = self.runs.claim(new)
        events: dict[str, Any] = {"on_abort": on_abort, "on_lost": on_lost}
        self.recorder.hold(claim, **{key: fn for key, fn in events.items() if fn is not None})
        return claim

    def is_in_place(self) -> bool:
        """Return whether the file that is open is the one at its path: it may have been removed."""
        return self.connections.is_in_place()

    def close(self) -> None:
        """Write what waits and close the database. May be repeated.

        Raises:
            StoreError: some records could not be written.
        """
        try:
            self._release_shelves()
        finally:
            try:
                self.recorder.close()
            finally:
                self.connections.close()

    def _release_shelves(self) -> None:
        """Write what waits for logs, and close all files of assets."""
        try:
            for shelf in tuple(self.opened):
                shelf.release()
        finally:
            self.shelves.clear()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_store(
    root: str | PathLike[str],
    *,
    durability: Durability = "normal",
    busy_timeout: float = 30.0,
    max_bytes: int | None = None,
    limits: Limits | None = None,
    create: bool = True,
    read_only: bool = False,
) -> Store:
    """Open the database `<root>/trouper.db`; make it if it is not there.

    Args:
        durability: "normal": what is written survives the death of the process; "full": also the
            loss of power.
        busy_timeout: seconds that a write waits for those of other processes.
        max_bytes: bound of the database file; None: as the disk allows.
        create: False: refuse a folder that is no workspace yet.
        read_only: nothing is written, not even the folder of a workspace.

    Raises:
        StoreError: it can't be opened; nothing was changed.
    """
    path = Path(root).absolute() / DATABASE
    if not create and not os.path.exists(path):  # Path's own raises if that can't be told
        raise NoWorkspace(
            f"there is no workspace at {str(path.parent)!r}: no {DATABASE} in it; give the folder "
            "that a run was recorded in, or start a run there"
        )
    place = Place(
        path=path,
        durability=durability,
        busy_timeout=busy_timeout,
        max_bytes=max_bytes,
        read_only=read_only,
    )
    return _store(Connections(place), limits or Limits())


def _store(connections: Connections, limits: Limits) -> Store:
    connections.get()  # what is wrong with the place is told now
    runs = Runs(connections=connections, limits=limits)
    actions = Actions(connections=connections, limits=limits)
    cache = Cache(connections=connections, limits=limits)
    return Store(
        path=connections.place.path,
        limits=limits,
        connections=connections,
        runs=runs,
        actions=actions,
        results=Results(connections=connections, limits=limits),
        cache=cache,
        flights=SingleFlight(cache=cache),
        assets=AssetIndex(connections=connections),
        recorder=Recorder(actions=actions, runs=runs, cache=cache, limits=limits),
    )
