"""The live handle of a run, for asyncio programs: as `LiveRun`, with every wait awaited there."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from ...channels._overflow import OverflowPolicy
from .._reconfigure import Changes
from .._report import WorkflowResult
from .._run import DRAIN_BUDGET, LiveRun
from ._far import FarSideEnded
from ._hosted import AskOptions, HostedRun, HostKind, SendOptions, at_once
from ._pump import Pump
from ._session import Session

if TYPE_CHECKING:
    import asyncio

    from ._asyncio import AsyncioBridge


class AsyncioRun(HostedRun):
    """What `async with trouper.open(wf) as run:` gives under asyncio. Leaving the block drains.

    The actors run in trio: in a thread of its own, or (`host="guest"`) in this loop's thread.
    Whatever waits here can be cancelled here; the far side is cancelled too, and waited for.
    """

    def __init__(self, live: LiveRun, host: HostKind) -> None:
        super().__init__(Session(live, self._has_opened))
        self._host: HostKind = host
        self._bridge: AsyncioBridge | None = None

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> "AsyncioRun":
        from ._asyncio import AsyncioBridge  # slow to import, for those who have no use for it

        self.refuse_second_use(is_entered=self._bridge is not None)
        self._bridge = bridge = AsyncioBridge(self._host)
        self.far = bridge.far
        if not await bridge.open(self.session.main, self.leave_soon):
            await bridge.join(self.leave_soon)
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
        await self._leave("" if exc is None else f"the block that opened it raised {exc!r}")

    async def _leave(self, why_cancelled: str) -> None:
        bridge = self._bridge
        assert bridge is not None
        self.leave_soon(why_cancelled)
        await bridge.join(partial(self.leave_soon, "the task that drained it was cancelled"))

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
            raise self.not_entered()
        return await self._bridge.call(fn, *args, **named)

    # -- as of a live run --------------------------------------------------------------------

    async def send(self, x: Any, to: Any = None, **options: Unpack[SendOptions]) -> None:
        """As `LiveRun.send`: waits while the node's inlet is full."""
        with self.told_as_ended(x):
            await self._call(self.live.send, x, to, **options)

    async def ask(self, x: Any, to: Any, **options: Unpack[AskOptions]) -> Any:
        """As `LiveRun.ask`."""
        with self.told_as_ended(x):
            return await self._call(self.live.ask, x, to, **options)

    async def drain(self, budget: float = DRAIN_BUDGET) -> WorkflowResult:
        """As `LiveRun.drain`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = await self._call(self.live.drain, budget)
            return result
        return self.live.result()

    async def wait(self) -> WorkflowResult:
        """As `LiveRun.wait`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = await self._call(self.live.wait)
            return result
        return self.live.result()

    async def redeliver(self, what: Any) -> int:
        """As `LiveRun.redeliver`."""
        back: int = await self._call(self.live.redeliver, what)
        return back

    async def stop(self, node: Any) -> None:
        """As `LiveRun.stop`."""
        await self._call(self.live.stop, node)

    async def pause(self, node: Any) -> None:
        """As `LiveRun.pause`, which crosses, and so is awaited here."""
        await self._call(at_once, self.live.pause, node)

    async def resume(self, node: Any) -> None:
        """As `LiveRun.resume`, likewise."""
        await self._call(at_once, self.live.resume, node)

    async def kill(self, node: Any) -> None:
        """As `LiveRun.kill`, likewise."""
        await self._call(at_once, self.live.kill, node)

    async def reconfigure(self, node: Any, **changes: Unpack[Changes]) -> None:
        """As `LiveRun.reconfigure`."""
        await self._call(self.live.reconfigure, node, **changes)

    def stream(
        self, node: Any, *, capacity: float = 64, overflow: OverflowPolicy = "block"
    ) -> "AsyncioStream":
        """As `LiveRun.stream`; up to 1,024 messages more are under way between the two loops."""
        if self._bridge is None:
            raise self.not_entered()
        make = partial(self.live.stream, node, capacity=capacity, overflow=overflow)
        return AsyncioStream(make, self._bridge)


class AsyncioStream:
    """`async with run.stream(node) as xs: async for x in xs`, under asyncio."""

    def __init__(self, make: Callable[[], Any], bridge: "AsyncioBridge") -> None:
        self._bridge = bridge
        # Checked here and now, as of a live run.
        self._pump = Pump(make(), self._bring, self._finish)
        self._items: deque[Any] = deque()
        self._unpaid = 0
        """Messages that have arrived, and for whose places no room was given back yet."""
        self._waiter: asyncio.Future[None] | None = None
        self._has_ended = False
        self._error: BaseException | None = None
        self._is_open = False

    @property
    def dropped(self) -> int:
        """Messages that this reader has missed because it was slow (`overflow=`)."""
        return self._pump.stream.dropped

    async def __aenter__(self) -> "AsyncioStream":
        if self._is_open:
            raise RuntimeError("this stream is already open; call run.stream() again for another")
        self._is_open = True
        await self._bridge.call(self._pump.begin)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(FarSideEnded):
            await self._bridge.call(self._pump.close)

    def __aiter__(self) -> AsyncIterator[Any]:
        if not self._is_open:
            raise RuntimeError(
                "write `async with run.stream(...) as xs:` and loop over xs: a loop that is left "
                "would hold up the graph"
            )
        return self

    async def __anext__(self) -> Any:
        items = self._items
        if not items:
            await self._more()
        return items.popleft()

    async def _more(self) -> None:
        while not self._items:
            self._pay()
            if self._has_ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task reads this stream; call run.stream() again")
            self._waiter = self._bridge.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _pay(self) -> None:
        taken = self._unpaid - len(self._items)
        if taken > 0:
            self._unpaid -= taken
            with suppress(FarSideEnded):
                self._bridge.far.post(partial(self._pump.give_room, taken))

    # -- on the far side, and what comes home ------------------------------------------------

    def _bring(self, messages: list[Any]) -> None:
        self._bridge.home(partial(self._arrive, messages))

    def _finish(self, error: BaseException | None) -> None:
        self._bridge.home(partial(self._end, error))

    def _arrive(self, messages: list[Any]) -> None:
        self._pay()
        self._unpaid += len(messages)
        self._items.extend(messages)
        self._wake()

    def _end(self, error: BaseException | None) -> None:
        self._has_ended, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


AsyncioRun.__module__ = AsyncioStream.__module__ = "trouper"
