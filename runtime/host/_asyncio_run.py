"""The live handle of a run, for asyncio programs: as `LiveRun`, with every wait awaited there."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Unpack

from ...channels._envelope import Envelope
from ...channels._generators import is_asked_by_loop, started
from ...channels._overflow import OverflowPolicy
from .._async_only import AsyncOnly
from .._reconfigure import Changes
from .._report import WorkflowResult
from .._run import DRAIN_BUDGET, LiveRun, why_left
from .._stream import Stream, check_many
from ._crossing import Crossing
from ._far import FarSideEnded
from ._hosted import AskOptions, HostedRun, HostKind, SendOptions, at_once
from ._session import Session

if TYPE_CHECKING:
    import asyncio

    from ._asyncio import AsyncioBridge

SLICE = 0.001
"""Seconds that a reader may read on without a wait before others of its loop get their turn."""


class AsyncioRun(HostedRun, AsyncOnly):
    """What `async with trouper.open(wf) as run:` gives under asyncio. Leaving the block drains.

    The actors run in trio: in a thread of its own, or (`host="guest"`) in this loop's thread.
    Whatever waits here can be cancelled here; the far side is cancelled too, and waited for.
    """

    _opened_as = "async with trouper.open(wf) as run:"

    def __init__(self, live: LiveRun, host: HostKind) -> None:
        super().__init__(Session(live, self._has_opened))
        self._host: HostKind = host
        self._bridge: AsyncioBridge | None = None

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> "AsyncioRun":
        from ._asyncio import AsyncioBridge  # slow to import, for those who have no use for it

        self._refuse_second_use(is_entered=self._bridge is not None)
        self._bridge = bridge = AsyncioBridge(self._host)
        self._far = bridge.far
        self._session.host_loop = bridge.loop
        if not await bridge.open(self._session.main, self._leave_soon):
            await bridge.join(self._leave_soon)
            raise RuntimeError(f"run {self.name!r} has ended before it was open")
        return self

    def _has_opened(self) -> None:
        assert self._bridge is not None
        self._bridge.note_open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from asyncio import CancelledError

        await self._leave(why_left(exc, CancelledError))

    async def _leave(self, why_cancelled: str) -> None:
        bridge = self._bridge
        assert bridge is not None
        self._leave_soon(why_cancelled)
        await bridge.join(partial(self._leave_soon, "the task that drained it was cancelled"))

    async def call_there(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """Await `fn(...)` in trio, where the actors run, with the context variables of this task.

        For what has to be done there: an async function of trio or anyio.

        Raises:
            RuntimeError: the run has not begun, or has ended.
            BaseException: what `fn` raised.
        """
        return await self._call(fn, *args, **named)

    async def _call(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        if self._bridge is None:
            raise self._not_entered()
        return await self._bridge.call(fn, *args, **named)

    # -- as of a live run --------------------------------------------------------------------

    async def send(self, x: Any, to: Any = None, **options: Unpack[SendOptions]) -> None:
        """As `LiveRun.send`: waits while the node's inlet is full."""
        with self._told_as_ended(x):
            await self._call(self._live.send, x, to, **options)

    async def ask(self, x: Any, to: Any, **options: Unpack[AskOptions]) -> Any:
        """As `LiveRun.ask`."""
        with self._told_as_ended(x):
            return await self._call(self._live.ask, x, to, **options)

    async def drain(self, budget: float = DRAIN_BUDGET) -> WorkflowResult:
        """As `LiveRun.drain`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = await self._call(self._live.drain, budget)
            return result
        return self._live.result()

    async def wait(self) -> WorkflowResult:
        """As `LiveRun.wait`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = await self._call(self._live.wait)
            return result
        return self._live.result()

    async def redeliver(self, what: Any) -> int:
        """As `LiveRun.redeliver`."""
        with self._told_as_over("redeliver"):
            back: int = await self._call(self._live.redeliver, what)
            return back

    async def stop(self, node: Any) -> None:
        """As `LiveRun.stop`."""
        with suppress(FarSideEnded):
            await self._call(self._live.stop, node)

    async def pause(self, node: Any) -> None:
        """As `LiveRun.pause`, which crosses, and so is awaited here."""
        with self._told_as_over("pause"):
            await self._call(at_once, self._live.pause, node)

    async def resume(self, node: Any) -> None:
        """As `LiveRun.resume`, likewise."""
        with suppress(FarSideEnded):
            await self._call(at_once, self._live.resume, node)

    async def kill(self, node: Any) -> None:
        """As `LiveRun.kill`, likewise."""
        with suppress(FarSideEnded):
            await self._call(at_once, self._live.kill, node)

    async def reconfigure(self, node: Any, **changes: Unpack[Changes]) -> None:
        """As `LiveRun.reconfigure`."""
        with self._told_as_over("reconfigure"):
            await self._call(self._live.reconfigure, node, **changes)

    def stream(
        self,
        node: Any,
        *,
        capacity: float = 64,
        overflow: OverflowPolicy = "block",
        **unknown: Never,
    ) -> "AsyncioStream":
        """As `LiveRun.stream`; up to 1,024 messages more are under way between the two loops."""
        if self._bridge is None:
            raise self._not_entered()
        return AsyncioStream(
            self._live.stream(node, capacity=capacity, overflow=overflow, **unknown), self._bridge
        )


class AsyncioStream(AsyncOnly):
    """`async with run.stream(node) as xs: async for x in xs`, under asyncio."""

    _opened_as = "async with run.stream(...) as xs:"

    def __init__(self, stream: Stream, bridge: "AsyncioBridge") -> None:
        self._bridge = bridge
        self._crossing = Crossing(stream, bridge.far, partial(bridge.home, self._wake))
        self._slice_ends = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._is_busy = False
        """Whether a task waits, or lets others run."""
        self._is_open = False

    @property
    def dropped(self) -> int:
        """Messages that this reader has missed because it was slow (`overflow=`)."""
        return self._crossing.stream.dropped

    async def __aenter__(self) -> "AsyncioStream":
        if self._is_open:
            raise RuntimeError("this stream is already open; call run.stream() again for another")
        self._is_open = True
        try:
            await self._bridge.call(self._crossing.open)
        except FarSideEnded:
            self._crossing.open_late()
        except BaseException:  # cancelled: nobody leaves a block that was not entered
            self._crossing.close_soon()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(FarSideEnded):
            await self._bridge.call(self._crossing.close)

    def __aiter__(self) -> AsyncIterator[Any]:
        self._refuse_unless_open()
        # Another than this object is over when a wait is cancelled, which ends a loop anyway.
        if not is_asked_by_loop():
            return self
        return started(self._messages())

    def _refuse_unless_open(self) -> None:
        if not self._is_open:
            raise RuntimeError(
                "write `async with run.stream(...) as xs:` and loop over xs: a loop that is left "
                "would hold up the graph"
            )

    async def _messages(self) -> AsyncGenerator[Any, None]:
        yield None  # taken by `started`
        crossing = self._crossing
        while True:
            try:
                lot = await self._more()
            except StopAsyncIteration:
                return
            take = crossing.buffer.popleft
            for _ in range(lot):
                try:
                    envelope = take()
                except IndexError:  # dropped meanwhile, to make room for newer ones, or closed
                    break
                if envelope.context.tracking:
                    crossing.settle(envelope)
                yield envelope.payload

    async def __anext__(self) -> Any:
        """Take one message. A loop takes them faster, by a generator of its own."""
        self._refuse_unless_open()
        while True:
            await self._more()
            with suppress(IndexError):  # dropped meanwhile
                return self._taken(self._crossing.buffer.popleft())

    def _taken(self, envelope: Envelope[Any]) -> Any:
        if envelope.context.tracking:
            self._crossing.settle(envelope)
        return envelope.payload

    async def receive_many(self, max: int = 64) -> list[Any]:
        """As `Stream.receive_many`: 1 to `max` messages, the first of which is waited for."""
        check_many(max, is_open=self._is_open)
        found: list[Any] = []
        while not found:  # dropped meanwhile, by a policy that makes room for newer ones
            try:
                lot = await self._more()
            except StopAsyncIteration:
                raise self._crossing.end() from None
            found = self._crossing.take(min(max, lot))
        return found

    async def _more(self) -> int:
        """Return how many messages may be read; wait for one, and let others run now and then."""
        if self._is_busy:
            raise RuntimeError("another task reads this stream; call run.stream() again")
        self._is_busy = True
        try:
            if perf_counter() > self._slice_ends:
                await self._bridge.let_others_run()
                self._slice_ends = perf_counter() + SLICE
            while not (lot := self._crossing.lot()):
                self._waiter = self._bridge.loop.create_future()
                await self._bridge.wait(self._waiter)
                self._slice_ends = perf_counter() + SLICE
        except StopIteration:
            raise StopAsyncIteration from None
        finally:
            self._is_busy, self._waiter = False, None
        return lot

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


AsyncioRun.__module__ = AsyncioStream.__module__ = "trouper"
