"""One stream of a node for any number of clients: server-sent events, kept for those who return.

Rule 1: messages are encoded once, and kept in one ring for all clients: one more costs no memory
but its place.
Rule 2: the graph never waits for a client. Who is too slow misses events, and is told how many.
"""

import secrets
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import msgspec

from .._cli_json import jsonable

KEPT = 1_024
"""Events that a client may be behind, or may have missed when it comes back."""
LOT = 64
"""Events that are sent at once, at most."""
PULSE = 15.0
"""Seconds of silence after which a comment is sent: so a connection that is gone is noticed."""


class Hub:
    """Reads a node's output and lets clients follow it."""

    def __init__(self, stream: Any) -> None:
        """Prepare; `read` does the reading.

        Args:
            stream: `run.stream(node)`, not open yet.
        """
        self._stream = stream
        # Numbers of another process, or of an earlier start, say nothing here.
        self.epoch = secrets.token_hex(4)
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._last = 0
        """Number of the newest event."""
        self._news = anyio.Event()
        self._waiting = 0
        self.is_open = anyio.Event()
        self.is_over = False

    async def read(self) -> None:
        """Read to the end of the stream."""
        try:
            async with self._stream as messages:
                self.is_open.set()
                async for message in messages:
                    self._keep(message)
        finally:
            self.is_open.set()
            self.end()

    def _keep(self, message: Any) -> None:
        try:
            data = msgspec.json.encode(message)
        except (TypeError, ValueError):  # of a type that JSON does not know
            data = msgspec.json.encode(jsonable(message))
        self._last += 1
        self._kept.append(b"id: %s-%d\ndata: %s\n\n" % (self.epoch.encode(), self._last, data))
        self._tell()

    def end(self) -> None:
        """Let every client go when it has what is kept."""
        self.is_over = True
        self._tell()

    def _tell(self) -> None:
        if self._waiting:
            self._news.set()
            self._news = anyio.Event()

    async def events(self, last_event_id: str | None) -> AsyncGenerator[bytes]:
        """Yield events as they come.

        Args:
            last_event_id: the `Last-Event-ID` of a client that returns: what came after it is sent
                first, as far as it is kept. None: from now on.
        """
        at = self._last + 1 if last_event_id is None else self._after(last_event_id)
        while True:
            oldest = self._last - len(self._kept) + 1
            if at < oldest:
                yield b"event: missed\ndata: %d\n\n" % (oldest - at)
                at = oldest
            if at <= self._last:
                lot = min(LOT, self._last - at + 1)
                begin = at - oldest
                at += lot
                yield b"".join(self._kept[begin + each] for each in range(lot))
            elif self.is_over:
                return
            elif not await self._wait():
                yield b": still here\n\n"

    def _after(self, last_event_id: str) -> int:
        epoch, _, number = last_event_id.partition("-")
        if epoch != self.epoch or not number.isdecimal():
            return max(1, self._last - len(self._kept) + 1)
        return min(int(number), self._last) + 1

    async def _wait(self) -> bool:
        self._waiting += 1
        try:
            with anyio.move_on_after(PULSE) as scope:
                await self._news.wait()
        finally:
            self._waiting -= 1
        return not scope.cancelled_caught
