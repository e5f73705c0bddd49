"""A handle belongs to the loop that opened it, and a thread has one guest."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import trouper
from harness.hosts import LIMIT


def echo() -> trouper.Workflow:
    workflow = trouper.Workflow("echo")

    @workflow.actor(name="echo")
    async def body(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            await ctx.reply(number)

    return workflow


def in_another_thread(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function in an event loop of another thread, to its end."""
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(LIMIT)


@pytest.mark.parametrize("host", ["thread", "guest"])
def test_another_loop_is_refused(host: Any) -> None:
    """Two hosts for one handle: the second is told, and the first goes on."""
    told: list[str] = []

    async def main() -> None:
        async with trouper.open(echo(), host=host) as run:

            async def elsewhere() -> None:
                with pytest.raises(RuntimeError) as caught:
                    await run.ask(1, to="echo")
                told.append(str(caught.value))
                with pytest.raises(RuntimeError) as caught:
                    await run.__aenter__()
                told.append(str(caught.value))

            in_another_thread(elsewhere)
            assert await run.ask(2, to="echo") == 2

    asyncio.run(main())
    assert "opened in another event loop" in told[0]
    assert "open another one" in told[1]


def test_a_second_guest_of_a_thread_is_refused() -> None:
    async def main() -> None:
        async with trouper.open(echo(), host="guest") as guest:
            with pytest.raises(RuntimeError, match="leave host='guest' out for all but one run"):
                async with trouper.open(echo(), host="guest"):
                    raise AssertionError("it was opened")
            async with trouper.open(echo()) as beside:
                assert await beside.ask(1, to="echo") == 1
            assert await guest.ask(2, to="echo") == 2
        async with trouper.open(echo(), host="guest") as again:
            assert await again.ask(3, to="echo") == 3

    asyncio.run(main())
