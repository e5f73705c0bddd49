"""Read a node's output from outside, while the run goes on."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

import trio

from ..channels._inbox import EndOfInput, Inbox
from ..channels._lane import Lane, Reader
from ..channels._outlet import Outlet
from ..channels._overflow import OverflowPolicy
from ..channels._tracking import settle_piece
from ._async_only import AsyncOnly


class Stream(AsyncOnly):
    """`async with run.stream(node) as xs: async for x in xs: ...`

    Inside `async with`, the edge blocks its sender when full (or does what `overflow` says). A bare
    `async for` may stop reading at any time without a word, so it never blocks the graph: it drops
    the oldest, and `dropped` counts them. Once nobody holds it any more, the graph forgets it.
    """

    _opened_as = "async with run.stream(...) as xs:"
    _inbox: Inbox | None = None
    _lane: Lane | None = None
    _forget: Callable[[], None] | None = None
    """What to do when a bare loop was left without a word."""

    def __init__(
        self,
        outlet: Outlet,
        node: str,
        capacity: float,
        overflow: OverflowPolicy,
        is_over: Callable[[], bool],
    ) -> None:
        self._outlet = outlet
        self._node = node
        self._capacity = capacity
        self._overflow: OverflowPolicy = overflow
        self._is_over = is_over

    @property
    def dropped(self) -> int:
        """Messages that this reader has missed because it was slow."""
        return 0 if self._lane is None else sum(self._lane.dropped.values())

    def _attach(self, overflow: OverflowPolicy) -> Callable[[], None]:
        """Begin to read; return what ends it, and knows nothing of this object."""
        inbox = Inbox(f"stream of {self._node}")
        # What drops the oldest has to keep one at least.
        capacity = self._capacity if overflow == "block" else max(1, self._capacity)
        lane = Lane(self._node, "@stream", inbox, capacity=capacity, overflow=overflow)
        inbox.add_lane(lane)
        self._connect(lane)
        self._inbox = inbox
        return partial(_detach, self._outlet, lane, inbox)

    def _connect(self, lane: Lane) -> None:
        self._lane = lane
        if self._is_over():
            lane.end()
        else:
            self._outlet.add_tap(lane)

    def open_lane(self, reader: Reader, more: int) -> Lane:
        """Begin to read, for a reader of its own kind, which pops from the lane itself.

        Args:
            more: messages that the lane holds beside the stream's capacity, if it blocks.
        """
        capacity = self._capacity + more if self._overflow == "block" else self._capacity
        lane = Lane(self._node, "@stream", reader, capacity=capacity, overflow=self._overflow)
        self._connect(lane)
        return lane

    def close_lane(self, lane: Lane) -> None:
        """Stop reading; what was not read is dropped and counted."""
        self._outlet.remove_lane(lane)
        lane.leave()

    async def __aenter__(self) -> "Stream":
        if self._inbox is not None:
            raise RuntimeError("this stream is already open; call run.stream() again for another")
        self._attach(self._overflow)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; the graph goes on without this reader. Idempotent."""
        if self._lane is not None and self._inbox is not None:
            self._forget = None
            _detach(self._outlet, self._lane, self._inbox)

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._inbox is None:
            detach = self._attach("drop_oldest")
            # It may be collected at any moment and in any thread: the run's own does the work.
            soon = trio.lowlevel.current_trio_token().run_sync_soon
            self._forget = partial(soon, detach)
        return self

    def __del__(self) -> None:
        if self._forget is not None:
            with suppress(trio.RunFinishedError):
                self._forget()

    async def __anext__(self) -> Any:
        inbox = self._inbox
        assert inbox is not None
        if inbox.credit <= 0:
            self._refuse_another_reader(inbox)
            try:
                await inbox.wait()
            except EndOfInput:
                raise StopAsyncIteration from None
        return _take(inbox)

    async def receive_many(self, max: int = 64) -> list[Any]:
        """Return 1 to `max` messages; wait for the first. Inside of `async with` only.

        Raises:
            ValueError: `max` is below 1.
            EndOfInput: the node's output has ended, and everything was read.
            RuntimeError: the stream is not open.
            trio.BusyResourceError: another task reads it.
        """
        inbox = self._inbox
        check_many(max, is_open=inbox is not None)
        assert inbox is not None
        if inbox.credit <= 0:
            self._refuse_another_reader(inbox)
            await inbox.wait()
        return _take_many(inbox, min(max, inbox.credit))

    def _refuse_another_reader(self, inbox: Inbox) -> None:
        if inbox.parked is not None:
            raise trio.BusyResourceError(
                f"another task reads this stream of {self._node!r}; call run.stream() again "
                "for a stream of its own"
            )


def check_many(max: int, *, is_open: bool) -> None:
    """Check what `receive_many` is asked for.

    Raises:
        ValueError: `max` is below 1.
        RuntimeError: the stream is not open.
    """
    if max < 1:
        raise ValueError(f"receive_many() takes max >= 1, got {max}")
    if not is_open:
        raise RuntimeError("this stream is not open; enter its block, `with run.stream(...)`")


def _take(inbox: Inbox) -> Any:
    envelope = inbox.pop()
    if envelope.context.tracking:
        settle_piece(inbox, envelope, "acknowledged")
    return envelope.payload


def _take_many(inbox: Inbox, n: int) -> list[Any]:
    """Take `n` messages for which there is credit, at a third of the cost of one at a time."""
    inbox.credit -= n
    take = inbox.buffer.popleft
    envelopes = [take() for _ in range(n)]
    for envelope in envelopes:
        if envelope.context.tracking:
            settle_piece(inbox, envelope, "acknowledged")
    return [envelope.payload for envelope in envelopes]


def _detach(outlet: Outlet, lane: Lane, inbox: Inbox) -> None:
    outlet.remove_lane(lane)
    inbox.close()


Stream.__module__ = "trouper"
