"""What may go wrong with stored values, each with its fix."""


class StorageError(OSError):
    """A value can't be written or read. Nothing half-written is to be seen."""


class NoStorage(RuntimeError):
    """There is no place for a value, because nothing said where the run's data goes."""


class MissingExtra(ImportError):
    """A library that only some need is not installed; the text names the extra that brings it."""


class ValueTooLarge(ValueError):
    """More was asked for at once than was allowed to be in memory."""


for _each in (StorageError, NoStorage, MissingExtra, ValueTooLarge):
    _each.__module__ = "trouper.io"
