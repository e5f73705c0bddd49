"""What a task yields, read by the task that called it."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from ...actors._current import current_context
from ._action import Action
from ._bridge import Bridge
from ._feed import Feed, Reader
from ._perform import close_feeds, failure_of, open_attempt

if TYPE_CHECKING:
    from ._perform import Args, Base, Named
    from ._spec import Spec

    Call = tuple[Spec, Action, Base, Args, Named]

T = TypeVar("T")

AHEAD = 64
"""Values that a body may be ahead of its reader."""


class TaskStream(Reader[T]):
    """The values of one call of a task that yields. For one reader.

    `async for` reads it, in a sync task `for`. Leaving the loop early ends the body; so does, at
    the latest, the end of the task that called it. `async with` says where exactly.
    """

    def __init__(self, call: "Call", *, bridge: Bridge | None) -> None:
        super().__init__(call[1].name, bridge)
        self._call = call

    def _make_feed(self) -> Feed:
        return StreamFeed(self._call)


class StreamFeed(Feed):
    """The body of a task that yields, as an action."""

    def __init__(self, call: "Call") -> None:
        super().__init__(call[1].parent, AHEAD)
        self._call = call
        self._action = call[1]

    async def work(self) -> None:
        spec, action, base, args, named = self._call
        calls = action.calls
        calls.begin(action)
        if calls.keeper is not None:
            # What it has yielded was not kept: it begins again.
            calls.keeper.begins(spec, action, args, named)
        context = open_attempt(action, base)
        current_context.set(context)
        if spec.takes_ctx:
            args = (context, *args)
        try:
            await self._pump(spec.function(*args, **named))
        finally:
            if action.feeds:
                await close_feeds(action)

    async def _pump(self, body: AsyncGenerator[Any, None]) -> None:
        """Send what a body yields; what happens to a send goes into the body, at its `yield`."""
        check = self._call[0].check_result
        try:
            value = await anext(body)
            while True:
                try:
                    await self.send.send(value if check is None else check(value))
                except BaseException as error:
                    value = await body.athrow(error)
                else:
                    value = await anext(body)
        except StopAsyncIteration:
            return
        finally:
            await body.aclose()

    def has_ended(self) -> None:
        cancelled = self.scope.cancelled_caught
        self._action.calls.end(self._action, "cancelled" if cancelled else "completed")

    def failed(self, error: Exception) -> Exception:
        return failure_of(self._action, error)

    def was_cancelled(self) -> None:
        self._action.calls.end(self._action, "cancelled")


async def last_of_stream(
    spec: "Spec", action: Action, base: "Base", args: "Args", named: "Named"
) -> Any:
    """Return the last value of a stream that nobody but the run reads; None: there was none."""
    feed = StreamFeed((spec, action, base, args, named))
    last: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, name=action.name)
        async for value in feed.values:
            last = value
    if feed.failure is None:
        return last
    raise feed.failure


TaskStream.__module__ = "trouper"
