"""DESIGN, Output: a yield of what was sent just before is not sent again, and nothing else."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

import trouper
from harness.stage import Stage


async def run(body: Callable[[Any], Any], *payloads: Any) -> tuple[list[Any], int]:
    stage = await Stage(body).live(*payloads)
    assert stage.child.state.value == "done", stage.failed
    return stage.sent(), stage.box.repeated


async def test_the_seeds_monitor_sends_each_message_once() -> None:
    async def monitor(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        while True:
            message = await ctx.receive()
            processed = message.upper()
            await ctx.send(processed)
            yield processed

    assert await run(monitor, "a", "b", "c") == (["A", "B", "C"], 3)


async def test_only_the_same_object_repeats() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[list[int]]:
        first, equal = [1], [1]
        await ctx.send(first)
        yield equal
        yield first

    assert await run(body) == ([[1], [1], [1]], 0)


async def test_the_second_yield_of_it_is_sent() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        await ctx.send("x")
        yield "x"
        yield "x"

    assert await run(body) == (["x", "x"], 1)


async def test_a_yield_then_a_send_are_two() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        yield "x"
        await ctx.send("x")

    assert await run(body) == (["x", "x"], 0)


async def test_a_send_between_ends_it() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        await ctx.send("x")
        await ctx.send("y")
        yield "x"

    assert await run(body) == (["x", "y", "x"], 0)


async def test_a_send_of_many_between_ends_it() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        await ctx.send("x")
        await ctx.send_many(["y"])
        yield "x"

    assert await run(body) == (["x", "y", "x"], 0)


async def test_a_receive_between_ends_it() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        kept = await ctx.receive()
        await ctx.send(kept)
        await ctx.receive()
        yield kept

    assert await run(body, "x", "y") == (["x", "x"], 0)


async def test_a_send_that_was_cancelled_repeats_nothing(autojump_clock: object) -> None:
    stage: Stage

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[object]:
        await ctx.send("x")
        with trio.move_on_after(1):
            await ctx.send("y")
        stage.reader.close()
        yield "x"

    stage = Stage(body, out_capacity=1)
    await stage.live()
    assert stage.box.repeated == 0


@pytest.mark.parametrize("to_alerts_between", [True, False])
async def test_a_send_to_another_output_between_ends_it(to_alerts_between: bool) -> None:
    wf = trouper.Workflow("w")
    seen: list[object] = []

    @wf.actor(outputs={"alerts": str})
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        await ctx.send("x")
        if to_alerts_between:
            await ctx.send("x", to="alerts")
        yield "x"

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        seen.extend([message async for message in ctx])

    @wf.actor(depends_on="source.alerts")
    async def alerts(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass

    result = await wf.execute()
    assert seen == (["x", "x"] if to_alerts_between else ["x"])
    assert result.nodes["source"].repeated == (0 if to_alerts_between else 1)


async def test_a_send_to_another_output_alone_is_no_repeat() -> None:
    wf = trouper.Workflow("w")
    seen: list[object] = []

    @wf.actor(outputs={"alerts": str})
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        await ctx.send("x", to="alerts")
        yield "x"

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        seen.extend([message async for message in ctx])

    result = await wf.execute()
    assert (seen, result.nodes["source"].repeated) == (["x"], 0)


async def test_a_coroutine_never_repeats() -> None:
    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.send("x")
        await ctx.send("x")

    assert await run(body) == (["x", "x"], 0)
