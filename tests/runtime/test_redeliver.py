"""`run.redeliver`: dead letters go back to the nodes that gave them up."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.dead_letters import QUICK, Picky, feed, give_up_five, picky_graph, stubborn
from harness.ids import assert_edges_closed
from trouper import ActorContext, Edge
from trouper.channels._context import message_context
from trouper.channels._envelope import NO_CONTEXT
from trouper.channels._tracking import Tracking, tracked_by


async def test_a_letter_goes_back_and_is_handled_after_a_fix() -> None:
    """D1: first in line, as a first attempt, under its id; the ledger counts it as leased again."""
    picky = Picky(2)
    async with picky_graph(picky).open() as run:
        await feed(run, 1, 2, 3)
        [letter] = run.dead_letters()
        edge = run.status().edges[1]
        assert (edge.sent, edge.acknowledged, edge.dead_lettered) == (3, 2, 1)
        picky.bad.clear()
        assert await run.redeliver(letter) == 1
        assert run.dead_letters() == ()
        edge = run.status().edges[1]
        assert (edge.sent, edge.acknowledged, edge.dead_lettered, edge.leased) == (3, 2, 0, 1)
        await wait_all_tasks_blocked()
    assert picky.seen[-1] == (2, 1, letter.id)
    result = await run.wait()
    assert_edges_closed(result)
    assert result.edges[1].acknowledged == 3
    assert result.dead_letters == ()
    assert run.status().dead_letters == 1  # there was one


async def test_a_letter_that_fails_again_has_its_whole_history() -> None:
    picky = Picky(1)
    async with picky_graph(picky).open() as run:
        await feed(run, 1)
        assert await run.redeliver(lambda letter: letter.reason == "max_attempts") == 1
        await wait_all_tasks_blocked()
        [letter] = run.dead_letters()
    assert [attempt.number for attempt in letter.attempts] == [1, 2, 1, 2]
    assert len(picky.seen) == 4
    assert_edges_closed(await run.wait())


async def test_outputs_that_were_placed_are_known_when_it_comes_back() -> None:
    """D1: `on_redelivery="skip"` holds for a letter that is put back in the same run, too."""
    wf = trouper.Workflow("placed")
    got: list[int] = []
    bad = {1}

    @wf.actor
    async def numbers(ctx: ActorContext) -> AsyncIterator[int]:
        async for x in ctx:
            yield x

    @wf.actor(depends_on="numbers", max_attempts=1, on_redelivery="skip")
    async def picky(ctx: ActorContext) -> None:
        async for x in ctx:
            await ctx.send(x)
            if bad:
                raise ValueError("after the first output")
            await ctx.send(-x)

    @wf.actor(depends_on="picky")
    async def sink(ctx: ActorContext) -> None:
        async for x in ctx:
            got.append(x)  # noqa: PERF401  # it is read meanwhile

    async with wf.open() as run:
        await feed(run, 1)
        bad.clear()
        await run.redeliver(run.dead_letters())
    assert got == [1, -1]


async def test_a_letter_of_an_earlier_run() -> None:
    """D1: it enters as if its upstream had sent it, under an id that tells the run it is of."""
    first = Picky(2)
    async with picky_graph(first).open() as before:
        await feed(before, 1, 2)
    [letter] = (await before.wait()).dead_letters
    second = Picky()
    async with picky_graph(second).open() as run:
        await feed(run, 9)
        assert await run.redeliver(letter) == 1
    result = await run.wait()
    assert second.seen == [(9, 1, second.seen[0][2]), (2, 1, second.seen[1][2])]
    assert second.seen[1][2].startswith(before.name)
    assert second.seen[0][2].startswith("@run")
    assert_edges_closed(result)
    assert (result.edges[1].sent, result.edges[1].acknowledged) == (2, 2)


async def test_the_id_of_a_derived_message_tells_its_run_too() -> None:
    wf = trouper.Workflow("derived")
    seen: list[str] = []

    @wf.actor
    async def twice(ctx: ActorContext) -> AsyncIterator[int]:
        async for n in ctx:
            yield n
            yield -n

    @wf.actor(depends_on="twice", max_attempts=1)
    async def sink(ctx: ActorContext) -> None:
        async for n in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.id)
            if n < 0 and len(seen) == 2:
                ctx.reject("negative")

    async with wf.open() as before:
        await before.send(1, "twice")
    async with wf.open() as run:
        assert await run.redeliver((await before.wait()).dead_letters) == 1
    assert seen[2] == f"{before.name}/{seen[1]}"
    assert seen[1].endswith("/twice.2")


async def test_a_message_from_outside_of_an_earlier_run() -> None:
    picky = Picky(1)
    wf = trouper.Workflow("alone")
    wf.add(picky, name="picky", max_attempts=1, restart=QUICK)
    async with wf.open() as before:
        await before.send(1)
    letters = (await before.wait()).dead_letters
    picky.bad.clear()
    async with wf.open() as run:
        assert await run.redeliver(letters) == 1
    assert_edges_closed(await run.wait())
    assert picky.seen[-1][:2] == (1, 1)


@pytest.mark.parametrize("fan_in", ["zip", "latest"])
@pytest.mark.parametrize("other_run", [False, True])
async def test_a_joined_letter(fan_in: Any, other_run: bool) -> None:
    """V2: the ledgers of all edges that it was made from hold."""

    def build() -> trouper.Workflow:
        wf = trouper.Workflow("joined")
        for name in ("a", "b"):

            @wf.actor(name=name)
            async def relay(ctx: ActorContext) -> AsyncIterator[Any]:
                async for x in ctx:
                    yield x

        wf.add(
            picky,
            name="picky",
            depends_on=["a", "b"],
            fan_in=fan_in,
            max_attempts=1,
            restart=QUICK,
        )
        return wf

    picky = Picky((1, 2))
    async with build().open() as run:
        await run.send(1, "a")
        await run.send(2, "b")
        await wait_all_tasks_blocked()
        [letter] = run.dead_letters()
        picky.bad.clear()
        if not other_run:
            await run.redeliver(letter)
    assert_edges_closed(await run.wait())
    if other_run:
        async with build().open() as run:
            await run.redeliver(letter)
        assert_edges_closed(await run.wait())
    assert picky.seen[-1][:2] == ((1, 2), 1)
    into = [edge for edge in (await run.wait()).edges if edge.target == "picky"]
    assert [(edge.sent, edge.acknowledged) for edge in into] == [(1, 1), (1, 1)]


async def test_what_overflow_dropped_goes_back_too() -> None:
    """X23: what is evicted stays out, unless it is put back; then no overflow touches it."""
    seen: list[Any] = []
    go_on = trio.Event()
    wf = trouper.Workflow("overflow")
    edge = Edge(capacity=1, overflow="drop_oldest", keep_dropped=True)

    @wf.actor
    async def numbers(ctx: ActorContext) -> AsyncIterator[Any]:
        async for x in ctx:
            yield x

    @wf.actor(depends_on={"numbers": edge})
    async def slow(ctx: ActorContext) -> None:
        async for x in ctx:
            seen.append(x)
            await go_on.wait()

    async with wf.open() as run:
        await feed(run, *range(5))
        assert [letter.envelope.payload for letter in run.dead_letters()] == [1, 2, 3]
        assert run.status().edges[1].dropped == {"drop_oldest": 3}
        assert await run.redeliver(lambda letter: letter.envelope.payload != 2) == 2
        assert run.status().edges[1].dropped == {"drop_oldest": 1}
        go_on.set()
    assert seen == [0, 1, 3, 4]
    assert_edges_closed(await run.wait())


async def test_it_waits_while_enough_come_again() -> None:
    """X21: what is put back honours the bound of the node."""
    go_on, done = trio.Event(), list[Any]()
    async with stubborn(go_on, done).open() as run, trio.open_nursery() as nursery:
        letters = await give_up_five(run)
        assert len(letters) == 5
        nursery.start_soon(run.redeliver, letters)
        await wait_all_tasks_blocked()
        assert run.status().edges[0].leased == 1 + 2
        assert run.dead_letters() == letters[2:]
        go_on.set()
    assert done == [0, 1, 2, 3, 4]
    assert_edges_closed(await run.wait())


async def test_letters_that_two_tasks_put_back_go_back_once() -> None:
    """B1t: at the same time, or later."""
    go_on, done, counts = trio.Event(), list[Any](), list[int]()

    async def put_back() -> None:
        counts.append(await run.redeliver(letters))

    async with stubborn(go_on, done).open() as run, trio.open_nursery() as nursery:
        letters = await give_up_five(run)
        nursery.start_soon(put_back)
        nursery.start_soon(put_back)
        await wait_all_tasks_blocked()
        go_on.set()
        await wait_all_tasks_blocked()
        assert await run.redeliver(letters) == 0
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert sum(counts) == 5


async def test_several_bodies_take_what_comes_back() -> None:
    """P22: whichever is free."""
    wf = trouper.Workflow("workers")
    bad = {1, 2}
    done: list[int] = []

    @wf.actor(concurrency=2, max_attempts=1)
    async def work(ctx: ActorContext) -> None:
        async for x in ctx:
            if x in bad:
                ctx.reject("bad")
            else:
                done.append(x)

    async with wf.open() as run:
        for x in range(4):
            await run.send(x)
        await wait_all_tasks_blocked()
        bad.clear()
        assert await run.redeliver(run.dead_letters()) == 2
    assert sorted(done) == [0, 1, 2, 3]
    assert_edges_closed(await run.wait())


async def test_a_deadline_and_a_follower_that_are_over_stay_behind(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow("expired")
    told: list[str] = []
    seen: list[tuple[Any, Any, Any]] = []
    tracking = Tracking(lambda outcome, _reasons: told.append(outcome))

    @wf.actor
    async def slow(ctx: ActorContext) -> None:
        async for x in ctx:
            assert ctx.message is not None
            context = ctx.message.context
            seen.append((x, context.deadline, context.tracking))
            if x == "holds up":
                await trio.sleep(10)

    async with wf.open() as run:
        await run.send("holds up", "slow")
        token = message_context.set(tracked_by(NO_CONTEXT, tracking))
        await run.send("x", "slow", timeout=5)
        message_context.reset(token)
        await trio.sleep(11)
        [letter] = run.dead_letters()
        assert (letter.reason, told) == ("expired", ["expired"])
        assert run.status().edges[0].expired == 1
        await run.redeliver(letter)
        await wait_all_tasks_blocked()
        assert run.status().edges[0].expired == 0
    assert seen[1] == ("x", None, ())
    assert told == ["expired"]
