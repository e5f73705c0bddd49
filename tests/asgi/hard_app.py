"""The service for hard times: it waits, crashes and fails when it is told to."""

import logging
from collections.abc import AsyncIterator

import fastapi
import msgspec
import trio

import trouper
import trouper.asgi

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("app")


class Job(msgspec.Struct):
    """What is to be done."""

    name: str


class Injected(Exception):
    """A crash on purpose."""


workflow = trouper.Workflow("hard")
gate = trio.Event()


@workflow.actor
async def echo(ctx: trouper.ActorContext[None, None, Job, None]) -> None:
    """Reply with the name; to "wait" not before the gate was opened."""
    async for job in ctx:
        if job.name == "wait":
            log.info("it waits")
            await gate.wait()
        await ctx.reply(job.name)


@workflow.actor
async def opener(ctx: trouper.ActorContext[None, None, Job, None]) -> None:
    """Open the gate."""
    async for _ in ctx:
        gate.set()


@workflow.actor
async def text(ctx: trouper.ActorContext[None, None, int, str]) -> AsyncIterator[str]:
    """Give texts of the lengths that are asked for."""
    async for length in ctx:
        yield "x" * length


@workflow.actor(max_attempts=2, backoff=trouper.Backoff(min=0.001, max=0.01), max_restarts=1_000)
async def held(ctx: trouper.ActorContext[None, None, Job, None]) -> None:
    """Handle nothing before the run drains, and crash over some then."""
    async for job in ctx:
        await ctx.stopping.wait()
        assert ctx.message is not None
        if job.name == "bad" or (job.name == "bad at first" and ctx.message.attempt == 1):
            raise Injected


@workflow.actor
async def stuck(ctx: trouper.ActorContext[None, None, Job, None]) -> None:
    """Never get on, not when the run drains either."""
    async for _ in ctx:
        await ctx.stopping.wait()
        log.info("stuck while it drains")
        await trio.sleep_forever()


@workflow.actor(max_restarts=0)
async def fatal(ctx: trouper.ActorContext[None, None, Job, None]) -> None:
    """Bring the run down."""
    async for job in ctx:
        raise Injected(job.name) from KeyError("the cause")


lifespan = trouper.asgi.lifespan(workflow, drain_budget=2.5, on_failure="exit")
app = fastapi.FastAPI(lifespan=lifespan)
app.mount("/flow", trouper.asgi.router(lifespan))
