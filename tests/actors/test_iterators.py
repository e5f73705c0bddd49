"""`aiter(ctx)`: an iterator of one's own, which goes on after a wait that was cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.hosts import in_asyncio, opened
from trouper.channels._generators import is_asked_by_loop

Host = Literal["thread", "guest"]


def in_halves(ends_at: int) -> trouper.Workflow:
    """Return a workflow whose source says a number every two seconds."""
    workflow = trouper.Workflow("halves")

    @workflow.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        for number in range(ends_at):
            await trio.sleep(2)
            await ctx.send(number)

    return workflow


async def test_a_wait_that_was_cancelled_is_no_end(autojump_clock: MockClock) -> None:
    """X1, X13: nothing is lost, nothing is skipped, and the end is the end."""
    workflow = in_halves(5)
    read: list[int | str] = []

    @workflow.actor(depends_on="source")
    async def reader(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        messages = aiter(ctx)
        assert aiter(messages) is messages
        while True:
            try:
                with trio.move_on_after(1.5) as limit:
                    read.append(await anext(messages))
            except StopAsyncIteration:
                return
            if limit.cancelled_caught:
                read.append("late")

    (await workflow.execute()).unwrap()
    assert [each for each in read if each != "late"] == [0, 1, 2, 3, 4]
    assert read.count("late") == 5


async def test_both_iterators_of_an_actor_take_from_one_mailbox() -> None:
    workflow = trouper.Workflow("mixed")
    read: list[int] = []

    @workflow.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await ctx.send_many(range(7))

    @workflow.actor(depends_on="source")
    async def reader(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        messages = aiter(ctx)
        read.append(await anext(messages))
        async for number in ctx:
            read.append(number)
            if number == 2:
                break
        read.extend([number async for number in messages])
        with pytest.raises(StopAsyncIteration):
            await anext(messages)

    (await workflow.execute()).unwrap()
    assert read == [*range(7)]


@pytest.mark.parametrize("host", ["thread", "guest"])
def test_so_it_is_with_streams_in_asyncio(host: Host) -> None:
    async def main() -> None:
        workflow = trouper.Workflow("stream")

        @workflow.actor
        async def relay(ctx: trouper.ActorContext[None, None, int, int]) -> None:
            async for number in ctx:
                await ctx.send(number)

        async with opened(workflow, host) as run, run.stream("relay") as numbers:
            mine = aiter(numbers)
            waiting = asyncio.ensure_future(anext(mine))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await run.send(1)
            assert await anext(mine) == 1

    in_asyncio(main)


class Asked:
    """Notes who asks it for an iterator."""

    def __init__(self) -> None:
        self.by_loop: list[bool] = []

    def __aiter__(self) -> "Asked":
        self.by_loop.append(is_asked_by_loop())
        return self

    async def __anext__(self) -> None:
        raise StopAsyncIteration


async def _loop(asked: Asked) -> None:
    async for _ in asked:
        pass


async def _comprehension(asked: Asked) -> None:
    _ = [each async for each in asked]


async def _generator(asked: Asked) -> None:
    async for _ in (each async for each in asked):
        pass


async def _aiter(asked: Asked) -> None:
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(asked))


async def _by_name(asked: Asked) -> None:
    async for _ in asked.__aiter__():
        pass


@pytest.mark.parametrize(
    ("body", "by_loop"),
    [
        (_loop, [True]),
        (_comprehension, [True]),
        (_generator, [True]),
        (_aiter, [False]),
        (_by_name, [False, True]),
    ],
)
async def test_who_asks_is_known(
    body: Callable[[Asked], Awaitable[None]], by_loop: list[bool]
) -> None:
    """Only a loop gets the generator, which is faster and does not outlive a cancel."""
    asked = Asked()
    await body(asked)
    assert asked.by_loop == by_loop
