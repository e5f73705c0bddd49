"""The bodies of actors whose work is done in asyncio."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from ...actors._actor_context import ActorContext
from ...actors._ask import answer_as_value
from ...actors._stopping import Stopping
from ...channels._outlet import EndOfOutput
from ._asyncio_feed import AsyncioYields
from ._asyncio_of_run import current_asyncio

if TYPE_CHECKING:
    from ._asyncio_job import Feed

Context = ActorContext[Any, Any, Any, Any]
Call = Callable[..., Awaitable[Any]]
"""Calls the user's function in asyncio: a bridge."""


def call_body(call: Call, *, takes_ctx: bool, batch: int | None, sends: bool) -> Call:
    """Return the body of an actor that awaits a function for each message, or each batch."""

    async def run(ctx: Context) -> None:
        while True:
            x: Any = await (ctx.receive() if batch is None else ctx.receive_many(batch))
            result = await (call(ctx, x) if takes_ctx else call(x))
            for envelope in ctx.messages:
                if envelope.context.tracking:
                    answer_as_value(envelope.context, result, ctx.action.name)
            if sends:
                await ctx.send(result)

    return run


def each_body(
    generate: Callable[..., AsyncioYields[Any]], *, takes_ctx: bool, batch: int | None
) -> Call:
    """Return the body of an actor that sends all that a generator yields for each message."""

    async def run(ctx: Context) -> None:
        while True:
            x: Any = await (ctx.receive() if batch is None else ctx.receive_many(batch))
            async with generate(ctx, x) if takes_ctx else generate(x) as results:
                async for result in results:
                    await ctx.send(result)

    return run


def source_body(generate: Callable[..., AsyncioYields[Any]], *, takes_ctx: bool) -> Call:
    """Return the body of an actor that sends what a generator yields of its own accord."""

    async def run(ctx: Context) -> None:
        left = current_asyncio(ctx.action.name).left
        yields = generate(ctx) if takes_ctx else generate()
        # What a cancel has kept the incarnation before from sending.
        yields.feed.put_first(left.pop(ctx.action.name, ()))
        try:
            await _pass_on(ctx, yields)
        finally:
            if yields.feed.items:
                left.setdefault(ctx.action.name, deque()).extend(yields.feed.items)

    return run


async def _pass_on(ctx: Context, yields: AsyncioYields[Any]) -> None:
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            async with yields:
                nursery.start_soon(_stop_with, ctx.stopping, yields)
                await _send_all(ctx, yields.feed)
        except Exception as error:  # kept, because the nursery would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # it holds this frame


async def _stop_with(stopping: Stopping, yields: AsyncioYields[Any]) -> None:
    await stopping.wait()
    yields.side.post(yields.feed.stop)


async def _send_all(ctx: Context, feed: "Feed") -> None:
    """Send what is yielded; while the run drains, all that was yielded until the end."""
    end: EndOfOutput | None = None
    while await feed.more():
        while feed.items:
            try:
                await ctx.send(feed.items[0])
            except EndOfOutput as error:
                if not ctx.stopping:  # nobody reads any more
                    feed.items.clear()
                    raise
                end = error
            feed.pop()
    if end is not None:
        raise end


def yielding_once(fn: Call, name: str, *, sends: bool) -> Callable[..., AsyncGenerator[Any, None]]:
    """Return a function's one value as a generator, which is how a source runs."""

    async def generate(*args: Any) -> AsyncGenerator[Any, None]:
        value = await fn(*args)
        if sends:
            yield value

    generate.__name__ = name
    return generate
