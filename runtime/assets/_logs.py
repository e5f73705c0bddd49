"""`ctx.log(name)`: lines that tasks, threads and processes append, each at the same small cost."""

import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, Any

import trio

from ...actors._task_context import TaskContext
from ._log_buffer import LogBuffer
from ._names import place_of
from ._producing import Producing
from ._records import LogAsset
from ._shelf import FOLDERS, Shelf, new_id

_FOLDER = FOLDERS["log"]
_SUFFIX = ".log"
_BLOCK = 1 << 16
POLL = 0.1
"""Seconds between two looks of who follows a log."""


class Log:
    """One log of a scope. Any task, thread and process may append to it."""

    def __init__(
        self,
        shelf: Shelf,
        name: str,
        producing: Producing,
        context: TaskContext[Any, Any, Any] | None,
    ) -> None:
        self.name = name
        self._shelf = shelf
        self._place = place_of(_FOLDER, name, 1, _SUFFIX)
        self._producing = producing
        self._context = context
        self._buffer = buffer = shelf.log_buffer(self._place, self._record)
        self._lines = buffer.waiting

    def __repr__(self) -> str:
        return f"<log {self.name!r} at {str(self._buffer.path)!r}>"

    def append(self, line: str) -> None:
        """Add a line. It is on disk some 20 ms later, or when `flush` returns.

        Raises:
            TypeError: it is no str.
            AssetError: lines of before could not be written; they are kept, and tried again.
        """
        if line.__class__ is not str:
            line = _as_line(line)
        self._lines.append(line)
        if not self._buffer.is_awake:
            self._buffer.rouse()

    def flush(self) -> None:
        """Write what waits; it survives `kill -9` when this returns.

        Raises:
            AssetError: it can't be written; it is kept, and tried again.
        """
        self._buffer.flush()

    @property
    def asset(self) -> LogAsset | None:
        """The record of the log; None: nothing was ever appended."""
        found: LogAsset | None = self._shelf.newest(self.name, ("log",))
        return found

    def tail(self, lines: int = 10) -> list[str]:
        """Return the last lines, oldest first.

        Raises:
            ValueError: `lines` is below 0.
        """
        if lines < 0:
            raise ValueError(f"tail() takes 0 lines or more, got {lines}")
        self._buffer.flush()
        return tail_of(str(self._buffer.path), lines)

    def __iter__(self) -> Iterator[str]:
        """Give all lines that there are now."""
        self._buffer.flush()
        return iter(LogReader(str(self._buffer.path)).read())

    def follow(self, *, is_over: Callable[[], bool] | None = None, poll: float = POLL) -> "Follow":
        """Return what gives all lines, and then each that comes: with `for`, or `async for`.

        Args:
            is_over: says that no more will come; it ends when all were given. None: it goes on
                until it is left.
            poll: seconds between two looks.
        """
        return Follow(self._buffer, is_over, poll)

    def _record(self) -> None:
        """Record that there is a log, unless that was done before."""
        if self.asset is None:
            self._record_first()
        self._context = None  # what it holds is not kept for a log's sake

    def _record_first(self) -> None:
        record = LogAsset(
            id=new_id(),
            name=self.name,
            created=time.time(),
            file=self._place,
            form="text",
            mime="text/plain; charset=utf-8",
            producer=self._producing.producer(self._context),
        )
        # Alone, or two processes that begin at once would both record it.
        with self._shelf.manifest.alone() as add:
            if self.asset is None:
                add(record)
        self._shelf.tell_soon(1)


def _as_line(line: object) -> str:
    if isinstance(line, str):
        return str(line)  # of a subclass
    raise TypeError(f"log.append takes a str, got {line!r}; write str(...) or an f-string")


class LogReader:
    """Reads whole lines of a file, from where it was left."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def read(self) -> Iterator[str]:
        """Give the whole lines behind those that were given."""
        try:
            with open(self._path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._at:
                    self._at, self._rest = 0, b""  # it was begun anew
                file.seek(self._at)
                while block := file.read(_BLOCK):
                    self._at += len(block)
                    *whole, self._rest = (self._rest + block).split(b"\n")
                    for line in whole:
                        yield line.decode("utf-8", "replace")
        except FileNotFoundError:
            return


class Follow:
    """A log that is read while it grows."""

    def __init__(self, buffer: LogBuffer, is_over: Callable[[], bool] | None, poll: float) -> None:
        self._buffer = buffer
        self._is_over = is_over
        self._poll = poll
        self._reader = LogReader(str(buffer.path))

    def _next_lines(self) -> tuple[list[str], bool]:
        """Return what there is, and whether that was the last of it."""
        # Asked before: what comes while it is read belongs to it.
        is_over = self._is_over is not None and self._is_over()
        self._buffer.flush()
        return list(self._reader.read()), is_over

    def __iter__(self) -> Iterator[str]:
        while True:
            lines, is_over = self._next_lines()
            yield from lines
            if is_over:
                return
            time.sleep(self._poll)

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            lines, is_over = self._next_lines()
            for line in lines:
                yield line
            if is_over:
                return
            await trio.sleep(self._poll)


def tail_of(path: str, lines: int) -> list[str]:
    """Return the last whole lines of a file, oldest first; of a file that is not there, none."""
    if lines == 0:
        return []
    try:
        with open(path, "rb") as file:
            found = _read_back(file, lines)
    except FileNotFoundError:
        return []
    return [line.decode("utf-8", "replace") for line in found]


def _read_back(file: IO[bytes], lines: int) -> list[bytes]:
    at = file.seek(0, os.SEEK_END)
    blocks: deque[bytes] = deque()
    seen = 0
    # One newline more than lines: the one before the first of them.
    while at > 0 and seen <= lines:
        start = max(0, at - _BLOCK)
        file.seek(start)
        block = file.read(at - start)
        blocks.appendleft(block)
        seen += block.count(b"\n")
        at = start
    # What is behind the last newline is no whole line yet.
    return b"".join(blocks).split(b"\n")[:-1][-lines:]
