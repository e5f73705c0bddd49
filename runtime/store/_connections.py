"""One SQLite connection for each thread, opened when it is first needed.

Rule 1: a connection is used by the thread that opened it; only `close` touches those of others.
Rule 2: none passes a fork: the child opens its own, and leaves the parent's alone.
Rule 3: what is committed survives `kill -9`; with durability "full" also the loss of power.
"""

import errno
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import quote
from weakref import WeakSet

import apsw
from attrs import define, field, frozen

from ._database import Database
from ._errors import NoWorkspace, StoreBusy, StoreClosed, StoreFull, StoreReadOnly
from ._schema import check_version, migrate
from ._translation import in_our_words

Durability = Literal["normal", "full"]

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_making = threading.Lock()
"""To close a file takes away the locks that SQLite has on it, if another thread of this process was
quick to open it: so it is opened only after it was made and closed."""


def _make_anew_in_child() -> None:
    global _making
    _making = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_make_anew_in_child)
_inherited: list[object] = []
"""Connections from before a fork. Closing one in the child could remove the parent's log."""


@frozen(kw_only=True)
class Place:
    """Which database, and how it is opened."""

    path: Path
    durability: Durability = "normal"
    busy_timeout: float = 30.0
    """Seconds that a write waits for those of other processes."""
    max_bytes: int | None = None
    """Of the database file; None: as the disk allows."""
    read_only: bool = False

    def __attrs_post_init__(self) -> None:
        if self.durability not in get_args(Durability):
            raise ValueError(
                f"durability can't be {self.durability!r}; 'normal' survives the death of the "
                "process, 'full' also the loss of power"
            )
        if not 0 <= self.busy_timeout < 1e6:
            raise ValueError(f"busy_timeout must be 0 s or more, got {self.busy_timeout!r}")
        if self.max_bytes is not None and self.max_bytes < 1 << 20:
            raise ValueError(f"max_bytes must be at least 1 MiB (1048576), got {self.max_bytes!r}")


class _Mine(threading.local):
    """The connection of this thread, and the process that opened it."""

    db: Database | None = None
    pid: int = 0


@define(eq=False)
class Connections:
    """The connections of one process to one database."""

    place: Place
    _mine: _Mine = field(factory=_Mine, init=False)
    _all: "WeakSet[Database]" = field(factory=WeakSet, init=False)
    _pid: int = field(factory=os.getpid, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _write_lock: threading.Lock = field(factory=threading.Lock, init=False)
    is_closed: bool = field(default=False, init=False)
    _file: tuple[int, int] | None = field(default=None, init=False)
    """Device and number of the file that was opened last."""

    def is_in_place(self) -> bool:
        """Return whether that is still the one at its path."""
        return self._file is not None and self._file == _file_at(self.place.path)

    def get(self) -> Database:
        """Return the connection of this thread.

        Raises:
            StoreError: it can't be opened.
        """
        pid = os.getpid()
        if self._mine.db is not None and self._mine.pid == pid and not self.is_closed:
            return self._mine.db
        return self._fresh(pid)

    def _fresh(self, pid: int) -> Database:
        if self.is_closed:
            raise StoreClosed(
                f"the database {str(self.place.path)!r} was closed; open it again with open_store"
            )
        if self._pid != pid:
            self._start_again(pid)
        db = connect(self.place)
        with self._guard:
            self._all.add(db)
            self._file = _file_at(self.place.path)
        self._mine.db, self._mine.pid = db, pid
        return db

    def _start_again(self, pid: int) -> None:
        """Begin anew in a child process: its locks may have been held when it was forked."""
        _inherited.extend([*self._all, self._mine])
        self._mine, self._all = _Mine(), WeakSet()
        self._guard, self._write_lock = threading.Lock(), threading.Lock()
        self._pid = pid

    @contextmanager
    def reading(self) -> Generator[Database, None, None]:
        """Give a connection whose statements all see one state of the database."""
        with in_our_words(self.place.path):
            db = self.get()
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Generator[Database, None, None]:
        """Give a connection inside a transaction: committed at the end, or nothing of it was.

        Threads of one process come one after another here, so that SQLite's own waiting, which
        sleeps and looks again, is only for other processes.
        """
        with in_our_words(self.place.path):
            db = self.get()
            with self._write_lock:
                try:  # Ctrl-C may come behind any statement
                    db.execute("BEGIN IMMEDIATE")
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    # A disk that is full ends the transaction by itself.
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise

    def close(self) -> None:
        """Close the connections of all threads; none of them may be at work. May be repeated."""
        if self._pid != os.getpid():
            self._start_again(os.getpid())
        self.is_closed = True
        with self._guard:
            opened, self._all = list(self._all), WeakSet()
        for db in opened:
            db.close()
        self._mine.db = None


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(place: Place) -> Database:
    """Open the database; make it, its folder and its tables if they are not there.

    Raises:
        StoreError: it can't be opened; the text says why and what to do.
    """
    if place.read_only:
        return _connect_read_only(place)
    _make_file(place.path)
    with in_our_words(place.path):
        db = _opened(str(place.path), apsw.SQLITE_OPEN_READWRITE)
        try:
            _prepare(db, place)
        except BaseException:
            db.close()
            raise
    return db


def _opened(name: str, flags: int) -> Database:
    return cast("Database", apsw.Connection(name, flags=flags))


def _prepare(db: Database, place: Place) -> None:
    db.set_busy_timeout(int(place.busy_timeout * 1000))
    check_version(db, place.path)
    _log_ahead(db, place)
    db.pragma("synchronous", "FULL" if place.durability == "full" else "NORMAL")
    db.pragma("foreign_keys", True)
    # What the log grew to in a burst is given back.
    db.pragma("journal_size_limit", 64 << 20)
    if place.max_bytes is not None:
        db.pragma("max_page_count", place.max_bytes // int(db.pragma("page_size")))
    migrate(db, place.path)


def _log_ahead(db: Database, place: Place) -> None:
    """Switch to WAL. SQLite does not wait for others there, so this does."""
    until = time.monotonic() + place.busy_timeout
    while True:
        try:
            mode = db.pragma("journal_mode", "wal")
        except apsw.BusyError as error:
            if time.monotonic() > until:
                raise StoreBusy(
                    f"the database {str(place.path)!r} is held by another process; try again"
                ) from error
            time.sleep(0.005)
            continue
        if mode != "wal":
            raise StoreReadOnly(
                f"the database {str(place.path)!r} can't keep a write-ahead log ({mode} instead); "
                "put the workspace on a local disk"
            )
        return


def _connect_read_only(place: Place) -> Database:
    if not os.path.isfile(place.path):  # Path's own raises where a folder may not be searched
        raise NoWorkspace(_not_there(place.path))
    with in_our_words(place.path):
        db = _open_to_read(place.path)
        try:
            db.set_busy_timeout(int(place.busy_timeout * 1000))
            if check_version(db, place.path) == 0:
                raise NoWorkspace(f"{str(place.path)!r} is empty; nothing was ever recorded there")
        except BaseException:
            db.close()
            raise
    return db


def _open_to_read(path: Path) -> Database:
    db = _opened(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        db.pragma("user_version")
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        db.close()
        if any(path.parent.glob(f"{path.name}-wal")):
            raise
        # No log, and none can be made here: the file is all there is, and nobody changes it.
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return _opened(f"file:{quote(str(path.absolute()))}?immutable=1", flags)
    return db


def _not_there(path: Path) -> str:
    return (
        f"there is no workspace at {str(path.parent)!r}: no {path.name} in it; give the folder "
        "that a run was recorded in, or start a run there"
    )


def _make_file(path: Path) -> None:
    """Make folder and file so that nobody else may read them; leave alone what is there."""
    with _making:
        _make_file_once(path)


def _make_file_once(path: Path) -> None:
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        # SQLite gives its log and index the mode of the database.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
    except FileExistsError:
        if not path.parent.is_dir():
            raise StoreReadOnly(
                f"the workspace {str(path.parent)!r} is a file; name a folder"
            ) from None
        if path.is_dir():
            raise StoreReadOnly(f"{str(path)!r} is a folder; the database can't be there") from None
    except NotADirectoryError as error:
        raise StoreReadOnly(
            f"the workspace {str(path.parent)!r} lies below a file; name another folder"
        ) from error
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (StoreFull if is_full else StoreReadOnly)(
            f"the database {str(path)!r} can't be made: {error.strerror}; "
            f"{'free some space' if is_full else 'check the rights'} there, or choose another "
            "place with TROUPER_HOME"
        ) from error
    else:
        os.close(descriptor)
