"""Outputs at the edges: before a message, at the end of a run, and what is kept of attempts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts


async def test_skip_leaves_out_only_what_was_made_from_a_message() -> None:
    """B5t: a greeting at the start of an incarnation is no output of the message that crashed."""
    crashes = iter([True, True, False])
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(1))

    @workflow.actor(
        depends_on="numbers", on_redelivery="skip", backoff=trouper.Backoff(max=0, min=0)
    )
    class Greeter:
        async def start(self, ctx: trouper.ActorContext) -> None:
            await ctx.send("hello")

        async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[object]:
            async for number in ctx:
                yield number
                yield number + 1
                if next(crashes):
                    raise ValueError("crash")

    got: list[object] = []
    workflow.actor(name="sink", depends_on="greeter")(collects(got))
    assert (await workflow.execute()).ok
    assert got == ["hello", 0, 1, "hello", "hello"]


async def test_a_source_that_waits_for_room_sends_one_more_message(
    autojump_clock: MockClock,
) -> None:
    """A3, DESIGN, Ending a run: its next send is accepted and then ends it, also one under way."""
    tried: list[int] = []
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        for number in range(100):  # pragma: no branch - the drain ends it
            tried.append(number)
            await ctx.send(number)

    got: list[int] = []

    @workflow.actor(depends_on="source", capacity=2)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            got.append(number)
            await trio.sleep(1)

    async with workflow.open() as run:
        await trio.sleep(0.5)
        before = list(tried)
        assert (await run.drain()).status == "completed"
    assert got == tried == before


async def test_what_is_sent_together_is_accepted_together(autojump_clock: MockClock) -> None:
    """A3: of a batch that a source sends while the run drains, nothing is left out."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await trio.sleep(1)
        await ctx.send_many(range(200))
        await ctx.send(-1)

    got: list[int] = []
    workflow.actor(name="sink", depends_on="source")(collects(got))
    async with workflow.open() as run:
        await trio.sleep(0.5)
        assert (await run.drain()).status == "completed"
    assert got == list(range(200))


async def test_a_batch_that_nobody_reads_any_more_ends_at_once() -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many(range(1000))

    for name in "ab":

        @workflow.actor(depends_on="source", name=name)
        async def sink(ctx: trouper.ActorContext) -> None:
            await ctx.receive()

    result = await workflow.execute()
    assert result.ok
    assert result.nodes["source"].sent < 1000


async def test_a_message_keeps_a_bounded_history() -> None:
    """X17: of attempts without limit, the last ones are told."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(1))

    @workflow.actor(depends_on="numbers", max_attempts=60, backoff=trouper.Backoff(max=0, min=0))
    async def sink(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        assert ctx.message is not None
        raise ValueError(f"attempt {ctx.message.attempt}")

    (letter,) = (await workflow.execute()).dead_letters
    told = [failure.message for failure in letter.failures]
    assert told == [f"attempt {number}" for number in range(41, 61)]


@pytest.mark.parametrize("fan_in", ["zip", "latest"])
async def test_a_join_keeps_no_list_of_its_lanes(fan_in: Any) -> None:
    """X17: with a join nobody takes turns."""
    sizes: set[int] = set()
    workflow = trouper.Workflow()
    workflow.actor(name="a")(counts(300))
    workflow.actor(name="b")(counts(300))

    @workflow.actor(depends_on=["a", "b"], fan_in=fan_in, capacity=1)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            sizes.add(len(ctx._mailbox.ready))

    assert (await workflow.execute()).ok
    assert sizes == {0}
