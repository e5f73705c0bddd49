"""Crashes out of `ctx.leased()` blocks count as any crash over a message: once for each message."""

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

import trouper
from harness.bodies import counts
from harness.ids import assert_edges_closed

AT_ONCE = trouper.Backoff(min=0, max=0)


@frozen
class Frozen(Exception):
    """One on which nothing can be set."""

    number: int


def graph(n: int, poison: set[int], *, groups: bool, **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(n))

    @wf.actor(name="pool", depends_on="numbers", backoff=AT_ONCE, **options)
    async def pool(ctx: trouper.ActorContext) -> None:
        async def work() -> None:
            while True:
                async with ctx.leased() as number:
                    await trio.lowlevel.checkpoint()
                    if number in poison:
                        raise Frozen(number)

        if not groups:
            await work()
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)

    return wf


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("groups", [False, True])
async def test_a_poison_message_counts_once(
    groups: bool, concurrency: int, autojump_clock: MockClock
) -> None:
    """X22, S2: it is bounded by `max_attempts`; only another message is another failure."""
    options: dict[str, Any] = {"max_attempts": 5, "max_restarts": 1, "concurrency": concurrency}
    result = await graph(6, {3}, groups=groups, **options).execute()
    assert result.ok, result.reason
    assert result.nodes["pool"].failed == 5
    [letter] = result.dead_letters
    assert (letter.envelope.payload, len(letter.attempts)) == (3, 5)
    assert_edges_closed(result)


@pytest.mark.parametrize("groups", [False, True])
async def test_each_message_counts_and_the_story_names_the_last(
    groups: bool, autojump_clock: MockClock
) -> None:
    """S10, K2: as without a block."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(9))
    group = wf.group("g")

    @group.actor(depends_on="numbers", backoff=AT_ONCE, max_attempts=2, max_restarts=3)
    async def pool(ctx: trouper.ActorContext) -> None:
        async def work() -> None:
            while True:
                async with ctx.leased() as number:
                    raise Frozen(number)

        if not groups:
            await work()
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)

    result = await wf.execute()
    assert result.status == "failed"
    [told] = result.groups["g"].escalations
    # Each of the first three was tried twice; the first attempt at the fourth was one too many.
    assert (told.incarnation, told.attempt, told.message) == (7, 1, "numbers:4")
    assert "failed 4 times in 10 s" in told.reason


async def test_without_a_limit_of_attempts_each_one_counts(autojump_clock: MockClock) -> None:
    """S2: nothing else would ever end such a loop."""
    wf = graph(2, {0}, groups=False, max_attempts=None, max_restarts=7)
    result = await wf.execute()
    assert result.status == "failed"
    assert result.nodes["pool"].failed == 8


async def test_another_failure_beside_that_of_a_block_counts(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(1))

    @wf.actor(depends_on="numbers", backoff=AT_ONCE, max_attempts=100, max_restarts=4)
    async def pool(ctx: trouper.ActorContext) -> None:
        async def fails() -> None:
            raise OSError("by itself")

        async def work() -> None:
            async with ctx.leased():
                raise ValueError("over its message")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(fails)

    result = await wf.execute()
    assert result.status == "failed"
    assert result.nodes["pool"].failed == 5
