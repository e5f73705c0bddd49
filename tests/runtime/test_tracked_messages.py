"""What is made from a tracked message is tracked too, through every kind of node."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from trouper import Backoff, Edge
from trouper.channels._context import message_context
from trouper.channels._envelope import NO_CONTEXT
from trouper.channels._tracking import Outcome, Tracking, tracked_by

Told = list[tuple[Outcome, tuple[str, ...]]]
NO_WAIT = Backoff(min=0, max=0)


async def send_tracked(
    run: trouper.LiveRun, x: Any, to: str, told: Told, *, source: str | None = None
) -> None:
    """Send a message from outside that `told` hears of."""
    tracking = Tracking(lambda outcome, reasons: told.append((outcome, reasons)))
    token = message_context.set(tracked_by(NO_CONTEXT, tracking))
    try:
        await run.send(x, to, source=source)
    finally:
        message_context.reset(token)


def relay(wf: trouper.Workflow, name: str, depends_on: Any = None, **options: Any) -> None:
    """Add an actor that passes on what it gets."""

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        async for message in ctx:
            yield message

    wf.actor(name=name, depends_on=depends_on, **options)(body)


@pytest.mark.parametrize("style", ["async for", "receive", "receive_many"])
async def test_a_chain_is_settled_when_its_last_node_is_done(style: str) -> None:
    """V2: not before; and messages between that nobody follows change nothing."""
    wf = trouper.Workflow("chain")
    relay(wf, "first")
    relay(wf, "second", "first")
    reached, go_on = trio.Event(), trio.Event()
    told: Told = []

    async def look(ctx: trouper.ActorContext) -> None:
        if ctx.message is not None and ctx.message.payload == "x":
            assert told == []
            reached.set()
            await go_on.wait()

    @wf.actor(depends_on="second")
    async def last(ctx: trouper.ActorContext) -> None:
        if style == "async for":
            async for _ in ctx:
                await look(ctx)
        while True:
            await (ctx.receive() if style == "receive" else ctx.receive_many(1))
            await look(ctx)

    async with wf.open() as run:
        for plain in ("a", "b"):
            await run.send(plain, "first")
        await send_tracked(run, "x", "first", told)
        await run.send("c", "first")
        await reached.wait()
        await wait_all_tasks_blocked()
        assert told == []
        go_on.set()
        await wait_all_tasks_blocked()
        assert told == [("acknowledged", ())]
    assert all(edge.is_closed for edge in (await run.wait()).edges)


async def test_one_of_three_sinks_fails() -> None:
    """V2: the follower hears of it once, after all three."""
    wf = trouper.Workflow("fan-out")
    relay(wf, "first")
    told: Told = []
    before: list[int] = []
    for name in ("one", "two"):
        relay(wf, name, "first")

    @wf.actor(depends_on="first", max_attempts=2, backoff=NO_WAIT)
    async def poisoned(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            before.append(len(told))
            raise ValueError("poison")

    async with wf.open() as run:
        await send_tracked(run, "x", "first", told)
        await wait_all_tasks_blocked()
        assert told == [("dead_lettered", ("poisoned: max_attempts",))]
    assert before == [0, 0]


async def test_a_filter_drops_on_purpose() -> None:
    """V2: what a handler leaves out counts as delivered."""
    wf = trouper.Workflow("filter")
    told: Told = []

    @wf.actor
    async def odd(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for n in ctx:
            if n % 2:
                yield n

    relay(wf, "last", "odd")
    async with wf.open() as run:
        await send_tracked(run, 2, "odd", told)
        await wait_all_tasks_blocked()
        assert told == [("acknowledged", ())]


@pytest.mark.parametrize("fan_in", ["zip", "latest"])
async def test_a_joined_message_settles_all_its_origins(fan_in: Any) -> None:
    """V2: with its own outcome."""
    wf = trouper.Workflow("join")
    told: dict[str, Told] = {"a": [], "b": []}
    relay(wf, "a")
    relay(wf, "b")
    fail = {"fail"}

    @wf.actor(depends_on=["a", "b"], fan_in=fan_in, max_attempts=1)
    async def joined(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        async for message in ctx:
            if fail & set(message.values()):
                raise ValueError("no")
            yield message

    relay(wf, "last", "joined")
    async with wf.open() as run:
        for name in ("a", "b"):
            await send_tracked(run, "x", name, told[name])
            await wait_all_tasks_blocked()
        assert told == {"a": [("acknowledged", ())], "b": [("acknowledged", ())]}
        for name, x in (("a", "fail"), ("b", "y")):
            await send_tracked(run, x, name, told[name])
            await wait_all_tasks_blocked()
    dead = ("dead_lettered", ("joined: max_attempts",))
    assert told["a"][1] == dead
    assert told["b"][1] == dead
    assert all(edge.is_closed for edge in (await run.wait()).edges)


async def test_latest_drops_what_is_overtaken() -> None:
    """V2: a message that is dropped on purpose says so."""
    wf = trouper.Workflow("overtaken")
    told: Told = []
    relay(wf, "a")
    relay(wf, "b")
    relay(wf, "joined", ["a", "b"], fan_in="latest")
    async with wf.open() as run:
        for x in (1, 2):
            await send_tracked(run, x, "a", told)
            await wait_all_tasks_blocked()
        assert told == [("dropped", ("joined: superseded",))]
    # The other one was taken from its lane, but never made into anything.
    assert told[1:] == [("dropped", ("joined: reader_ended",))]


async def test_a_batch_settles_all_its_origins() -> None:
    """V2: what is made from a batch is made from each of it."""
    wf = trouper.Workflow("batch")
    told: Told = []
    go_on = trio.Event()

    @wf.actor
    async def batches(ctx: trouper.ActorContext) -> None:
        await go_on.wait()
        while True:
            xs = await ctx.receive_many(10)
            await ctx.send(sum(xs))

    @wf.actor(depends_on="batches", max_attempts=1)
    async def last(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            raise ValueError("no")

    async with wf.open() as run:
        await send_tracked(run, 1, "batches", told)
        await send_tracked(run, 2, "batches", told)
        await run.send(3, "batches")
        go_on.set()
        await wait_all_tasks_blocked()
        assert told == [("dead_lettered", ("last: max_attempts",))] * 2
    assert [letter.envelope.payload for letter in (await run.wait()).dead_letters] == [6]


async def test_a_merge_keeps_origins_apart() -> None:
    """V2: merged streams are followed message by message."""
    wf = trouper.Workflow("merge")
    told: dict[str, Told] = {"a": [], "b": []}
    relay(wf, "a")
    relay(wf, "b")

    @wf.actor(depends_on=["a", "b"], max_attempts=1)
    async def merged(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            if "a" in message:
                raise ValueError("no")

    async with wf.open() as run:
        for name in ("a", "b"):
            await send_tracked(run, "x", name, told[name])
        await wait_all_tasks_blocked()
    assert told["a"] == [("dead_lettered", ("merged: max_attempts",))]
    assert told["b"] == [("acknowledged", ())]


async def test_a_message_that_expires_on_its_way(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow("expires")
    told: Told = []

    @wf.actor
    async def slow(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep(10)

    tracking = Tracking(lambda outcome, reasons: told.append((outcome, reasons)))
    async with wf.open() as run:
        token = message_context.set(tracked_by(NO_CONTEXT, tracking))
        await run.send("x", "slow", timeout=1)
        message_context.reset(token)
    assert told == [("expired", ("slow: expired",))]


async def test_a_cancelled_run_abandons() -> None:
    """X12: what was in hand or queued was not handled, and is not dropped on purpose."""
    wf = trouper.Workflow("cancelled")
    told: Told = []

    @wf.actor
    async def stuck(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async with wf.open() as run:
        await send_tracked(run, 1, "stuck", told)
        await send_tracked(run, 2, "stuck", told)
        await wait_all_tasks_blocked()
        run.cancel()
    assert told == [
        ("abandoned", ("stuck: stopped",)),
        ("abandoned", ("stuck: reader_ended",)),
    ]


async def test_readers_outside_and_tasks_settle_what_they_take() -> None:
    wf = trouper.Workflow("readers")
    told: Told = []
    relay(wf, "first")

    @wf.task(depends_on="first")
    async def last_one(x: int) -> int:
        return x

    async with wf.open() as run, run.stream("first") as xs:
        await send_tracked(run, 7, "first", told)
        await wait_all_tasks_blocked()
        assert told == []
        assert await anext(aiter(xs)) == 7
        assert told == [("acknowledged", ())]
    assert (await run.wait()).outputs["last_one"] == 7


async def test_sends_of_a_batch_and_sends_that_stand_for_an_upstream_are_followed() -> None:
    wf = trouper.Workflow("many")
    told: Told = []
    relay(wf, "first")
    handled: list[int] = []

    @wf.actor(depends_on="first")
    async def split(ctx: trouper.ActorContext) -> None:
        async for n in ctx:
            await ctx.send_many(range(n))

    @wf.actor(depends_on={"split": Edge(capacity=1)})
    async def last(ctx: trouper.ActorContext) -> None:
        async for n in ctx:
            handled.append(n)
            assert told == []

    async with wf.open() as run:
        await send_tracked(run, 5, "split", told, source="first")
        await wait_all_tasks_blocked()
        assert (handled, told) == ([0, 1, 2, 3, 4], [("acknowledged", ())])


async def test_a_crash_leaves_the_outputs_of_the_next_message_alone() -> None:
    """X13: what follows the message in hand ends with it, on every way out."""
    wf = trouper.Workflow("crash")
    told: Told = []
    seen: list[tuple[Any, int]] = []

    @wf.actor(max_attempts=1, backoff=NO_WAIT)
    async def first(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        async for x in ctx:
            if x == "bad":
                raise ValueError("bad")
            yield x

    @wf.actor(depends_on="first")
    async def last(ctx: trouper.ActorContext) -> None:
        async for x in ctx:
            assert ctx.message is not None
            seen.append((x, len(ctx.message.context.tracking)))

    async with wf.open() as run:
        await send_tracked(run, "bad", "first", told)
        await run.send("good", "first")
        await wait_all_tasks_blocked()
    assert told == [("dead_lettered", ("first: max_attempts",))]
    assert seen == [("good", 0)]
