"""How SQLite's words become ours. Apart from the errors, because apsw is loaded late."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ._errors import (
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)

_WORDS: tuple[tuple[tuple[type[apsw.Error], ...], type[StoreError], str], ...] = (
    (
        (apsw.ReadOnlyError, apsw.PermissionsError),
        StoreReadOnly,
        "may not be written; check the rights of the file and its folder, or choose another "
        "place with TROUPER_HOME",
    ),
    (
        (apsw.CantOpenError,),
        StoreReadOnly,
        "can't be opened; check that its folder is there and may be written",
    ),
    (
        (apsw.FullError,),
        StoreFull,
        "is full; free some space on the disk, or allow more with storage.max_bytes. What was "
        "written before is kept",
    ),
    (
        (apsw.IOError,),
        StoreError,
        "could not be written or read; look after the disk. What was written before is kept",
    ),
    (
        (apsw.BusyError, apsw.LockedError),
        StoreBusy,
        "was written by other processes all the time; try again, or raise storage.busy_timeout",
    ),
    (
        (apsw.NotADBError, apsw.CorruptError, apsw.FormatError),
        StoreDamaged,
        "is no sound SQLite database; move it away, or put a backup in its place",
    ),
    (
        (apsw.ConnectionClosedError, apsw.CursorClosedError),
        StoreClosed,
        "was closed; open it again with open_store",
    ),
)


@contextmanager
def in_our_words(path: Path) -> Generator[None, None, None]:
    """Turn what apsw raises inside into a `StoreError` that names the file and the fix."""
    try:
        yield
    except apsw.Error as error:
        raise translated(error, path) from error


def translated(error: apsw.Error, path: Path) -> StoreError:
    """Return our error for one of apsw's."""
    for kinds, ours, words in _WORDS:
        if isinstance(error, kinds):
            return ours(f"the database {str(path)!r} {words} ({error})")
    return StoreError(f"the database {str(path)!r} failed: {type(error).__name__}: {error}")
