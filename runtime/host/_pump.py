"""Carries a node's output across, in bulk: the host's pace is the graph's."""

from collections.abc import Callable
from typing import Any

import trio

from ...channels._inbox import EndOfInput
from .._stream import Stream

CROSSING = 1_024
"""Messages of one stream that are under way to the host, or wait there, at most."""
BULK = 256
"""Messages that cross at once, at most: several lots are under way at the same time."""


class Pump:
    """Reads a stream on the far side while the host has room. Only `give_room` is for the host."""

    def __init__(
        self,
        stream: Stream,
        arrive: Callable[[list[Any]], object],
        end: Callable[[BaseException | None], object],
    ) -> None:
        """Prepare.

        Args:
            stream: not open yet.
            arrive: takes messages home; called on the far side.
            end: tells home that no more come, and why if that is a failure.
        """
        self.stream = stream
        self._arrive = arrive
        self._end = end
        self._room = CROSSING
        self._has_room = trio.Event()
        self._scope = trio.CancelScope()
        self._is_over = trio.Event()

    async def begin(self) -> None:
        """Open the stream; from here on it is carried, in a task of its own."""
        is_open = trio.Event()
        nursery = trio.lowlevel.current_task().parent_nursery
        assert nursery is not None
        # Beside the call that opens it, which ends before it does.
        nursery.start_soon(self._run, is_open)
        await is_open.wait()

    async def _run(self, is_open: trio.Event) -> None:
        """Carry until the stream ends, or `close` is called."""
        error: BaseException | None = None
        try:
            with self._scope:
                async with self.stream:
                    is_open.set()
                    await self._carry()
        except Exception as caught:
            error = caught
        finally:
            self._is_over.set()
            self._end(error)

    async def _carry(self) -> None:
        while True:
            while self._room <= 0:
                self._has_room = trio.Event()
                await self._has_room.wait()
            try:
                some = await self.stream.receive_many(min(self._room, BULK))
            except EndOfInput:
                return
            self._room -= len(some)
            self._arrive(some)

    def give_room(self, messages: int) -> None:
        """So many have been taken there."""
        self._room += messages
        self._has_room.set()

    async def close(self) -> None:
        """Stop reading, and wait for that."""
        self._scope.cancel()
        await self._is_over.wait()
