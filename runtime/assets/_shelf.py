"""The assets of one scope: writes files, then their records.

Rule 1: first the file is there whole, then the line in the manifest; what has no line is no asset.
Rule 2: the file system decides who gets a version: a name is given to a file once. Of what lies in
a bucket who holds the lock of the manifest does.
Rule 3: the catalog is told at times, and whoever asks it brings it up to date before.
"""

import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from ..io._location import Location
from ..store._asset_rows import AssetQuery, Changes, Found
from ..store._errors import StoreError
from ..store._store import Store
from ._bucket import BucketIncoming
from ._changes import changes_behind
from ._contents import Contents, mime_of
from ._errors import ManifestDamaged
from ._incoming import Incoming
from ._log_buffer import LogBuffer
from ._manifest import MANIFEST, Manifest
from ._names import file_of, place_of
from ._records import KINDS, SIZED, Asset, Producer, Use, placed, record_of
from ._scope import Scope, ScopeKind, key_of, kind_of

A = TypeVar("A", bound=Asset)
AnyIncoming = Incoming | BucketIncoming

INDEX_EVERY = 256
"""Records after which the catalog is told, so that nobody who asks it has to wait for long."""

_MOST_NAMES = 10_000
"""Names whose last version is remembered; of others the catalog is asked."""

_HAVE_A_HOME = ("artifact", "checkpoint")

FOLDERS = {
    "artifact": "artifacts",
    "checkpoint": "checkpoints",
    "error_trace": "errors",
    "execution_state": "states",
    "output": "outputs",
    "log": "logs",
    "data": "data",
}
_count = itertools.count()
_process = secrets.token_hex(6)


def _begin_in_child() -> None:
    global _process
    _process = secrets.token_hex(6)


os.register_at_fork(after_in_child=_begin_in_child)


def new_id() -> str:
    """Return an id that no other asset has; those of one process sort by time."""
    return f"{time.time_ns():016x}{next(_count) & 0xFFFF:04x}{_process}"


@define(eq=False, kw_only=True)
class Shelf:
    """Any thread of any process may use it; `shelf_of(scope)` gives the one of a scope."""

    key: str
    """The scope's folder, relative to the workspace."""
    kind: ScopeKind
    path: Path
    store: Store
    is_durable: bool
    root: str = field(init=False)
    """`path`, as the system takes it."""
    home: str = field(init=False)
    """Where the content of artifacts and checkpoints goes: `root`, unless a run was given another
    place for its data."""
    bucket: Location | None = field(default=None, init=False)
    """Where it goes instead, if that place is in a bucket."""
    manifest: Manifest = field(init=False)
    _last: dict[tuple[str, str], int] = field(factory=dict[tuple[str, str], int], init=False)
    """(kind, name) -> the last version that this process knows of."""
    _is_fresh: bool | None = field(default=None, init=False)
    """Whether there was no asset when this process made its first; None: it has made none."""
    _untold: int = field(default=0, init=False)
    """Records that the catalog was not told of yet."""
    told_damage: str = field(default="", init=False)
    """The damage of the manifest that was logged last."""
    _logs: dict[str, LogBuffer] = field(factory=dict[str, LogBuffer], init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.root = self.home = str(self.path)
        self.manifest = Manifest(
            self.path / MANIFEST, is_durable=self.is_durable, on_open=self._begin
        )

    def _begin(self) -> None:
        self.store.assets.open_manifest(self.key, self.kind)
        self.store.opened.add(self)

    # -- writing -----------------------------------------------------------------------------

    def save(
        self,
        kind: str,
        name: str,
        contents: Contents,
        *,
        producer: Producer,
        tags: Sequence[str] = (),
        mime: str | None = None,
        suffix: str = "",
        **more: Any,
    ) -> Any:
        """Write a new version and record it; return its record.

        Raises:
            AssetError: it can't be; nothing half-written is left.
        """
        file_of(name)  # refused before anything is read
        with closing(self.incoming(kind, name, suffix)) as file:
            file.write_all(contents.chunks)
            return self.publish(
                kind,
                name,
                file,
                suffix=suffix,
                form=contents.form,
                mime=mime or mime_of(name, contents.form),
                tags=tuple(tags),
                producer=producer,
                **more,
            )

    def incoming(self, kind: str, name: str, suffix: str = "") -> AnyIncoming:
        """Begin what will be a version, where such assets have their content."""
        if self.bucket is not None and kind in _HAVE_A_HOME:
            folder = self.bucket / FOLDERS[kind]
            return BucketIncoming(folder, new_id(), f"{file_of(name)}{suffix}")
        return Incoming(f"{self.home_of(kind)}/{FOLDERS[kind]}", is_durable=self.is_durable)

    def publish(
        self, kind: str, name: str, file: AnyIncoming, *, suffix: str = "", **more: Any
    ) -> Any:
        """Give what was written a version, and record it."""
        if isinstance(file, Incoming):
            at = self.settle(file, kind, name, self.last_version(kind, name) + 1, suffix)
            asset = SIZED[kind](name=name, **at, **more)
            self.append(asset)
        else:
            with file.whole(), self.manifest.alone() as add:
                last = self.newest(name, (kind,))
                at = self.settle(file, kind, name, 1 if last is None else last.version + 1)
                asset = SIZED[kind](name=name, **at, **more)
                add(asset)
            self.tell_soon(1)
        return self.placed(asset)

    def settle(
        self, file: AnyIncoming, kind: str, name: str, version: int, suffix: str = ""
    ) -> dict[str, Any]:
        """Give what was written this version, or the next that is free; return what to record."""
        if isinstance(file, Incoming):
            folder, home = FOLDERS[kind], self.home_of(kind)
            while not file.publish(f"{home}/{(place := place_of(folder, name, version, suffix))}"):
                version += 1
            id, place = new_id(), self.recorded(kind, place)
        else:
            id, place = file.id, file.place.uri
        self.note_version(kind, name, version)
        return {
            "id": id,
            "version": version,
            "created": time.time(),
            "file": place,
            "size": file.size,
            "hash": file.hash,
        }

    def home_of(self, kind: str) -> str:
        """Return the folder below which assets of a kind have their content."""
        return self.home if kind in _HAVE_A_HOME else self.root

    def recorded(self, kind: str, place: str) -> str:
        """Return a place below that folder as it is recorded: relative, or outside absolute."""
        home = self.home_of(kind)
        return place if home == self.root else f"{home}/{place}"

    def note_version(self, kind: str, name: str, version: int) -> None:
        """Remember which version is the last; of those named longest ago, forget it."""
        self._last[kind, name] = version
        if len(self._last) > _MOST_NAMES:
            self._last.pop(next(iter(self._last)), None)

    def placed(self, asset: A) -> A:
        """Return a record that was just made, at its place."""
        return placed(asset, self.root, self.key)

    def append(self, *records: Asset | Use) -> None:
        """Add records to the manifest, and tell the catalog at times."""
        self.manifest.append(*records)
        self.tell_soon(len(records))

    def tell_soon(self, records: int) -> None:
        """Count records that the catalog does not know of, and tell it when there are many."""
        with self._guard:
            self._untold += records
            if self._untold < INDEX_EVERY:
                return
            self._untold = 0
        # They are kept, whatever the catalog says; who asks it is told of its trouble.
        with suppress(StoreError, ManifestDamaged):
            self.index()

    def last_version(self, kind: str, name: str) -> int:
        """Return the highest version that is known of; another process may have a higher one."""
        known = self._last.get((kind, name))
        if known is not None:
            return known
        if self._is_fresh is None:
            self._is_fresh = manifest_size(self.path) == 0
            self.catch_up()
        # What others have recorded since then has a file, and is noticed by that.
        row = None if self._is_fresh else self.store.assets.newest(self.key, name, (kind,))
        return 0 if row is None else int(self._asset_of(row).version)

    # -- the catalog -------------------------------------------------------------------------

    def index(self, *, close: bool = False) -> None:
        """Tell the catalog all that the manifest says."""
        self.store.assets.index(self.key, self.kind, self._behind, close=close)

    def index_anew(self) -> None:
        """Tell it so even of what it knows already."""
        self.store.assets.index(self.key, self.kind, lambda _token, _size: self._behind("", 0))

    def _behind(self, token: str, size: int) -> Changes | None:
        return changes_behind(self.path / MANIFEST, token, size)

    def catch_up(self) -> None:
        """Do so if there is more than it knows, and it may be written."""
        if self.store.connections.place.read_only:
            return
        if manifest_size(self.path) != self.store.assets.indexed(self.key):
            self.index()

    def log_buffer(self, place: str, on_first: Callable[[], None]) -> LogBuffer:
        """Return the lines of a log that wait: one buffer for all who append in this process.

        Args:
            on_first: records that there is such a log.
        """
        found = self._logs.get(place)
        if found is None:
            fresh = LogBuffer(
                self.path / place,
                is_durable=self.is_durable,
                on_first=on_first,
                on_open=lambda: self.store.opened.add(self),
            )
            # Two threads may come here at once; one of the two is kept.
            found = self._logs.setdefault(place, fresh)
        return found

    def flush_logs(self) -> None:
        """Write what waits of all logs.

        Raises:
            AssetError: some can't be written.
        """
        for log in tuple(self._logs.values()):
            log.flush()

    def close(self) -> None:
        """Write the manifest anew, one line for each asset, once nobody adds to it any more.

        Who adds again later begins anew; nothing is lost by it.
        """
        self.flush_logs()
        if manifest_size(self.path):
            self.manifest.compact()
            self.index(close=True)
        with self._guard:
            self._untold = 0
        self.release()
        # Who wants it again gets a fresh one; who has it may go on with this one.
        if self.store.shelves.get(self.key) is self:
            self.store.shelves.pop(self.key, None)

    def release(self) -> None:
        """Write what waits for logs, and close all files; who goes on opens them again."""
        self.store.opened.discard(self)
        try:
            for log in tuple(self._logs.values()):
                log.close()
        finally:
            self.manifest.close()

    # -- reading -----------------------------------------------------------------------------

    def newest(self, name: str, kinds: Sequence[str] = (), *, version: int | None = None) -> Any:
        """Return the newest asset of a name, or a version of it; None: there is none."""
        file_of(name)
        self.catch_up()
        row = self.store.assets.newest(self.key, name, kinds or KINDS, version)
        return None if row is None else self._asset_of(row)

    def select(self, query: AssetQuery) -> list[Any]:
        return [self._asset_of(each) for each in self.store.assets.select(query)]

    def _asset_of(self, row: Found) -> Any:
        return asset_of(row, self.store.path.parent)


def asset_of(row: Found, root: Path) -> Any:
    """Return what a row of the catalog tells, at its place."""
    asset = record_of(row.record.encode())
    assert not isinstance(asset, Use)
    return placed(asset, os.path.join(root, row.scope) if row.scope else str(root), row.scope)


def manifest_size(folder: Path) -> int:
    """Return the bytes of a scope's manifest; 0: there is none."""
    try:
        return os.stat(folder / MANIFEST).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


# -- the shelves of this process ------------------------------------------------------------------


def shelf_of(scope: Scope) -> Shelf:
    """Return the shelf of a scope."""
    return shelf_at(scope.store, key_of(scope))


def shelf_at(store: Store, key: str) -> Shelf:
    """Return the shelf of what lies at a path relative to the workspace; one for each store."""
    found = store.shelves.get(key)
    if isinstance(found, Shelf):
        return found
    kind = kind_of(key)
    assert kind is not None, key
    fresh = Shelf(
        key=key,
        kind=kind,
        path=store.path.parent / key,
        store=store,
        is_durable=store.connections.place.durability == "full",
    )
    # Two threads may come here at once; one of the two is kept.
    kept = store.shelves.setdefault(key, fresh)
    assert isinstance(kept, Shelf)
    return kept
