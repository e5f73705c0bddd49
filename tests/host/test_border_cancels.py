"""A host that is cancelled at the border: nothing hangs, nothing is left, no cancel changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import anyio
import pytest
import trio

import trouper
from harness.hosts import in_asyncio, opened, relaying
from trouper.runtime.host._crossing import CROSSING

Host = Literal["thread", "guest"]
HOSTS = pytest.mark.parametrize("host", ["thread", "guest"])


@HOSTS
def test_a_cancel_while_trio_starts_ends_the_run(host: Host) -> None:
    """X6: it comes before there is a loop that could be told, or at any of the steps after."""

    async def use() -> None:
        async with opened(relaying(), host):
            await asyncio.Event().wait()

    async def main() -> None:
        for steps in range(12):
            task = asyncio.create_task(use())
            for _ in range(steps + 1):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    in_asyncio(main)


def test_a_guest_that_was_left_open_is_cancelled_with_its_loop() -> None:
    """`asyncio.run()` ends, and the actors' clean-up has been run: there is no thread for it."""
    seen: list[str] = []
    workflow = trouper.Workflow("careful")

    @workflow.actor
    async def careful(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        try:
            async for _ in ctx:
                await ctx.reply("here")
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            seen.append("cleaned up")

    async def main() -> trouper.AsyncioRun:
        run = await opened(workflow, "guest").__aenter__()
        assert await run.ask(1, to="careful") == "here"
        return run

    run = asyncio.run(main())
    assert seen == ["cleaned up"]
    assert run.result().reason == "the event loop that it was a guest of ends"


@HOSTS
def test_a_cancel_before_the_run_has_begun_counts(host: Host) -> None:
    async def main() -> None:
        run = opened(relaying(), host)
        run.cancel("too early")
        async with run:
            result = await run.wait()
        assert (result.status, result.reason) == ("cancelled", "too early")

    in_asyncio(main)


@HOSTS
def test_anyio_knows_its_own_cancel_again(host: Host) -> None:
    """Of a run that drains when the scope is cancelled: the scope takes it, nobody above does."""
    workflow = trouper.Workflow("slow")

    @workflow.actor
    async def slow(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async def main() -> None:
        run = opened(workflow, host)
        with anyio.CancelScope() as scope:
            async with run:
                await run.send(1)
                asyncio.get_running_loop().call_soon(scope.cancel)
        assert scope.cancelled_caught
        assert (await run.wait()).status == "cancelled"

    in_asyncio(main)


@HOSTS
def test_a_stream_whose_opening_was_cancelled_holds_nobody_up(host: Host) -> None:
    workflow, many, begin = trouper.Workflow("counting"), CROSSING + 1_000, trio.Event()

    @workflow.actor
    async def count(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        await begin.wait()
        for number in range(many):
            yield number

    async def go_on() -> None:
        begin.set()

    async def main() -> None:
        async with opened(workflow, host) as run:

            async def read() -> None:
                async with run.stream("count"):
                    raise AssertionError("it was opened")

            reading = asyncio.create_task(read())
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await run.call_there(go_on)
            assert (await run.wait()).outputs["count"] == many - 1

    in_asyncio(main)


@HOSTS
def test_a_clean_up_that_fails_keeps_its_cause(host: Host) -> None:
    begun = asyncio.Event()

    async def wait(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(begun.set)
            await trio.sleep_forever()
        finally:
            raise OSError("still open") from KeyError("handle")

    async def main() -> None:
        async with opened(relaying(), host) as run:
            waiting = asyncio.create_task(run.call_there(wait, asyncio.get_running_loop()))
            await begun.wait()
            waiting.cancel()
            with pytest.raises(OSError, match="still open") as caught:
                await waiting
        assert isinstance(caught.value.__cause__, KeyError)

    in_asyncio(main)


def test_a_cancel_is_not_lost_in_the_failure_of_its_call() -> None:
    """Both come at the same moment, and who is cancelled must hear of it."""

    async def fail(caller: "list[asyncio.Task[Any]]") -> None:
        caller[0].cancel()
        raise ValueError("at that moment")

    async def main() -> None:
        async with opened(relaying(), "guest") as run:
            caller: list[asyncio.Task[Any]] = []
            caller.append(asyncio.create_task(run.call_there(fail, caller)))
            with pytest.raises(asyncio.CancelledError):
                await caller[0]

    in_asyncio(main)


@HOSTS
def test_it_is_refused_where_the_actors_run(host: Host) -> None:
    """An actor that used the handle would wait in a loop that is not there, or is not its own."""
    workflow, handles = trouper.Workflow("lost"), list[trouper.AsyncioRun]()

    @workflow.actor
    async def lost(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            with pytest.raises(RuntimeError, match=r"in an actor use its own `ctx`") as caught:
                await handles[0].ask(number, to="lost")
            await ctx.reply(str(caught.value))

    async def main() -> None:
        async with opened(workflow, host) as run:
            handles.append(run)
            assert "it is for asyncio" in await run.ask(1, to="lost")

    in_asyncio(main)
