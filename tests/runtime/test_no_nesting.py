"""Contexts of messages that come from one another, over and over, do not pile up."""

from typing import Any

from trio.testing import MockClock

import trouper
from trouper import Edge, MessageContext

TRACE = f"00-{'1' * 32}-{'2' * 16}-01"
LAPS = 200


async def test_a_message_that_an_actor_sends_itself_has_the_context_of_the_first() -> None:
    """K5: no lap adds a parent, a link or a level; the trace is handed on as it came."""
    wf = trouper.Workflow()
    seen: list[MessageContext] = []

    @wf.actor(depends_on={"loop": Edge(feedback=True)})
    async def loop(ctx: trouper.ActorContext[Any, Any, int, int]) -> None:
        async for lap in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.context)
            if lap < LAPS:
                await ctx.send(lap + 1)

    async with wf.open() as run:
        await run.send(1, to="loop", traceparent=TRACE)
        await run.drain()
    assert len(seen) == LAPS
    assert {(context.traceparent, context.links) for context in seen} == {(TRACE, ())}
    assert len({id(context) for context in seen}) == 1


async def test_what_a_timer_makes_is_no_child_of_what_it_made_before(
    autojump_clock: MockClock,
) -> None:
    """K5: each tick begins with the context of the run, also if one came from outside meanwhile."""
    wf = trouper.Workflow()
    seen: list[tuple[Any, MessageContext]] = []

    @wf.actor
    async def ticker(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        async for tick in ctx.every(1.0):
            await ctx.send(tick)
            if tick == 20:
                return

    @wf.actor(depends_on="ticker")
    async def sink(ctx: trouper.ActorContext[Any]) -> None:
        async for message in ctx:
            assert ctx.message is not None
            seen.append((message, ctx.message.context))

    async with wf.open() as run:
        await run.send("from outside", to="sink", source="ticker", traceparent=TRACE)
        await run.wait()
    of_ticks = [context for message, context in seen if message != "from outside"]
    assert len(of_ticks) == 21
    assert {(each.traceparent, each.links) for each in of_ticks} == {(None, ())}
    assert [each.traceparent for message, each in seen if message == "from outside"] == [TRACE]
