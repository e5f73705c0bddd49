"""Graphs made of plain relays, in every style that an actor may be written in."""

from collections.abc import AsyncIterator
from typing import Any

import trouper

from ._load import Load

Context = trouper.ActorContext[None, Load, int, int]
RELAYS = 5
HOPS = RELAYS + 1
BATCH = 64


async def source(ctx: Context) -> None:
    await ctx.deps.opened()
    for item in ctx.deps.stream():
        await ctx.send(item)


async def relay(ctx: Context) -> None:
    async for message in ctx:
        await ctx.send(message)


async def sink(ctx: trouper.ActorContext[None, Load, int, None]) -> None:
    count = 0
    async for _ in ctx:
        count += 1
    ctx.deps.arrived(count)


async def relay_by_receive(ctx: Context) -> None:
    while True:
        await ctx.send(await ctx.receive())


async def sink_by_receive(ctx: trouper.ActorContext[None, Load, int, None]) -> None:
    count = 0
    try:
        while True:
            await ctx.receive()
            count += 1
    except trouper.EndOfInput:
        ctx.deps.arrived(count)


async def source_by_yield(ctx: Context) -> AsyncIterator[int]:
    await ctx.deps.opened()
    for item in ctx.deps.stream():
        yield item


async def relay_by_yield(ctx: Context) -> AsyncIterator[int]:
    async for message in ctx:
        yield message


async def source_by_batch(ctx: Context) -> None:
    await ctx.deps.opened()
    items = list(ctx.deps.stream())
    for at in range(0, len(items), BATCH):
        await ctx.send_many(items[at : at + BATCH])


async def relay_by_batch(ctx: Context) -> None:
    while True:
        await ctx.send_many(await ctx.receive_many(BATCH))


async def sink_by_batch(ctx: trouper.ActorContext[None, Load, int, None]) -> None:
    count = 0
    try:
        while True:
            count += len(await ctx.receive_many(BATCH))
    except trouper.EndOfInput:
        ctx.deps.arrived(count)


STYLES: dict[str, tuple[Any, Any, Any]] = {
    "async for + send": (source, relay, sink),
    "receive + send": (source, relay_by_receive, sink_by_receive),
    "generator": (source_by_yield, relay_by_yield, sink),
    "batch": (source_by_batch, relay_by_batch, sink_by_batch),
}


def chain(
    style: str = "async for + send", relays: int = RELAYS, capacity: float = 64
) -> trouper.Workflow:
    """Return source -> relays -> sink."""
    first, middle, last = STYLES[style]
    workflow = trouper.Workflow("chain")
    workflow.actor(name="source")(first)
    before = "source"
    for number in range(relays):
        name = f"relay{number}"
        workflow.actor(name=name, depends_on=[before], capacity=capacity)(middle)
        before = name
    workflow.actor(name="sink", depends_on=[before], capacity=capacity)(last)
    return workflow
