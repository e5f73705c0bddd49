"""What one run says: how it is shown, and what is kept of it."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from ._file import LogFile
from ._line import LogLine, line_of
from ._locks import Locking
from ._stamp import Stamp, stamp_here
from ._terminal import say

LogFormat = Literal["console", "json"]

MOST_LINES = 10_000
"""Lines that are kept in memory of one run; older ones fall out."""


class LogLines(tuple[LogLine, ...]):
    """Lines in the order in which they were logged."""

    fallen_out: int = 0
    """Older lines that are no longer there, as far as known."""

    def __new__(cls, lines: Iterable[LogLine] = (), fallen_out: int = 0) -> "LogLines":
        made = super().__new__(cls, lines)
        made.fallen_out = fallen_out
        return made


class RunLogs(Locking):
    """The logging of one run. Made with it, used from any thread."""

    def __init__(self, run: str, given: Mapping[str, Any], *, most: int = MOST_LINES) -> None:
        """Decide what holds for the run.

        Args:
            given: its parameters, those that were said; `log_level`, `log_format` and
                `reset_root_logger` are looked at.
        """
        super().__init__()
        self.run = run
        self.level: int | None = given.get("log_level")
        """Its records below that are dropped; None: as the root logger has it."""
        self.format: LogFormat = given.get("log_format", "console")
        self.preserves_root: bool = given.get("reset_root_logger", False)
        self.is_asked_for = "log_level" in given or "log_format" in given
        """Whether it was said how it is to be; else a program that set up logging keeps its own."""
        self.prints = True
        self.incarnation_of: Callable[[str], int] | None = None
        """Of a node of its graph, by name."""
        self._lines: deque[LogLine] = deque(maxlen=most)
        self._taken = 0
        self._file: LogFile | None = None

    def keep_in(self, folder: Path) -> None:
        """Write the lines into a folder as well, from the first one on."""
        self._file = LogFile(folder)

    def stamp(self) -> Stamp:
        """Return the stamp of what runs here, in a task of this run or beside them."""
        stamp = stamp_here(self.run)
        if stamp.attempt == 0 and stamp.action and self.incarnation_of is not None:
            return stamp._replace(attempt=self.incarnation_of(stamp.action))
        return stamp

    def take(self, record: logging.LogRecord, stamp: Stamp) -> None:
        """Keep a record and print it, if that is wanted."""
        if self.level is not None and record.levelno < self.level:
            return
        line = line_of(record, stamp)
        with self._lock:
            self._lines.append(line)
            self._taken += 1
        self._write(line)
        if self.prints:
            say(line.as_json() if self.format == "json" else line.as_text())

    def _write(self, line: LogLine) -> None:
        if self._file is None:
            return
        try:
            self._file.append(line)
        except OSError as error:  # as on a full disk: the run goes on, and memory has the rest
            self._file.close()
            self._file = None
            say(f"run {self.run}: its records can't be written any more: {error}")

    def lines(self) -> LogLines:
        """Return what is kept, oldest first."""
        with self._lock:
            return LogLines(self._lines, self._taken - len(self._lines))

    def take_over(self, lines: Iterable[LogLine]) -> None:
        """Keep lines that were kept and printed elsewhere, as in a process of the run's own."""
        with self._lock:
            for line in lines:
                self._lines.append(line)
                self._taken += 1

    def close(self) -> None:
        """Let go of the file; it may be written to again."""
        if self._file is not None:
            self._file.close()


current_logs: ContextVar[RunLogs | None] = ContextVar("current_logs", default=None)
"""Of the run that goes on here: also where none of its tasks runs, as in a supervisor."""


LogLines.__module__ = "trouper"
