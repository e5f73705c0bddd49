"""What runs in an asyncio loop for somebody in trio: one coroutine, or one async generator.

Rule 1: what waits in trio waits until the task there has ended, its clean-up included.
Rule 2: a task that goes on although it was cancelled twice is abandoned, and named.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from ._raising import raise_error

if TYPE_CHECKING:
    from ._asyncio_side import AsyncioSide


@frozen
class Terms:
    """What holds for all that one bridge runs."""

    name: str
    """Of its tasks there, and for what is told of them."""
    shutdown: float = 5.0
    """Seconds that the clean-up of one may take after a cancel, before it is abandoned."""
    room: int = 256
    """Messages that a generator may have yielded before they are taken."""


class Job:
    """One coroutine in the asyncio loop, from its start to the moment that trio hears of its end.

    `start`, `cancel` and what begins with an underscore run there, all else in trio.
    """

    def __init__(
        self, side: "AsyncioSide", fn: Callable[[], Any], context: Context, terms: Terms
    ) -> None:
        """Prepare.

        Args:
            fn: called there; gives what is awaited, or iterated.
            context: the context variables that it runs with.
        """
        self.terms = terms
        self._side = side
        self._fn = fn
        self._context = context
        self._task: asyncio.Task[Any] | None = None
        self._was_cancelled = False
        """Whether trio has asked for its end."""
        self._news = trio.Event()
        """Set when there is something to look at: more items, or the end."""
        self.has_ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    # -- in asyncio --------------------------------------------------------------------------

    def start(self) -> None:
        if self._side.is_ending:  # a task that nobody runs to its end
            self._side.home(partial(self.lose, self._side.closed(self)))
            return
        self._task = task = self._context.run(self._side.loop.create_task, self._go())
        task.set_name(self.terms.name)
        # Not at the end of `_go`, which a task that is cancelled early does not even begin.
        task.add_done_callback(self._note_end)

    def cancel(self) -> None:
        """Cancel it, again if it goes on."""
        self._was_cancelled = True
        if self._task is not None:  # else it has ended: what is posted is done in order
            self._task.cancel()

    async def _go(self) -> None:
        try:
            await self._do()
        except (KeyboardInterrupt, SystemExit) as error:
            # They would go through the host's loop; they are for whoever waits for this.
            self.error = error

    async def _do(self) -> None:
        self.value = await self._fn()

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        self._task = None  # it holds the error, whose traceback holds this
        if not task.cancelled():
            error = task.exception()
            if error is not None:  # it may be false all the same
                self.error = error
        elif not self._was_cancelled:
            self.error = RuntimeError(
                f"{self.terms.name} raised asyncio.CancelledError although nobody in trio cancels "
                "it: its loop shuts down, or what it awaited was cancelled"
            )
        self._side.home(self.end)

    # -- in trio -----------------------------------------------------------------------------

    def end(self) -> None:
        """Let whoever waits go on."""
        self.has_ended = True
        self._news.set()

    def lose(self, error: Exception) -> None:
        """It can't be heard of any more."""
        if not self.has_ended:
            self.error = error
            self.end()

    async def wait(self) -> None:
        """Wait until it has ended."""
        while not self.has_ended:
            await self._wait_news()

    async def _wait_news(self) -> None:
        await self._news.wait()
        self._news = trio.Event()


class Feed(Job):
    """One async generator in the asyncio loop: what it yields comes home in lots."""

    def __init__(
        self,
        side: "AsyncioSide",
        fn: Callable[[], AsyncGenerator[Any, None]],
        context: Context,
        terms: Terms,
    ) -> None:
        super().__init__(side, fn, context, terms)
        self.items: deque[Any] = deque()
        """What has arrived and was not taken yet; only `pop` takes from it."""
        self._made = 0
        self._taken = self._paid = 0
        """Whose places were given back, of those taken."""
        self._is_told = False
        self._waits = False
        """Whether the generator waits at its `yield` for room."""
        self._has_room: asyncio.Future[None] | None = None
        self._is_stopping = False

    # -- in asyncio --------------------------------------------------------------------------

    async def _do(self) -> None:
        async with aclosing(self._fn()) as made:
            async for item in made:
                self._put(item)
                while self._made - self._paid >= self.terms.room and not self._is_stopping:
                    await self._wait_for_room()
                if self._is_stopping:
                    return

    def _put(self, item: Any) -> None:
        self.items.append(item)
        self._made += 1
        if not self._is_told:
            self._is_told = True
            self._side.home(self._arrive)

    async def _wait_for_room(self) -> None:
        self._has_room = self._side.loop.create_future()
        # First said, then looked: whoever pays does it the other way round.
        self._waits = True
        try:
            if self._made - self._paid >= self.terms.room:
                await self._has_room
        finally:
            self._waits = False

    def _go_on(self) -> None:
        if self._has_room is not None and not self._has_room.done():
            self._has_room.set_result(None)

    def stop(self) -> None:
        """End it: at its `yield`, or by a cancel where it waits for something of its own."""
        self._is_stopping = True
        if self._waits:
            self._go_on()
        else:
            self.cancel()

    # -- in trio -----------------------------------------------------------------------------

    def put_first(self, items: Iterable[Any]) -> None:
        """Have other messages come first; before it is started."""
        self.items.extend(items)
        self._made = len(self.items)

    def _arrive(self) -> None:
        self._is_told = False
        self._news.set()

    async def more(self) -> bool:
        """Wait until there is something in `items`; False: nothing more comes.

        Raises:
            BaseException: what the generator failed by, once all that it had yielded is taken.
        """
        while not self.items:
            self._pay()
            if self.has_ended:
                raise_error(self)
                return False
            await self._wait_news()
        return True

    def pop(self) -> Any:
        """Take the first of `items`."""
        item = self.items.popleft()
        self._taken += 1
        if 2 * (self._taken - self._paid) >= self.terms.room:
            self._pay()
        return item

    def _pay(self) -> None:
        """Give back the places of messages that were taken."""
        self._paid = self._taken
        if self._waits:
            self._side.post(self._go_on)
