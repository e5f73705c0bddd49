"""What may go wrong with the database; each error's text holds its fix."""


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


class RunNameTaken(StoreError, ValueError):
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
