"""A generator whose output has ended: it hears so at its yield, wherever that yield stands."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress

import pytest
import trio

import trouper


async def drained(body: object) -> tuple[trouper.WorkflowResult, list[object]]:
    """Run a source until it has sent a little, drain, and return what its reader got."""
    got: list[object] = []
    workflow = trouper.Workflow("last")
    workflow.actor(name="source")(body)

    @workflow.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        got.extend([message async for message in ctx])

    async with workflow.open() as run:
        await trio.sleep(1)
        result = await run.drain()
    return result, got


async def test_a_source_that_yields_in_a_nursery_drains(autojump_clock: object) -> None:
    """C8: closed in a nursery it would raise a group that nothing may catch."""

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            for number in range(1000):
                yield number
                await trio.sleep(0.3)

    result, got = await drained(body)
    assert (result.status, result.cut_short) == ("completed", ())
    assert got == [0, 1, 2, 3, 4]


async def test_it_hears_of_the_end_as_an_exception(autojump_clock: object) -> None:
    """DESIGN, Output: any exception of the send goes in at the yield."""
    heard: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await trio.sleep(0.6)
        except trouper.EndOfOutput as end:
            heard.append(str(end))
            raise

    result, got = await drained(body)
    assert (result.status, heard) == ("completed", ["the run drains"])
    assert got == ["tick"] * 3


async def test_a_last_word_in_finally_is_sent(autojump_clock: object) -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await trio.sleep(0.6)
        finally:
            yield "bye"

    result, got = await drained(body)
    assert (result.status, result.nodes["source"].failed) == ("completed", 0)
    assert got == ["tick", "tick", "tick", "bye"]


@pytest.mark.parametrize("scope", [nullcontext, trio.open_nursery])
async def test_one_that_swallows_the_end_is_closed(
    autojump_clock: object, scope: Callable[[], AbstractAsyncContextManager[object]]
) -> None:
    """C8: a group of nothing but GeneratorExit is no failure."""

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        async with scope():
            while True:
                with suppress(trouper.EndOfOutput):
                    yield "tick"
                    await trio.sleep(0.6)

    result, got = await drained(body)
    assert (result.status, result.cut_short) == ("completed", ())
    assert got == ["tick"] * 4


async def test_a_failure_while_it_is_closed_counts(autojump_clock: object) -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        try:
            async with trio.open_nursery():
                while True:
                    with suppress(trouper.EndOfOutput):
                        yield "tick"
                        await trio.sleep(0.6)
        finally:
            raise BaseExceptionGroup("closing", [ValueError("crash")])

    result, _ = await drained(body)
    assert (result.status, result.failed_node) == ("failed", "source")
