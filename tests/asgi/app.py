"""The service that the tests start in real servers."""

import logging
from collections.abc import AsyncIterator

import fastapi
import msgspec

import trouper
import trouper.asgi

logging.basicConfig(level=logging.INFO, format="%(message)s")


class Order(msgspec.Struct):
    """What the service takes."""

    item: str
    pieces: int = 1


workflow = trouper.Workflow("orders")


@workflow.actor
async def price(ctx: trouper.ActorContext[None, None, Order, None]) -> None:
    async for order in ctx:
        await ctx.reply({"total": order.pieces * 2, "custom": ctx.custom_context})


@workflow.actor
async def count(
    ctx: trouper.ActorContext[None, None, int, dict[str, int]],
) -> AsyncIterator[dict[str, int]]:
    async for number in ctx:
        yield {"number": number}


lifespan = trouper.asgi.lifespan(workflow)
app = fastapi.FastAPI(lifespan=lifespan)
app.mount("/flow", trouper.asgi.router(lifespan, baggage=["team"], max_bytes=1_000))
