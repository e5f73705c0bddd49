"""Actors that spawn children, and the children."""

from typing import Any

import trio

import trouper
from harness.members import Told

AT_ONCE = trouper.Backoff(min=0, max=0)


async def echo(ctx: trouper.ActorContext) -> None:
    """Sends what it gets, which nobody reads; the last one is its output."""
    async for message in ctx:
        await ctx.send(message)


async def for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()


async def always(ctx: trouper.ActorContext) -> None:
    raise Told("again")


async def run_parent(body: Any, **options: Any) -> trouper.WorkflowResult:
    """Run an actor that spawns, alone."""
    wf = trouper.Workflow()
    given: Any = {"backoff": AT_ONCE, **options}
    wf.actor(name="parent", **given)(body)
    return await wf.execute()
