"""Ticks that neither drift nor pile up."""

import math
from collections.abc import AsyncIterator

import trio

from ._stopping import Stopping


class Every:
    """Yields 0, 1, 2, ... at start, start + period, ...; a tick that is missed is left out.

    Ends when the run drains.
    """

    __slots__ = ("_next", "_period", "_start", "_stopping")

    def __init__(self, period: float, stopping: Stopping) -> None:
        if not 0 < period < math.inf:
            raise ValueError(f"every() takes a period > 0 s and finite, got {period!r}")
        self._period = period
        self._stopping = stopping
        self._start: float | None = None
        self._next = 0

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        now = trio.current_time()
        if self._start is None:
            self._start = now
        # A tick that was due while the body still worked on the last one is skipped, not repeated;
        # one that is due right now is on time.
        behind = math.floor((now - self._start) / self._period)
        tick = max(self._next, behind)
        with trio.move_on_at(self._start + tick * self._period):
            await self._stopping.wait()
        if self._stopping:
            raise StopAsyncIteration
        self._next = tick + 1
        return tick
