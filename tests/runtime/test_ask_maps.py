"""Questions to maps are answered by what the function returns; to batch tasks they can't be put."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.ids import assert_edges_closed

Context = trouper.ActorContext[Any, Any, Any, Any]


async def twice(number: int) -> int:
    await trio.sleep(10 - number)
    return 2 * number


def graph(function: Any = twice, **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()

    @wf.actor
    async def numbers(ctx: Context) -> AsyncIterator[Any]:
        async for number in ctx:
            yield number

    wf.map(function, over="numbers", name="map", **options)

    @wf.actor(depends_on="map")
    async def after(ctx: Context) -> None:
        async for number in ctx:
            if ctx.message is not None and ctx.message.context.tracking:
                await ctx.reply(f"= {number}")

    return wf


@pytest.mark.parametrize(("concurrency", "ordered"), [(1, True), (4, True), (4, False)])
async def test_a_map_that_is_asked_replies_with_its_value(
    concurrency: int, ordered: bool, autojump_clock: MockClock
) -> None:
    """P23, V2: each asker gets its own, whoever is further down; nobody is late with another."""
    answers: dict[int, Any] = {}
    async with graph(concurrency=concurrency, ordered=ordered).open() as run:

        async def ask(number: int) -> None:
            answers[number] = await run.ask(number, to="map", timeout=None)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(ask, number)
        result = await run.drain()
    assert answers == {number: 2 * number for number in range(8)}
    assert result.nodes["after"].late_replies == 8
    assert_edges_closed(result)


def squared(number: int) -> int:
    return number * number


async def test_a_function_that_blocks_replies_too() -> None:
    async with graph(squared).open() as run:
        assert await run.ask(5, to="map", timeout=None) == 25


async def test_a_question_that_only_passes_by_is_answered_where_it_was_meant(
    autojump_clock: MockClock,
) -> None:
    """It was put to somebody else: who that is, or whoever is further down, replies."""
    async with graph().open() as run:
        assert await run.ask(3, to="numbers") == "= 6"
        assert await run.ask(3, to="map", reply_from="map") == 6
        assert await run.ask(3, to="numbers", reply_from="map") == 6


async def test_what_the_function_replies_itself_comes_first(autojump_clock: MockClock) -> None:
    async def replies(ctx: Context, number: int) -> int:
        await ctx.reply("by itself")
        return number

    async with graph(replies).open() as run:
        assert await run.ask(3, to="map") == "by itself"
        result = await run.drain()
    assert result.nodes["map"].late_replies == 0


async def test_a_function_that_fails_each_time_fails_the_asker() -> None:
    async def fails(number: int) -> int:
        raise OSError("no")

    async with graph(fails).open() as run:
        with pytest.raises(trouper.AskFailed, match="OSError: no"):
            await run.ask(3, to="map")


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("ask", r"'once' is a batch task: it runs once, .* or have its function called for each"),
        ("pause", r"no messages between which to pause it; use an actor, or wf\.map"),
        ("resume", r"no messages between which to resume it"),
        ("reconfigure", r"no messages between which to reconfigure it"),
        ("stop", r"'once' is a batch task: nodes that wait for its result .* to stop it alone"),
        ("kill", r"to kill it alone; give it a limit of its own .*run\.cancel\(\)"),
    ],
)
async def test_what_can_not_be_done_with_a_batch_task_is_told(what: str, text: str) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def once() -> int:
        return 1

    @wf.actor
    async def waits(ctx: Context) -> None:
        await ctx.receive()

    async with wf.open() as run:
        with pytest.raises(ValueError, match=text):
            match what:
                case "ask":
                    await run.ask(1, to="once")
                case "stop":
                    await run.stop("once")
                case "reconfigure":
                    await run.reconfigure("once", capacity=5)
                case _:
                    getattr(run, what)("once")


async def test_a_batch_task_has_no_output_to_reply_from() -> None:
    wf = graph()

    @wf.task(depends_on="map", collect="all")
    async def all_of_them(numbers: list[int]) -> list[int]:
        return numbers

    async with wf.open() as run:
        with pytest.raises(ValueError, match="comes at the end of the streams into it"):
            await run.ask(1, to="map", reply_from="all_of_them")
