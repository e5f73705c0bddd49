"""Tap the loggers while runs go on, and leave them as they were found.

Rule 1: what is no run's own goes where it would have gone, and nothing more of it.
Rule 2: a run that preserves the root logger touches only the logger `trouper`.
Rule 3: a record that is not wanted, but which a lowered level has let pass, is put below the level
of every handler: that is one place, whoever's handlers there are.
"""

import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from ._run_logs import RunLogs, current_logs
from ._stamp import put_stamp, stamp_of

_UNWANTED = -1
"""Below NOTSET: no handler takes it."""


class _RunHandler(logging.Handler):
    """Hands each record to its run."""

    def __init__(self, *, preserving: bool) -> None:
        super().__init__()
        self._preserving = preserving

    def emit(self, record: logging.LogRecord) -> None:
        logs, stamp = current_logs.get(), stamp_of(record)
        if logs is None or stamp is None or logs.preserves_root is not self._preserving:
            return
        try:
            logs.take(record, stamp)
        except Exception:  # as every handler of the standard library: a log line breaks nothing
            self.handleError(record)


def _is_of_a_run_that_prints(record: logging.LogRecord) -> bool:
    logs = current_logs.get()
    return logs is not None and logs.prints and not logs.preserves_root


def _not_shown_by_a_run(record: logging.LogRecord) -> bool:
    """Filter of the program's handlers for the terminal: what a run prints is not printed twice."""
    return not _is_of_a_run_that_prints(record)


class Tap:
    """What is changed at one logger while runs go on."""

    def __init__(self, logger: logging.Logger, *, preserving: bool) -> None:
        self.logger = logger
        self._handler = _RunHandler(preserving=preserving)
        self._runs: list[RunLogs] = []
        self._filtered: list[logging.Handler] = []
        self._found = logging.NOTSET
        self._lowered: int | None = None
        """The level that we have set; None: we have not."""

    @property
    def is_lowered(self) -> bool:
        return self._lowered is not None

    @property
    def found(self) -> int:
        """The level that the program has given the logger."""
        return self.logger.level if self._lowered is None else self._found

    def add(self, logs: RunLogs) -> None:
        root = logging.getLogger()
        others = [each for each in root.handlers if not isinstance(each, _RunHandler)]
        logs.prints = logs.is_asked_for or not others
        if logs.is_asked_for and self.logger is root:
            for handler in filter(_is_for_the_terminal, others):
                if _not_shown_by_a_run not in handler.filters:
                    handler.addFilter(_not_shown_by_a_run)
                    self._filtered.append(handler)
        self._runs.append(logs)
        # A program may have removed it, by `basicConfig(force=True)`.
        self.logger.addHandler(self._handler)
        self._set_level()

    def remove(self, logs: RunLogs) -> None:
        self._runs.remove(logs)
        self._set_level()
        if not self._runs:
            self.logger.removeHandler(self._handler)
            for handler in self._filtered:
                handler.removeFilter(_not_shown_by_a_run)
            self._filtered.clear()

    def _set_level(self) -> None:
        """Let pass what the most talkative of the runs wants, and what came through before."""
        if self._lowered is None or self.logger.level != self._lowered:
            # Set by nobody but the program.
            self._found, self._lowered = self.logger.level, None
        asked = [each.level for each in self._runs if each.level is not None]
        before = self._level_before()
        wanted = min(asked, default=before)
        if wanted < before:
            self._lowered = max(wanted, 1)
            self.logger.setLevel(self._lowered)
        elif self._lowered is not None:
            self._lowered = None
            self.logger.setLevel(self._found)

    def _level_before(self) -> int:
        """Return the level that holds at the logger without us."""
        if self._found or self.logger.parent is None:
            return self._found
        return self.logger.parent.getEffectiveLevel()

    def wants(self, name: str, level: int, logs: RunLogs | None) -> bool:
        """Tell whether a record is to reach handlers; asked only while the level is lowered, or
        for a run that has a level of its own."""
        least = self._level_before()
        if logs is not None and logs.level is not None:
            least = logs.level
        return level >= least or not self._decides(name)

    def _decides(self, name: str) -> bool:
        """Tell whether a logger takes its level from this one."""
        logger: logging.Logger | None = _logger(name)
        while logger is not None and logger is not self.logger:
            if _taps.level_of(logger):
                return False
            logger = logger.parent
        return logger is not None


def _logger(name: str) -> logging.Logger:
    root = logging.getLogger()
    found = root.manager.loggerDict.get(name)
    return found if isinstance(found, logging.Logger) else root


def _is_for_the_terminal(handler: logging.Handler) -> bool:
    if getattr(handler, "is_for_the_terminal", False):
        return True
    stream: Any = getattr(handler, "stream", None)
    if stream is None:  # as that of rich
        stream = getattr(getattr(handler, "console", None), "file", None)
    return stream is not None and stream in (
        sys.stderr,
        sys.stdout,
        sys.__stderr__,
        sys.__stdout__,
    )


class _Factory:
    """Makes records: those of a run with its stamp."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, name: str, level: int, *args: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._before(name, level, *args, **named)
        if self is not _taps.factory or level is None:  # pyright: ignore[reportUnnecessaryComparison]  # `makeLogRecord` gives None
            return record
        logs = current_logs.get()
        if logs is not None:
            put_stamp(record, logs.stamp())
        if not _taps.wants(name, level, logs):
            record.levelno = _UNWANTED
        return record


class _Taps:
    """Both taps, and the factory of records, of this process."""

    def __init__(self) -> None:
        self.factory: _Factory | None = None
        self._root = Tap(logging.getLogger(), preserving=False)
        self._own = Tap(logging.getLogger("trouper"), preserving=True)
        self._before: Any = None
        self._runs = 0
        self._lock = threading.Lock()

    def add(self, logs: RunLogs) -> None:
        with self._lock:
            if self.factory is None:
                self._before = logging.getLogRecordFactory()
                self.factory = _Factory(self._before)
                logging.setLogRecordFactory(self.factory)
            self._runs += 1
            self._of(logs).add(logs)

    def remove(self, logs: RunLogs) -> None:
        with self._lock:
            self._of(logs).remove(logs)
            self._runs -= 1
            if self._runs:
                return
            # One that a program has put over ours stays, and finds ours retired.
            if logging.getLogRecordFactory() is self.factory:
                logging.setLogRecordFactory(self._before)
            self.factory = None

    def wants(self, name: str, level: int, logs: RunLogs | None) -> bool:
        for tap in (self._own, self._root):
            own = logs if logs is not None and self._of(logs) is tap else None
            has_level = own is not None and own.level is not None
            if (tap.is_lowered or has_level) and not tap.wants(name, level, own):
                return False
        return True

    def level_of(self, logger: logging.Logger) -> int:
        """Return the level that a program has given a logger."""
        return self._own.found if logger is self._own.logger else logger.level

    def _of(self, logs: RunLogs) -> Tap:
        return self._own if logs.preserves_root else self._root


_taps = _Taps()


@contextmanager
def tapped(logs: RunLogs) -> Generator[RunLogs, None, None]:
    """Let what runs inside of the block log as a run: in this task and all that it starts."""
    _taps.add(logs)
    token = current_logs.set(logs)
    try:
        yield logs
    finally:
        with suppress(ValueError):  # its end may come in another context, which never had it
            current_logs.reset(token)
        _taps.remove(logs)
        logs.close()
