"""Calls that cross and are cancelled at any moment: each ends as it says, and the next is whole."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.hosts import in_asyncio

Host = Literal["thread", "guest"]
Body = Callable[[], Awaitable[int]]
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=-1)


class CleanUpFailed(Exception):
    pass


async def at_once() -> int:
    return number.get()


async def in_a_step() -> int:
    await trio.lowlevel.checkpoint()
    return number.get()


async def deaf() -> int:
    """Ends as if nobody had cancelled it."""
    for _ in range(3):
        await trio.lowlevel.cancel_shielded_checkpoint()
    return number.get()


async def never() -> int:
    await trio.sleep_forever()
    raise AssertionError


async def never_and_fails() -> int:
    try:
        await trio.sleep_forever()
    finally:
        raise CleanUpFailed(number.get())


async def never_in_a_nursery() -> int:
    """What it raises is a group: of its own error, and of the cancel of its sibling."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await never_and_fails()
    raise AssertionError


BODIES = (at_once, in_a_step, deaf, never, never_and_fails, never_in_a_nursery)
calls = st.tuples(st.sampled_from(BODIES), st.integers(0, 4))


@pytest.mark.parametrize("host", ["thread", "guest"])
@settings(max_examples=40)
@given(plan=st.lists(calls, min_size=1, max_size=12))
def test_each_call_ends_as_it_says_and_the_next_is_whole(
    host: Host, plan: list[tuple[Body, int]]
) -> None:
    """X6: a cancel crosses, both sides wait, and no call hears of another's."""

    async def one(run: trouper.AsyncioRun, mine: int, body: Body, patience: int) -> None:
        number.set(mine)
        call = asyncio.ensure_future(run.call_there(body))
        for _ in range(patience):
            await run.call_there(at_once)
        was_done = call.done()
        call.cancel()
        ended: object
        (ended,) = await asyncio.gather(call, return_exceptions=True)
        if body in (never_and_fails, never_in_a_nursery):
            if isinstance(ended, ExceptionGroup):
                (ended,) = ended.exceptions
            # Cancelled before it had begun, it has nothing to clean up.
            assert isinstance(ended, CleanUpFailed | asyncio.CancelledError)
            assert isinstance(ended, asyncio.CancelledError) or ended.args == (mine,)
        elif body is never:
            assert isinstance(ended, asyncio.CancelledError)
        else:
            assert ended == mine if was_done else isinstance(ended, asyncio.CancelledError)
        assert await run.call_there(in_a_step) == mine

    async def main() -> None:
        async with trouper.open(_echo(), host=host) as run:
            assert isinstance(run, trouper.AsyncioRun)
            await asyncio.gather(*(one(run, *each) for each in _numbered(plan)))
            for mine, (body, patience) in enumerate(plan):  # and one after another
                await one(run, mine, body, patience)

    in_asyncio(main)


def _numbered(plan: list[tuple[Body, int]]) -> list[tuple[int, Body, int]]:
    return [(at, body, patience) for at, (body, patience) in enumerate(plan)]


def _echo() -> trouper.Workflow:
    workflow = trouper.Workflow("idle")

    @workflow.actor
    async def echo(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for each in ctx:
            await ctx.reply(each)

    return workflow
