"""How streams end: early, empty, unread, and begun again."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts, relays
from harness.ids import assert_edges_closed


async def test_a_consumer_that_ends_early_ends_its_producer(autojump_clock: MockClock) -> None:
    made: list[int] = []
    wf = trouper.Workflow()

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    @wf.actor(depends_on="endless", capacity=4)
    async def first_two(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield await ctx.receive()
        yield await ctx.receive()

    result = await wf.execute()
    assert result.status == "completed"
    assert result.outputs["first_two"] == 1
    assert {node.state for node in result.nodes.values()} == {"done"}
    assert len(made) < 20
    assert_edges_closed(result)


async def test_a_producer_goes_on_while_anyone_reads(autojump_clock: MockClock) -> None:
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(50))

    @wf.actor(depends_on="numbers")
    async def leaves(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    wf.actor(name="stays", depends_on="numbers")(collects(got))
    result = await wf.execute()
    assert got == list(range(50))
    (left,) = (edge for edge in result.edges if edge.target == "leaves")
    assert left.sent == left.acknowledged + left.dropped["reader_ended"]


async def test_an_output_that_is_not_sent_is_not_a_result(autojump_clock: MockClock) -> None:
    """The last value sent, not the one that waited for room when nobody read any more."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(30))

    @wf.actor(depends_on="numbers", capacity=2)
    async def one(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await trio.sleep(1)

    result = await wf.execute()
    (edge,) = result.edges
    assert result.outputs["numbers"] == edge.sent - 1


async def test_an_actor_that_never_reads_ends_like_any_other(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(200))

    @wf.actor(depends_on="numbers")
    async def deaf(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        await trio.sleep(1)
        yield "done"

    result = await wf.execute()
    assert result.unwrap()["deaf"] == "done"
    (edge,) = result.edges
    assert (edge.acknowledged, edge.dropped) == (0, {"reader_ended": 64})


async def test_a_generator_that_yields_nothing_has_no_output() -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="silent")(counts(0))
    wf.actor(name="sink", depends_on="silent")(collects(got))
    result = await wf.execute()
    assert (result.unwrap(), got) == ({}, [])


async def test_an_output_that_nothing_reads_is_no_error_and_lets_others_run() -> None:
    """A busy source without a reader does not stall the loop."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(10))
    assert (await wf.execute()).unwrap() == {"numbers": 9}

    endless = trouper.Workflow()

    @endless.actor
    async def busy(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        while True:
            yield 1

    async with endless.open() as run:
        run.cancel()
    assert (await run.wait()).status == "cancelled"


async def test_a_permanent_actor_is_started_again_until_its_input_ends() -> None:
    got: list[tuple[int, int]] = []
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(5))

    @wf.actor(depends_on="numbers", restart="permanent")
    async def one_each(ctx: trouper.ActorContext) -> None:
        got.append((ctx.state.setdefault("n", 0), await ctx.receive()))

    result = await wf.execute(state={})
    assert [number for _, number in got] == list(range(5))
    assert result.nodes["one_each"].incarnation >= 5
    assert result.nodes["one_each"].failed == 0
    assert_edges_closed(result)


async def test_a_permanent_actor_that_never_reads_can_be_cancelled() -> None:
    """It has no cancel point, so it is the supervisor that must not begin again."""
    begun = 0
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(200))

    at_once = trouper.Backoff(min=0, max=0)

    @wf.actor(depends_on="numbers", restart="permanent", max_restarts=1000, backoff=at_once)
    async def deaf(ctx: trouper.ActorContext) -> None:
        nonlocal begun
        begun += 1
        if begun == 50:
            run.cancel()
        assert begun < 1000

    async with wf.open() as run:
        result = await run.wait()
    assert result.status == "cancelled"
    assert begun < 60
    assert_edges_closed(result)


@pytest.mark.parametrize("capacity", [0, 1, 2, math.inf])
async def test_a_chain_works_at_any_capacity(capacity: float, autojump_clock: MockClock) -> None:
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(20))
    wf.actor(name="relay", depends_on="numbers", capacity=capacity)(relays())
    wf.actor(name="sink", depends_on="relay", capacity=capacity)(collects(got))
    (await wf.execute()).unwrap()
    assert got == list(range(20))
