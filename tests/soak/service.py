"""The service that the soak puts load on: its actors crash at random, and it notes all ids.

When its run has ended, `report.json` says which ids were seen, and what became of the others.
"""

import itertools
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import msgspec

import trouper
import trouper.asgi

logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.getLogger("trouper").addFilter(lambda record: record.levelno != logging.WARNING)

CRASHES = 0.05
"""Share of the places where an actor may crash, at which it does."""
rng = random.Random(int(os.environ.get("TROUPER_SOAK_SEED", "1")))
replies = itertools.count()
seen: Counter[str] = Counter()


class Item(msgspec.Struct):
    """What is asked and sent."""

    id: str


class Injected(Exception):
    """A crash on purpose."""


def perhaps_crash() -> None:
    if rng.random() < CRASHES:
        raise Injected


workflow = trouper.Workflow("soaked")
OPTIONS: dict[str, Any] = {
    "max_restarts": 10_000_000,
    "max_attempts": 2,
    "backoff": trouper.Backoff(min=0.001, max=0.01),
    "capacity": 32,
}


@workflow.actor(**OPTIONS)
async def answer(ctx: trouper.ActorContext[None, None, Item, None]) -> None:
    """Reply, and crash before or after that now and then."""
    async for question in ctx:
        perhaps_crash()
        await ctx.reply({"id": question.id, "reply": next(replies)})
        perhaps_crash()


@workflow.actor(**OPTIONS)
async def take(ctx: trouper.ActorContext[None, None, Item, Item]) -> AsyncIterator[Item]:
    """Pass on, likewise."""
    async for item in ctx:
        perhaps_crash()
        yield item
        perhaps_crash()


@workflow.actor(**OPTIONS, depends_on=[take])
async def keep(ctx: trouper.ActorContext[None, None, Item, Item]) -> AsyncIterator[Item]:
    """Note the id, likewise."""
    async for item in ctx:
        perhaps_crash()
        seen[item.id] += 1
        yield item
        perhaps_crash()


lifespan = trouper.asgi.lifespan(workflow)


@asynccontextmanager
async def life(app: fastapi.FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """Write the report around the life of the run."""
    async with lifespan(app) as state:
        yield state
    assert lifespan.result is not None
    write_report(lifespan.result)


def write_report(result: trouper.WorkflowResult) -> None:
    report = {
        "status": result.status,
        "reason": result.reason,
        "seen": seen,
        "letters": [
            # The reply to a client that has gone is a dead letter too.
            each.envelope.payload.id
            for each in result.dead_letters
            if isinstance(each.envelope.payload, Item)
        ],
        "letters_fallen_out": result.dead_letters_fallen_out,
        "failed": sum(node.failed for node in result.nodes.values()),
        "edges": result.edges,
    }
    Path("report.json").write_bytes(msgspec.json.encode(report))


app = fastapi.FastAPI(lifespan=life)
app.mount("/flow", trouper.asgi.router(lifespan))
