"""What a task yields, read by the task that called it.

Rule 1: the body runs in a trio task of its own, a bounded number of values ahead of its reader,
which so holds it back.
Rule 2: it ends with the task that called it, if not before.
"""

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import trio

from ...actors._current import current_context
from ...channels._open_channel import open_channel
from ._action import Action
from ._bridge import Bridge

if TYPE_CHECKING:
    from ._perform import Args, Base, Named
    from ._spec import Spec

T = TypeVar("T")

AHEAD = 64
"""Values that a body may be ahead of its reader."""


class TaskStream(Generic[T]):
    """The values of one call of a task that yields. For one reader."""

    def __init__(
        self,
        spec: "Spec",
        action: Action,
        base: "Base",
        args: "Args",
        named: "Named",
        *,
        bridge: Bridge | None,
        ahead: int = AHEAD,
    ) -> None:
        self._spec = spec
        self._action = action
        self._call = (base, args, named)
        self._bridge = bridge
        self._ahead = ahead
        self._running: Running | None = None

    # -- reading -----------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next value.

        Raises:
            StopAsyncIteration: it has ended.
            RuntimeUserError: it failed, after the values that it has yielded.
        """
        if self._running is None:
            self._begin()
        assert self._running is not None
        try:
            value: T = await self._running.values.receive()
        except trio.EndOfChannel:
            await self._end()
            raise StopAsyncIteration from None
        except trio.ClosedResourceError:
            raise StopAsyncIteration from None
        return value

    def __iter__(self) -> Self:
        if self._bridge is None:
            raise TypeError(f"{self._action.name} is read by `async for` in an async task")
        return self

    def __next__(self) -> T:
        assert self._bridge is not None
        try:
            value: T = self._bridge.call(self.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None
        return value

    # -- life --------------------------------------------------------------------------------

    def _begin(self) -> None:
        action = self._action
        # A reader that is gone, or has never come, is not waited for: see __del__.
        self._running = running = Running(self._spec, action, self._call, self._ahead)
        parent = action.parent
        assert parent is not None
        nursery = action.calls.nursery or trio.lowlevel.current_task().parent_nursery
        assert nursery is not None
        if parent.streams is None:
            parent.streams = set()
        parent.streams.add(running)
        nursery.start_soon(running.run, name=action.name)

    async def _end(self) -> None:
        running = self._running
        assert running is not None
        await running.ended.wait()
        if running.failure is not None:
            failure, running.failure = running.failure, None
            raise failure

    async def aclose(self) -> None:
        """End it, and wait until its `finally` blocks have run. Idempotent."""
        if self._running is not None:
            await self._running.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with trio.CancelScope(shield=True):
            await self.aclose()

    def __del__(self) -> None:
        if self._running is not None:
            self._running.abandon()


class Running:
    """A body that goes on. Knows nothing of its stream, so that one that nobody reads can end."""

    def __init__(
        self, spec: "Spec", action: Action, call: "tuple[Base, Args, Named]", ahead: int
    ) -> None:
        self.ended = trio.Event()
        self.failure: Exception | None = None
        self._token = trio.lowlevel.current_trio_token()
        self._spec = spec
        self._action = action
        self._call = call
        self._scope = trio.CancelScope()
        self._send, self.values = open_channel[Any](ahead)

    def abandon(self) -> None:
        """End it soon; from any thread."""
        if self.ended.is_set():
            return
        try:
            self._token.run_sync_soon(self._scope.cancel)
        except trio.RunFinishedError:
            return

    async def aclose(self) -> None:
        self._scope.cancel()
        self.values.close()
        await self.ended.wait()

    async def run(self) -> None:
        from ._perform import failure_of

        action = self._action
        action.calls.begin(action)
        try:
            with self._scope:
                await self._run()
            action.calls.end(action, "cancelled" if self._scope.cancelled_caught else "completed")
        except Exception as error:
            self.failure = failure_of(action, error)
        except BaseException:
            action.calls.end(action, "cancelled")
            raise
        finally:
            self._send.close()
            if action.parent is not None and action.parent.streams is not None:
                action.parent.streams.discard(self)
            self.ended.set()

    async def _run(self) -> None:
        from ._perform import close_streams, open_attempt

        action, spec = self._action, self._spec
        base, args, named = self._call
        context = open_attempt(action, base)
        current_context.set(context)
        if spec.takes_ctx:
            args = (context, *args)
        try:
            await self._pump(spec.function(*args, **named))
        finally:
            if action.streams:
                await close_streams(action)

    async def _pump(self, body: AsyncGenerator[Any, None]) -> None:
        """Send what a body yields; what happens to a send goes into the body, at its `yield`."""
        check = self._spec.check_result
        try:
            value = await anext(body)
            while True:
                try:
                    await self._send.send(value if check is None else check(value))
                except BaseException as error:
                    value = await body.athrow(error)
                else:
                    value = await anext(body)
        except StopAsyncIteration:
            return
        finally:
            await body.aclose()


async def last_of_stream(
    spec: "Spec", action: Action, base: "Base", args: "Args", named: "Named"
) -> Any:
    """Return the last value of a stream that nobody but the run reads; None: there was none."""
    running = Running(spec, action, (base, args, named), AHEAD)
    last: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.run, name=action.name)
        async for value in running.values:
            last = value
    if running.failure is None:
        return last
    raise running.failure


TaskStream.__module__ = "trouper"
