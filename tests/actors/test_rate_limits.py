"""A rate limit at work: what is taken, what is made, and a limit that changes meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.control import collecting, point_of, receiving, receiving_many
from harness.stage import Stage
from trouper.actors._control import NOTHING_ASKED


@pytest.mark.parametrize("body", [collecting, receiving])
async def test_a_rate_limits_what_is_taken(body: Any, autojump_clock: MockClock) -> None:
    """B7t: two per 50 ms: the third waits for its turn."""
    got: list[int] = []
    stage = Stage(body(got))
    point_of(stage).limit(trouper.Rate(2, per=0.05))
    stage.feed(*range(4))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.01)
        assert got == [0, 1]
        await trio.sleep(0.02)
        assert got == [0, 1, 2]
        stage.end()
    assert got == [0, 1, 2, 3]


async def test_a_rate_limits_batches(autojump_clock: MockClock) -> None:
    """No batch is longer than what may pass, and none is handed over in bulk beside the limit."""
    got: list[Any] = []
    stage = Stage(receiving_many(got))
    point_of(stage).limit(trouper.Rate(3))
    stage.feed(*range(7))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.1)
        assert got == [[0, 1, 2]]
        await trio.sleep(10)
        stage.feed(7)
        await trio.sleep(10)
        stage.end()
    assert [each for batch in got for each in batch] == list(range(8))


async def test_a_rate_limits_what_a_source_makes(autojump_clock: MockClock) -> None:
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(5):
            yield number

    stage = Stage(endless)
    point_of(stage).limit(trouper.Rate(1, per=10))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        assert stage.sent() == [0]
        await trio.sleep(25)
        assert stage.sent() == [1, 2]
        point_of(stage).limit(None)
    assert stage.sent() == [3, 4]
    assert stage.box.control is None


async def test_a_higher_rate_holds_for_whoever_waits_already(autojump_clock: MockClock) -> None:
    """A5, B7t: raised from one in 1000 s, the second message passes now."""
    got: list[int] = []
    stage = Stage(collecting(got))
    point = point_of(stage)
    point.limit(trouper.Rate(1, per=1000))
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        assert got == [1]
        point.limit(trouper.Rate(10, per=1000))
        await wait_all_tasks_blocked()
        assert got == [1, 2]
        assert trio.current_time() < 900
        stage.end()


async def test_a_kill_ends_a_wait_for_a_turn(autojump_clock: MockClock) -> None:
    """And nothing of the last message's context is left (X13)."""
    got: list[int] = []
    stage = Stage(collecting(got))
    point = point_of(stage)
    point.limit(trouper.Rate(1, per=1000))
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        point.ask(NOTHING_ASKED.kill())
        stage.child.retire()
    assert got == [1]
    assert [(x.envelope.payload, x.reason) for x in stage.dead] == [(2, "stopped")]


async def test_a_cancel_ends_a_wait_for_a_turn(autojump_clock: MockClock) -> None:
    """X12: what waited for its turn was never taken; nothing of it is lost."""
    got: list[int] = []
    stage = Stage(collecting(got))
    point_of(stage).limit(trouper.Rate(1, per=1000))
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert got == [1]
    assert stage.ledger()["queued"] == 1


async def test_a_limited_source_that_waits_for_room_is_held_by_a_pause() -> None:
    """X5: its turn has come, but no room: when that comes, the pause holds."""

    async def counting(ctx: trouper.ActorContext) -> None:
        for number in range(3):
            await ctx.send(number)

    stage = Stage(counting, out_capacity=1)
    point = point_of(stage)
    point.limit(trouper.Rate(100))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        point.ask(NOTHING_ASKED.pause())
        assert stage.sent() == [0]
        await wait_all_tasks_blocked()
        assert stage.sent() == []
        point.ask(point.asked.resume())
        await wait_all_tasks_blocked()
        assert stage.sent() == [1]


async def test_what_comes_again_waits_for_its_turn_too(autojump_clock: MockClock) -> None:
    """B7t: a failing message can't get round the limit."""
    wf, times = trouper.Workflow(), list[float]()

    @wf.actor(rate=1, max_attempts=3)
    async def picky(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            times.append(round(trio.current_time() - began, 3))
            ctx.reject("not yet")

    began = trio.current_time()
    async with wf.open() as run:
        await run.send("a")
    assert times == [0, 1, 2]
    assert [letter.reason for letter in run.dead_letters()] == ["max_attempts"]
