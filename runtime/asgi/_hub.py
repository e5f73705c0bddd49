"""One stream of a node for any number of clients: server-sent events, kept for those who return.

Rule 1: messages are encoded once, and kept in one ring for all clients: one more costs no memory
but its place, and what is on its way to it.
Rule 2: the graph never waits for a client. Who is too slow misses events, and is told how many.
"""

import json
import secrets
from collections import deque
from itertools import islice
from typing import Any

import anyio

from .._cli_json import jsonable
from ._json import encode

KEPT = 1_024
"""Events that a client may be behind, or may have missed when it comes back ..."""
KEPT_BYTES = 16 * 2**20
"""... as far as they have no more bytes; the newest one is kept however long it is."""
LOT = 64
"""Events that are sent at once, at most ..."""
LOT_BYTES = 64 * 2**10
"""... as far as they have no more bytes; a longer one is sent by itself."""
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
        self._kept: deque[bytes] = deque()
        self._bytes = 0
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
        self._last += 1
        event = b"id: %s-%d\ndata: %s\n\n" % (self.epoch.encode(), self._last, _encoded(message))
        self._kept.append(event)
        self._bytes += len(event)
        while len(self._kept) > KEPT or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft())
        self._tell()

    def end(self) -> None:
        """Let every client go when it has what is kept."""
        self.is_over = True
        self._tell()

    def _tell(self) -> None:
        if self._waiting:
            self._news.set()
            self._news = anyio.Event()

    def events(self, last_event_id: str | None) -> "Events":
        """Return events as they come.

        Args:
            last_event_id: the `Last-Event-ID` of a client that returns: what came after it is sent
                first, as far as it is kept. None: from now on.
        """
        return Events(self, self._last + 1 if last_event_id is None else self._after(last_event_id))

    def _after(self, last_event_id: str) -> int:
        epoch, _, number = last_event_id.partition("-")
        if epoch != self.epoch or not number.isdecimal():
            return max(1, self._last - len(self._kept) + 1)
        return min(int(number), self._last) + 1

    def missed(self, at: int) -> int:
        """Return how many events from number `at` on are not kept any more."""
        return max(0, self._last - len(self._kept) + 1 - at)

    def lot(self, at: int) -> list[bytes]:
        """Return what is to be sent at once from number `at` on, which is kept; []: nothing yet."""
        begin = at - (self._last - len(self._kept) + 1)
        found: list[bytes] = []
        size = 0
        for event in islice(self._kept, begin, begin + LOT):
            size += len(event)
            if found and size > LOT_BYTES:
                break
            found.append(event)
        return found

    async def wait(self) -> bool:
        """Wait for more, or for the end; False: for `PULSE` seconds there was neither."""
        self._waiting += 1
        try:
            with anyio.move_on_after(PULSE) as scope:
                await self._news.wait()
        finally:
            self._waiting -= 1
        return not scope.cancelled_caught


def _encoded(message: Any) -> bytes:
    try:
        return encode(message)
    except Exception:  # of a type that JSON does not know, a loop: any may be in a message
        # Pure ASCII: text may hold what UTF-8 can't.
        return json.dumps(jsonable(message)).encode("ascii")


class Events:
    """What one client gets. No generator: one that is left half-way would have to be closed."""

    def __init__(self, hub: Hub, at: int) -> None:
        self._hub = hub
        self._at = at
        """Number of the next event."""

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> bytes:
        hub = self._hub
        while True:
            if missed := hub.missed(self._at):
                self._at += missed
                return b"event: missed\ndata: %d\n\n" % missed
            if lot := hub.lot(self._at):
                self._at += len(lot)
                return b"".join(lot)
            if hub.is_over:
                raise StopAsyncIteration
            if not await hub.wait():
                return b": still here\n\n"
