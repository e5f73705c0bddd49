"""The same use of a run in each kind of host."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Literal

import sniffio
import trio

import trouper

Host = Literal["thread", "guest", "trio"]
"""asyncio with the actors in a thread of their own, or as a guest; or trio without any asyncio."""
HOSTS: tuple[Host, ...] = ("thread", "guest", "trio")
LIMIT = 60
"""Seconds: a hang must not hold up all other tests."""

Use = Callable[[Any], Awaitable[object]]


async def _wait(run: Any) -> None:
    await run.wait()


def run_in(
    host: Host, workflow: trouper.Workflow, use: Use = _wait, **options: Any
) -> trouper.WorkflowResult:
    """Open a run in a host of that kind, use it there, and return how it ended.

    Args:
        use: awaited there with the live handle; the run is drained when it returns.
    """
    if host == "trio":
        return trio.run(partial(_in_trio, workflow, use, options))
    return asyncio.run(_in_asyncio(host, workflow, use, options))


async def _in_trio(
    workflow: trouper.Workflow, use: Use, options: dict[str, Any]
) -> trouper.WorkflowResult:
    with trio.fail_after(LIMIT):
        async with trouper.open(workflow, **options) as run:
            await use(run)
        return await run.wait()


async def _in_asyncio(
    host: Any, workflow: trouper.Workflow, use: Use, options: dict[str, Any]
) -> trouper.WorkflowResult:
    async with asyncio.timeout(LIMIT):
        async with trouper.open(workflow, host=host, **options) as run:
            await use(run)
        return await run.wait()


def in_asyncio(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run `main()` in an asyncio loop of its own."""

    async def limited() -> Any:
        async with asyncio.timeout(LIMIT):
            return await main()

    return asyncio.run(limited())


def opened(
    workflow: trouper.Workflow, host: Literal["thread", "guest"] = "thread"
) -> trouper.AsyncioRun:
    """Open a run in asyncio, with the type that it has there."""
    run = trouper.open(workflow, host=host)
    assert isinstance(run, trouper.AsyncioRun)
    return run


def relaying() -> trouper.Workflow:
    """Return a workflow of one actor, `relay`: it sends each number on, and answers with it."""
    workflow = trouper.Workflow("relaying")

    @workflow.actor
    async def relay(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for number in ctx:
            yield number
            await ctx.reply(number)

    return workflow


async def side_by_side(*calls: Callable[[], Awaitable[object]]) -> None:
    """Await calls at the same time, in whatever loop runs here."""
    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(call)
    else:
        await asyncio.gather(*(call() for call in calls))


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds that happens in another loop: it has no event for this one."""
    turn = trio.lowlevel.checkpoint if sniffio.current_async_library() == "trio" else _turn
    while not condition():
        await turn()


async def _turn() -> None:
    time.sleep(20e-6)  # noqa: ASYNC251  # else a thread may never get the interpreter's lock
    await asyncio.sleep(0)
