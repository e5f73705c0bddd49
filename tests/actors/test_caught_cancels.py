"""X12: a handler that catches its cancellation and asks for the next message settles nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.ids import assert_edges_closed
from trouper import ActorContext

Body = Callable[[ActorContext[Any, Any, Any, Any]], Any]
handled: list[Any] = []


async def work(x: Any) -> None:
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        handled.append(x)


async def asks(ctx: ActorContext) -> None:
    while True:
        await work(await ctx.receive())


async def loops(ctx: ActorContext) -> None:
    async for x in ctx:
        await work(x)


async def generates(ctx: ActorContext) -> Any:
    async for x in ctx:
        await work(x)
        yield x


async def takes_many(ctx: ActorContext) -> None:
    while True:
        [x, *_] = await ctx.receive_many(1)
        await work(x)


async def leases(ctx: ActorContext) -> None:
    while True:
        async with ctx.leased() as x:
            await work(x)


async def returns(ctx: ActorContext) -> None:
    await work(await ctx.receive())


async def catches_everything(ctx: ActorContext) -> None:
    """Catch what the ask itself raises, too: it ends by the end of its input."""
    while True:
        try:
            await work(await ctx.receive())
        except trio.Cancelled:
            continue


BODIES: list[Body] = [asks, loops, generates, takes_many, leases, returns, catches_everything]


def graph(body: Body, **options: Any) -> trouper.Workflow:
    handled.clear()
    wf = trouper.Workflow()
    wf.actor(name="node", **options)(body)
    return wf


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("body", BODIES)
async def test_killed_it_dead_letters_what_was_in_hand(
    body: Body, concurrency: int, autojump_clock: MockClock
) -> None:
    """X12, A2: as if the cancellation had passed."""
    async with graph(body, concurrency=concurrency).open() as run:
        for x in range(concurrency):
            await run.send(x)
        await wait_all_tasks_blocked()
        run.kill("node")
        await wait_all_tasks_blocked()
        assert run.status().nodes["node"].state == "cancelled"
        letters = run.dead_letters()
        assert sorted(letter.envelope.payload for letter in letters) == [*range(concurrency)]
        assert {letter.reason for letter in letters} == {"killed"}
        assert all(letter.attempts == () for letter in letters)
    assert sorted(handled) == [*range(concurrency)]
    assert_edges_closed(await run.wait())


@pytest.mark.parametrize("operations", [1, 1000])
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("body", BODIES)
async def test_a_message_past_its_deadline_has_expired(
    body: Body, tracked: bool, operations: int, autojump_clock: MockClock
) -> None:
    """X2, X12: whatever its handler makes of being cut off; those behind it are handled."""
    wf = graph(body, depends_on="source")
    told: list[tuple[Any, str]] = []

    @wf.actor
    async def source(ctx: ActorContext) -> None:
        if tracked:
            ctx.on_settled(lambda settled: told.append((settled.payload, settled.outcome)))
        async for x in ctx:
            await ctx.send(x)

    harness = trouper.Harness(meter=partial(trouper.OperationMeter, operations))
    async with wf.open(harness=harness) as run:
        for x, timeout in enumerate([5, 50, 500]):
            await run.send(x, "source", timeout=timeout)
        await trio.sleep(1000)
        assert run.status().nodes["node"].state == "running"
        letters = run.dead_letters()
        assert [(letter.envelope.payload, letter.reason) for letter in letters] == [
            (0, "expired"),
            (1, "expired"),
            (2, "expired"),
        ]
    assert handled == [0, 1, 2]
    assert told == [(0, "expired"), (1, "expired"), (2, "expired")] * tracked
    assert_edges_closed(await run.wait())


@pytest.mark.parametrize("body", BODIES)
async def test_of_a_run_that_is_cancelled_nothing_is_told_as_handled(
    body: Body, autojump_clock: MockClock
) -> None:
    """X12: else an offset would move beyond what was not handled."""
    wf = graph(body, depends_on="source")
    told: list[str] = []

    @wf.actor
    async def source(ctx: ActorContext) -> None:
        ctx.on_settled(lambda settled: told.append(settled.outcome))
        await ctx.send(1)
        await ctx.send(2)

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.cancel()
    assert told == ["abandoned", "abandoned"]
    assert_edges_closed(await run.wait())


@pytest.mark.parametrize("body", [asks, loops, generates, takes_many, leases])
async def test_a_bystander_has_its_message_again(body: Body, autojump_clock: MockClock) -> None:
    """S6, X12: stopped for another's sake, it was not asked whether it had come to an end."""
    handled.clear()
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    group.actor(name="node")(body)
    go_on = trio.Event()

    @group.actor
    async def fails_once(ctx: ActorContext) -> None:
        await go_on.wait()
        if len(handled) == 0:
            raise ValueError("once")
        await trio.sleep_forever()

    async with wf.open() as run:
        await run.send("a", "node")
        await wait_all_tasks_blocked()
        go_on.set()
        await wait_all_tasks_blocked()
        node = run.status().nodes["node"]
        assert (node.incarnation, node.redelivered, handled) == (2, 1, ["a"])
        run.cancel()


async def test_a_handler_that_shields_its_end_may_settle_it(autojump_clock: MockClock) -> None:
    """X25: what it says of its message while it is cancelled still counts."""

    async def commits(ctx: ActorContext) -> None:
        async for x in ctx:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                handled.append(x)
                ctx.ack()

    async with graph(commits).open() as run:
        await run.send("a")
        await wait_all_tasks_blocked()
        run.kill("node")
        await trio.sleep(2)
        assert run.dead_letters() == ()
    assert handled == ["a"]
    assert_edges_closed(await run.wait())


async def test_one_that_asks_in_a_shield_has_come_to_the_end(autojump_clock: MockClock) -> None:
    """What it could not be cut off from it has handled; its input ends there."""

    async def shielded(ctx: ActorContext) -> None:
        with trio.CancelScope(shield=True):
            while True:
                handled.append(await ctx.receive())
                await trio.sleep(1)

    async with graph(shielded).open() as run:
        for x in range(3):
            await run.send(x)
        await wait_all_tasks_blocked()
        run.kill("node")
        await trio.sleep(5)
        assert handled == [0]
        assert [letter.envelope.payload for letter in run.dead_letters()] == [1, 2]
    assert_edges_closed(await run.wait())


@pytest.mark.parametrize("tracked", [False, True])
async def test_an_ask_that_does_not_want_to_wait_acknowledges(
    tracked: bool, autojump_clock: MockClock
) -> None:
    """A scope around the ask alone is no cancellation of the handler."""
    wf, told = trouper.Workflow(), list[str]()

    @wf.actor
    async def source(ctx: ActorContext) -> None:
        if tracked:
            ctx.on_settled(lambda settled: told.append(settled.outcome))
        await ctx.send(1)
        await trio.sleep(5)

    @wf.actor(depends_on="source")
    async def polls(ctx: ActorContext) -> None:
        await ctx.receive()
        with trio.move_on_after(0):
            await ctx.receive()
        assert ctx.message is None
        assert told == ["acknowledged"] * tracked

    assert (await wf.execute()).ok


async def test_the_log_names_who_catches_its_cancellation(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with graph(catches_everything).open() as run:
        await run.send("a")
        await wait_all_tasks_blocked()
        run.kill("node")
    assert caplog.text.count("'node' caught its cancellation and asks for the next message") == 1
