"""Whose a record of `logging` is: run, action, actor and attempt, wherever it is made.

Read from context variables, so it is right in tasks, in helpers, and in the threads that they start
through trio. The record carries it as attributes, and in its `__dict__` as soon as it is formatted:
not before, for `extra={"attempt": 3}` is an error of the standard library if that is there already.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...actors._actor_context import ActorContext
from ...actors._current import current_context
from ..tasks._action import CallContext


class Stamp(NamedTuple):
    """Where in which run."""

    run: str
    action: str = ""
    """Name of the action; "": none of the run's, as when its supervisor speaks."""
    actor: str = ""
    """The node of the graph, or the task that was called."""
    attempt: int = 0
    """From 1: of the call, or at the message in hand. 0: not known."""


def stamp_here(run: str) -> Stamp:
    """Return the stamp of what runs here.

    Args:
        run: its name, where no task runs.
    """
    context = current_context.get()
    if context is None:
        return Stamp(run)
    action = context.action
    if type(context) is CallContext:
        call = context.call
        return Stamp(action.run_name, call.name, call.task, call.attempts)
    message = context.message if isinstance(context, ActorContext) else None
    attempt = 0 if message is None else message.attempt
    return Stamp(action.run_name, action.name, action.name, attempt)


class StampedRecord(logging.LogRecord):
    """A record with the attributes `run`, `action`, `actor` and `attempt`."""

    trouper_stamp: Stamp

    def __getattr__(self, name: str) -> Any:
        # Reached only by what is not in `__dict__`.
        if name in Stamp._fields:
            return getattr(self.trouper_stamp, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def getMessage(self) -> str:
        # Every formatter asks for this before it fills in `%(run)s`.
        for name, value in self.trouper_stamp._asdict().items():
            self.__dict__.setdefault(name, value)
        return super().getMessage()

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process or the copy of a queue it goes as a plain record.
        return logging.makeLogRecord, ({**self.trouper_stamp._asdict(), **self.__dict__},)


def put_stamp(record: logging.LogRecord, stamp: Stamp) -> None:
    """Let a record carry a stamp; of whatever class it is."""
    record.__class__ = _stamped(type(record))
    record.__dict__["trouper_stamp"] = stamp


def stamp_of(record: logging.LogRecord) -> Stamp | None:
    stamp: Stamp | None = record.__dict__.get("trouper_stamp")
    return stamp


_classes: dict[type[logging.LogRecord], type[logging.LogRecord]] = {
    logging.LogRecord: StampedRecord,
    StampedRecord: StampedRecord,
}


def _stamped(kind: type[logging.LogRecord]) -> type[logging.LogRecord]:
    """Return a class of records that a program has made its own, with our attributes."""
    known = _classes.get(kind)
    if known is None:
        known = _classes[kind] = type(kind.__name__, (StampedRecord, kind), {})
    return known


_USUAL = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "trouper_stamp"))
"""Attributes of every record."""


def extra_of(record: logging.LogRecord, stamp: Stamp) -> Mapping[str, Any]:
    """Return what a record was given by `extra=`; also what has the name of a stamp's field."""
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _USUAL and (key not in Stamp._fields or value != getattr(stamp, key))
    }
