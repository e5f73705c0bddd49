"""Nodes that wait for one another: found and named, instead of a wait for the time limit."""

import linecache
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import trouper
from trouper.actors._ask_cycles import find_path, find_stuck

Context = trouper.ActorContext[Any, Any, Any, Any]


def asks(other: str, into: list[Any]) -> Any:
    async def body(ctx: Context) -> None:
        async for message in ctx:
            try:
                await ctx.reply(await ctx.ask(message, other))
            except trouper.AskCycle as cycle:
                into.append(cycle)
                await ctx.reply("caught")

    return body


async def test_one_that_asks_itself_is_told_at_once(autojump_clock: MockClock) -> None:
    found: list[trouper.AskCycle] = []
    workflow = trouper.Workflow()
    workflow.actor(name="me")(asks("me", found))
    async with workflow.open() as run:
        begun = trio.current_time()
        assert await run.ask(1, to="me") == "caught"
        assert trio.current_time() == begun
    [cycle] = found
    assert cycle.path == ("me", "me")
    assert str(cycle).startswith("'me' asks itself while it handles a message")


async def test_a_ring_of_questions_is_told_at_once(autojump_clock: MockClock) -> None:
    found: list[trouper.AskCycle] = []
    workflow = trouper.Workflow()
    ring = ["a", "b", "c"]
    for name, other in zip(ring, [*ring[1:], "a"], strict=True):
        workflow.actor(name=name)(asks(other, found))
    async with workflow.open() as run:
        begun = trio.current_time()
        assert await run.ask(1, to="a") == "caught"
        assert trio.current_time() == begun
    [cycle] = found
    assert cycle.path == ("c", "a", "b", "c")
    assert "'c' -> 'a' -> 'b' -> 'c'" in str(cycle)
    assert "let one of them send instead of ask" in str(cycle)


async def test_with_a_free_body_it_is_no_cycle(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(concurrency=3)
    async def counts_down(ctx: Context) -> None:
        async for number in ctx:
            await ctx.reply(0 if number == 0 else 1 + await ctx.ask(number - 1, "counts_down"))

    async with workflow.open() as run:
        assert await run.ask(2, to="counts_down") == 2
        with pytest.raises(trouper.AskFailed, match="AskCycle"):
            await run.ask(3, to="counts_down")


async def test_a_chain_that_waits_is_no_cycle(autojump_clock: MockClock) -> None:
    """One that is asked by many, and asks a slow one itself, is only busy."""
    found: list[trouper.AskCycle] = []
    workflow = trouper.Workflow()
    workflow.actor(name="a")(asks("b", found))
    workflow.actor(name="b")(asks("c", found))

    @workflow.actor
    async def c(ctx: Context) -> None:
        async for message in ctx:
            await trio.sleep(5)
            await ctx.reply(message)

    answers: list[int] = []
    async with workflow.open() as run:

        async def one(number: int) -> None:
            answers.append(await run.ask(number, to="a" if number % 2 else "b", timeout=100))

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(one, number)
    assert (sorted(answers), found) == ([*range(6)], [])


async def test_a_reply_that_is_behind_a_full_buffer_is_found(autojump_clock: MockClock) -> None:
    """X24: the asker does not read, and who is asked waits for room in front of it."""
    workflow = trouper.Workflow()
    found: list[trouper.AskCycle] = []

    @workflow.actor(depends_on={"helper": trouper.Edge(capacity=1)})
    async def asker(ctx: Context) -> None:
        async for message in ctx:
            if message != "begin":
                continue
            try:
                await ctx.ask("help", "helper", timeout=1000)
            except trouper.AskCycle as cycle:
                found.append(cycle)

    @workflow.actor
    async def helper(ctx: Context) -> AsyncIterator[int]:
        async for _ in ctx:
            for number in range(5):
                yield number
            await ctx.reply("done")

    async with workflow.open() as run:
        await run.send("begin", to="asker")
        await trio.sleep(5)
        assert len(found) == 1
        result = await run.drain()
    assert result.nodes["helper"].late_replies == 1
    assert all(edge.is_closed for edge in result.edges)
    [cycle] = found
    assert cycle.path == ("asker", "helper", "asker")


async def test_a_sender_that_waits_for_a_slow_reader_is_no_cycle(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def asker(ctx: Context) -> None:
        async for _ in ctx:
            await ctx.reply(await ctx.ask("help", "helper", timeout=1000))

    @workflow.actor
    async def helper(ctx: Context) -> AsyncIterator[int]:
        async for _ in ctx:
            for number in range(5):
                yield number
            await ctx.reply("done")

    @workflow.actor(depends_on={"helper": trouper.Edge(capacity=1)})
    async def slow(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(20)

    async with workflow.open() as run:
        assert await run.ask("begin", to="asker", timeout=None) == "done"
        await run.drain(budget=1000)


async def test_sources_that_ask_one_another_are_found(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    found: list[tuple[str, ...]] = []

    def asks_first(other: str) -> Any:
        async def body(ctx: Context) -> None:
            try:
                await ctx.ask(1, other, timeout=1000)
            except trouper.AskCycle as cycle:
                found.append(cycle.path)
            async for message in ctx:
                await ctx.reply(message)

        return body

    workflow.actor(name="a")(asks_first("b"))
    workflow.actor(name="b")(asks_first("a"))
    async with workflow.open() as run:
        await trio.sleep(5)
        assert found in ([("a", "b", "a")], [("b", "a", "b")])
        await run.drain()


async def test_who_waits_behind_a_ring_is_named_and_where_each_waits(
    autojump_clock: MockClock,
) -> None:
    """X24: the loop, and the tail: one that asks into it, and one that has no room before that."""
    found: list[trouper.AskCycle] = []
    workflow = trouper.Workflow()
    a_asked = trio.Event()

    @workflow.actor
    async def feeds(ctx: Context) -> None:
        for number in range(5):
            await ctx.send(number)

    @workflow.actor(depends_on={"feeds": trouper.Edge(capacity=1)})
    async def asks_a(ctx: Context) -> None:
        await a_asked.wait()
        async for message in ctx:
            with suppress(trouper.NodeEnded):
                await ctx.ask(message, "a", timeout=1000)

    @workflow.actor
    async def a(ctx: Context) -> None:
        async for _ in ctx:
            a_asked.set()
            await trio.sleep(1)  # until the tail has formed
            try:
                await ctx.ask("", "b", timeout=1000)
            except trouper.AskCycle as cycle:
                found.append(cycle)
            await ctx.reply("")

    @workflow.actor
    async def b(ctx: Context) -> None:
        await ctx.ask("begin", "a", timeout=1000)
        async for _ in ctx:
            await ctx.reply("")

    async with workflow.open() as run:
        await trio.sleep(5)
        run.cancel()
    [cycle] = found
    assert (cycle.path, cycle.behind) == (("a", "b", "a"), ("feeds", "asks_a"))
    assert "'a' -> 'b' -> 'a'; behind them wait 'feeds', 'asks_a'; let one of them" in str(cycle)
    assert list(cycle.lines) == ["a", "b", "feeds", "asks_a"]
    assert "<locals>.a" in cycle.lines["a"]
    for name, call in {
        "a": 'ctx.ask("", "b"',
        "b": 'ctx.ask("begin"',
        "feeds": "ctx.send(number)",
        "asks_a": 'ctx.ask(message, "a"',
    }.items():
        file, line, *_ = cycle.lines[name].replace(" ", ":").split(":")
        assert file == __file__
        assert call in linecache.getline(file, int(line))
    assert [note.split(" waits at ")[0] for note in cycle.__notes__] == [
        "'a'",
        "'b'",
        "'feeds'",
        "'asks_a'",
    ]


# -- deciding, without a run -----------------------------------------------------------------------

NODES = "abcdef"
waits_of = st.dictionaries(
    st.sampled_from(NODES),
    st.lists(st.sets(st.sampled_from(NODES), min_size=1), min_size=1, max_size=3),
)


def can_go_on(waits: dict[str, list[Collection[str]]], node: str, path: frozenset[str]) -> bool:
    """The definition, as a search: some hand of it has a way to a node with a free one."""
    if node not in waits:
        return True
    return any(
        can_go_on(waits, other, path | {node})
        for hand in waits[node]
        for other in hand
        if other not in path | {node}
    )


@given(waits=waits_of)
def test_stuck_is_who_has_no_way_to_a_free_hand(waits: dict[str, list[Collection[str]]]) -> None:
    stuck = find_stuck(waits)
    assert stuck == {node for node in waits if not can_go_on(waits, node, frozenset())}
    for node in stuck:
        path = find_path(waits, node)
        assert path[0] == node
        steps = pairwise(path)
        assert all(any(b in hand for hand in waits[a]) for a, b in steps)
        assert set(path) <= stuck
