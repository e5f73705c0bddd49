"""Blocks of `ctx.leased()` beside bodies, drains, `receive`, and runs of their own."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import counts


async def test_blocks_inside_of_several_bodies(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(8))
    done: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=2)
    async def bodies(ctx: trouper.ActorContext) -> None:
        async def work() -> None:
            while True:
                async with ctx.leased() as number:
                    await trio.sleep(1)
                    done.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(work)

    result = await workflow.execute()
    assert (result.status, sorted(done)) == ("completed", [*range(8)])
    assert int(result.seconds) == 2


async def test_a_drain_accepts_one_more_output_and_acknowledges(autojump_clock: MockClock) -> None:
    """The end of the actor's own output in a block is a normal end, not a failure."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as number:
                while True:
                    await trio.sleep(1)
                    await ctx.send(number)

    got: list[int] = []

    @workflow.actor(depends_on="source")
    async def few(ctx: trouper.ActorContext) -> None:
        got.append(await ctx.receive())

    async with workflow.open() as run:
        await run.send(7, to="source")
        await trio.sleep(4)
        result = await run.drain()
    assert (result.status, got) == ("completed", [7])
    assert result.nodes["source"].failed == 0


async def test_a_lease_is_for_one_block(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(2))

    @workflow.actor(depends_on="numbers")
    async def twice(ctx: trouper.ActorContext) -> None:
        lease = ctx.leased()
        async with lease:
            with pytest.raises(RuntimeError, match="for one block"):
                async with lease:
                    pass

    result = await workflow.execute()
    assert result.status == "completed"


async def test_beside_receive_it_is_refused(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def mixed(ctx: trouper.ActorContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.receive)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="waits in receive"):
                async with ctx.leased():
                    pass
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:

            async def hold() -> None:
                async with ctx.leased():
                    pass

            nursery.start_soon(hold)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match=r"ctx\.leased\(\)"):
                await ctx.receive()
            nursery.cancel_scope.cancel()

    async with workflow.open() as run:
        await wait_all_tasks_blocked()
        result = await run.drain()
    assert result.status == "completed"


async def test_without_a_run_it_says_what_to_do() -> None:
    with pytest.raises(NotImplementedError, match="connected to no run"):
        async with trouper.ActorContext[Any, Any, Any, Any]().leased():
            pass


async def test_a_run_inside_of_a_block_is_a_run_of_its_own(autojump_clock: MockClock) -> None:
    """X1: what another run sends is not sent on account of this block's message."""
    inner = trouper.Workflow("inner")
    inner.actor(name="numbers")(counts(3))
    ids: list[str] = []

    @inner.actor(depends_on="numbers")
    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as number:
                await ctx.send(number)

    @inner.actor(depends_on="relay")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            ids.append(ctx.message.id)

    outer = trouper.Workflow("outer")
    outer.actor(name="one")(counts(1))

    @outer.actor(depends_on="one")
    async def nests(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased():
                await inner.execute()

    result = await outer.execute()
    assert result.status == "completed"
    assert ids == ["numbers:1", "numbers:2", "numbers:3"]
