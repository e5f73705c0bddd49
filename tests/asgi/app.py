"""The service that the tests start in real servers."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

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
handled: list[int] = []


@workflow.actor
async def price(ctx: trouper.ActorContext[None, None, Order, None]) -> None:
    async for order in ctx:
        await ctx.reply({"total": order.pieces * 2, "custom": ctx.custom_context})


@workflow.actor
async def count(
    ctx: trouper.ActorContext[None, None, int, dict[str, int]],
) -> AsyncIterator[dict[str, int]]:
    async for number in ctx:
        handled.append(number)
        yield {"number": number}


lifespan = trouper.asgi.lifespan(workflow)


@asynccontextmanager
async def life(app: fastapi.FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """Tell what was handled, when the run has ended."""
    async with lifespan(app) as state:
        yield state
    logging.getLogger("app").info("%d numbers handled", len(handled))


app = fastapi.FastAPI(lifespan=life)
app.mount("/flow", trouper.asgi.router(lifespan, baggage=["team"], max_bytes=1_000))
