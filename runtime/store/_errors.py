"""What may go wrong with the database, each with its fix; and how SQLite's words become ours."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw


class StoreError(Exception):
    """The database can't do what was asked. What was written before is still there."""


class NoWorkspace(StoreError):
    """There is no database of trouper where one was looked for."""


class NewerSchema(StoreError):
    """A newer trouper has written this database."""


class StoreReadOnly(StoreError):
    """The database or its folder may not be written."""


class StoreFull(StoreError):
    """The disk, or the bound that was set for the database, is full."""


class StoreBusy(StoreError):
    """Other processes wrote for longer than the busy timeout."""


class StoreDamaged(StoreError):
    """The file is no SQLite database, or is no longer a sound one."""


class StoreClosed(StoreError):
    """It was used after `close()`."""


class RunNameTaken(StoreError):
    """A run of this name is alive, or can't be known to be dead."""


class WrongPhase(StoreError):
    """What was asked for is not for a run in the phase that this one is in."""


class NotTheSame(StoreError):
    """What was said of a run or experiment is not what was recorded of it before."""


class NoSuchRun(StoreError):
    """No run of this name is recorded."""


class AmbiguousRun(NoSuchRun):
    """Several experiments have a run of this name."""


class ClaimLost(StoreError):
    """The execution has ended in the record: another process took this one for dead."""


class TooMuch(StoreError):
    """One more would be over the bound of its table; the text names the bound."""


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
