"""What makes values ahead of a reader, and ends with it.

Rule 1: it runs in a trio task of its own, a bounded number of values ahead of its reader, which so
holds it back.
Rule 2: it ends with the task that opened it, if not before; a reader that is gone ends it too.
"""

from abc import ABC, abstractmethod
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import trio

from ...channels._open_channel import open_channel
from ._action import Action
from ._bridge import Bridge

T = TypeVar("T")


class Feed(ABC):
    """A body that goes on. Knows nothing of its reader, so that one that nobody reads can end."""

    def __init__(self, owner: Action | None, ahead: int) -> None:
        self.owner = owner
        """With whose end it ends."""
        self.failure: Exception | None = None
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.send, self.values = open_channel[Any](ahead)
        self._token = trio.lowlevel.current_trio_token()

    def start(self, name: str, context: Context) -> None:
        """Run it soon, where what its owner starts lives."""
        owner = self.owner
        assert owner is not None
        nursery = owner.calls.nursery or trio.lowlevel.current_task().parent_nursery
        assert nursery is not None
        if owner.feeds is None:
            owner.feeds = set()
        owner.feeds.add(self)
        context.run(self._spawn, nursery, name)

    def _spawn(self, nursery: trio.Nursery, name: str) -> None:
        nursery.start_soon(self.run, name=name)

    async def run(self) -> None:
        """Run it to its end; a failure is kept for the reader."""
        try:
            with self.scope:
                await self.work()
            self.has_ended()
        except Exception as error:
            self.failure = self.failed(error)
        except BaseException:
            self.was_cancelled()
            raise
        finally:
            self.send.close()
            if self.owner is not None and self.owner.feeds is not None:
                self.owner.feeds.discard(self)
            self.ended.set()

    def abandon(self) -> None:
        """End it soon; from any thread."""
        if self.ended.is_set():
            return
        try:
            self._token.run_sync_soon(self.scope.cancel)
        except trio.RunFinishedError:
            return

    async def aclose(self) -> None:
        """End it, and wait for that."""
        self.scope.cancel()
        self.values.close()
        await self.ended.wait()

    # -- what a subclass says ----------------------------------------------------------------

    @abstractmethod
    async def work(self) -> None:
        """Send values, to the end."""

    def has_ended(self) -> None:  # noqa: B027 - most have nothing to say
        """It has come to its end, or its own scope was cancelled."""

    def failed(self, error: Exception) -> Exception:
        """Return what its reader gets."""
        return error

    def was_cancelled(self) -> None:  # noqa: B027 - likewise
        """It was cut off from outside."""


class Reader(ABC, Generic[T]):
    """The values of a feed, which begins when the first one is asked for. For one reader."""

    def __init__(self, name: str, bridge: Bridge | None) -> None:
        self._name = name
        self._bridge = bridge
        self._feed: Feed | None = None
        # What holds where it is opened, also if it is read elsewhere.
        self._context = copy_context()

    @abstractmethod
    def _make_feed(self) -> Feed:
        """Return what makes the values."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next value.

        Raises:
            StopAsyncIteration: it has ended.
            RuntimeUserError: it failed, after the values that came before.
        """
        feed = self._feed
        if feed is None:
            feed = self._feed = self._make_feed()
            feed.start(self._name, self._context)
        try:
            value: T = await feed.values.receive()
        except trio.EndOfChannel:
            await self._end(feed)
            raise StopAsyncIteration from None
        except trio.ClosedResourceError:
            raise StopAsyncIteration from None
        return value

    async def _end(self, feed: Feed) -> None:
        await feed.ended.wait()
        if feed.failure is not None:
            failure, feed.failure = feed.failure, None
            try:
                raise failure
            finally:
                del failure  # it holds this frame

    def __iter__(self) -> Self:
        if self._bridge is None:
            raise TypeError(f"{self._name} is read by `async for` in an async task")
        return self

    def __next__(self) -> T:
        assert self._bridge is not None
        try:
            value: T = self._bridge.call(self.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None
        return value

    async def aclose(self) -> None:
        """End it, and wait until its `finally` blocks have run. Idempotent."""
        if self._feed is not None:
            await self._feed.aclose()

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
        if self._feed is not None:
            self._feed.abandon()
