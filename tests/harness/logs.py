"""Logging as it is set up in a program, for as long as a test."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class Kept(logging.Handler):
    """A program's own handler, which keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def messages(self) -> list[str]:
        return [each.getMessage() for each in self.records]


@contextmanager
def root_logger(*handlers: logging.Handler, level: int = logging.WARNING) -> Generator[None]:
    """Give the root logger these handlers and no others: pytest has its own there."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers[:] = handlers
    root.setLevel(level)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


def state_of(logger: logging.Logger) -> tuple[Any, ...]:
    """Return all that a program may have set up at a logger, for comparison."""
    handlers = [(each, each.level, list(each.filters)) for each in logger.handlers]
    return (logger.level, handlers, list(logger.filters), logger.propagate, logger.disabled)


def stamp_on(record: Any) -> tuple[str, str, str, int]:
    """Return what a record carries, as a program's own handler reads it."""
    return (record.run, record.action, record.actor, record.attempt)
