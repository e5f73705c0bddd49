"""What an async generator yields in asyncio, read in trio."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from ._raising import raise_error

if TYPE_CHECKING:
    from ._asyncio_job import Feed
    from ._asyncio_side import AsyncioSide

T = TypeVar("T")


class AsyncioYields(Generic[T]):
    """`async with bridge(...) as xs: async for x in xs`, in trio.

    Leaving the block ends the generator, and waits for its clean-up.
    """

    def __init__(self, side: "AsyncioSide", feed: "Feed") -> None:
        self.side = side
        self.feed = feed
        self._is_open = False

    async def __aenter__(self) -> "AsyncioYields[T]":
        if self._is_open:
            raise RuntimeError("this generator was entered before; call the bridge again")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._is_open = True
        self.side.start(self.feed)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        feed = self.feed
        if not feed.has_ended:
            await self.side.cut(feed)
        self.side.under_way.discard(feed)
        raise_error(feed)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        feed = self.feed
        if not self._is_open:
            raise RuntimeError(
                "write `async with bridge(...) as xs:` and loop over xs: a loop that is left would "
                "leave the generator behind"
            )
        if not feed.items:
            # Who only reads would else never let others run: it is refilled beside trio.
            await trio.lowlevel.checkpoint()
            if not await feed.more():
                raise StopAsyncIteration
        item: T = feed.pop()
        return item


AsyncioYields.__module__ = "trouper"
