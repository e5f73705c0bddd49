"""Log lines on the terminal, above the live picture and not through it."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ._cli_text import plain_lines
from .logs._terminal import said_by


class LineHandler(logging.Handler):
    """Gives each record to `say`, line by line, each harmless for a terminal."""

    is_for_the_terminal = True
    """A run that prints its records itself is not printed once more."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in plain_lines(self.format(record)):
                self._say(line)
        except Exception:  # as every handler of the standard library: a log line breaks nothing
            self.handleError(record)


@contextmanager
def log_lines(say: Callable[[str], None]) -> Generator[None, None, None]:
    """Show warnings, whoever logs them. A program that has set up logging itself keeps its own."""
    root = logging.getLogger()
    with said_by(say):  # what runs print by themselves
        if root.handlers:
            yield
            return
        handler = LineHandler(say)
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
