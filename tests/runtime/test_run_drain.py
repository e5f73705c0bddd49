"""Draining: sources end, everything accepted is handled, and what won't end is named."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays, sleeps
from harness.ids import Ledger, assert_edges_closed


def chain(got: list[Any], *, sink: float = 0, relay: float = 0) -> trouper.Workflow:
    wf = trouper.Workflow()

    @wf.actor
    async def ticks(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for tick in ctx.every(1):
            yield tick

    wf.actor(name="relay", depends_on="ticks")(relays(seconds=relay))
    wf.actor(name="sink", depends_on="relay")(collects(got, seconds=sink))
    return wf


async def test_leaving_the_block_drains(autojump_clock: MockClock) -> None:
    """B6t: queued and half-done messages are handled, and nothing new is taken."""
    got: list[int] = []
    async with chain(got, sink=1.5).open() as run:
        await trio.sleep(5.5)
    result = await run.wait()
    assert result.status == "completed"
    assert (result.reason, result.cut_short) == ("", ())
    assert got == list(range(6))
    assert {node.state for node in result.nodes.values()} == {"done"}
    assert_edges_closed(result)


async def test_the_next_yield_of_a_source_is_accepted_and_ends_it(
    autojump_clock: MockClock,
) -> None:
    got: list[int] = []
    wf = trouper.Workflow()
    cleaned: list[str] = []

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await trio.sleep(1)
        finally:
            cleaned.append("endless")

    @wf.actor
    async def sender(ctx: trouper.ActorContext) -> None:
        while True:
            await ctx.send(-1)
            await trio.sleep(1)

    wf.actor(name="sink", depends_on="endless")(collects(got))
    async with wf.open() as run:
        await trio.sleep(2.5)
        result = await run.drain()
    assert got == [0, 1, 2, 3]
    assert cleaned == ["endless"]
    assert result.status == "completed"
    assert result.seconds == pytest.approx(3)


async def test_a_stuck_source_is_cancelled_after_half_the_budget(
    autojump_clock: MockClock,
) -> None:
    """And named; what it had sent is still handled."""
    got: list[int] = []
    wf = trouper.Workflow()

    @wf.actor
    async def stuck(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        await trio.sleep_forever()

    wf.actor(name="sink", depends_on="stuck")(collects(got, seconds=4))
    async with wf.open() as run:
        await trio.sleep(1)
        result = await run.drain(8)
    assert result.cut_short == ("stuck",)
    assert result.status == "cancelled"
    assert result.nodes["stuck"].state == "cancelled"
    assert result.nodes["sink"].state == "done"
    assert result.seconds == pytest.approx(5)
    assert got == [1]


async def test_a_stuck_sink_is_cancelled_at_the_end(autojump_clock: MockClock) -> None:
    """K2: and named; the message in hand comes back, and is recorded, as what is queued."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(2))

    @wf.actor(depends_on="source")
    async def stuck(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async with wf.open() as run:
        await trio.sleep(1)
        result = await run.drain(8)
    assert result.cut_short == ("stuck",)
    assert result.seconds == pytest.approx(9)
    assert "the drain took longer than its budget of 8 s" in result.reason
    assert [letter.envelope.payload for letter in result.dead_letters] == [0, 1]
    assert [letter.reason for letter in result.dead_letters] == ["stopped", "stopped"]
    assert result.dead_letters[0].envelope.attempt == 1
    assert_edges_closed(result)


async def test_all_of_the_budget_is_the_sinks(autojump_clock: MockClock) -> None:
    """When the sources end at once, what follows them has more than half."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(2))
    wf.actor(name="sink", depends_on="source")(collects(got, seconds=4))
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        result = await run.drain(9)
    assert (result.status, got) == ("completed", [0, 1])
    assert result.seconds == pytest.approx(8)


async def test_a_source_that_backs_off_ends_at_once(autojump_clock: MockClock) -> None:
    """P2: it is not started again for nothing."""
    wf = trouper.Workflow()
    starts: list[float] = []

    @wf.actor(backoff=trouper.Backoff(min=100, max=100), max_restarts=50)
    async def flaky(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        starts.append(trio.current_time())
        yield 1
        raise OSError

    async with wf.open() as run:
        await trio.sleep(3)
        assert run.status().nodes["flaky"].state == "restarting"
        result = await run.drain(10)
    assert result.seconds == pytest.approx(3)
    assert (result.status, result.cut_short) == ("completed", ())
    assert len(starts) == 2


async def test_a_consumer_that_backs_off_still_handles_what_was_accepted(
    autojump_clock: MockClock,
) -> None:
    """B6t"""
    ledger = Ledger()
    wf = trouper.Workflow()
    wf.actor(ledger.source(5))

    class Faulty:
        left = 2

        def at(self, point: str, node: str) -> None:
            if self.left:
                self.left -= 1
                raise OSError

    wf.actor(depends_on="source", backoff=trouper.Backoff(min=3, max=3, jitter=0))(
        ledger.sink(faults=Faulty())
    )
    async with wf.open() as run:
        await trio.sleep(1)
        assert run.status().nodes["sink"].state == "restarting"
        result = await run.drain(10)
    assert result.status == "completed"
    ledger.assert_accounted(result)
    ledger.assert_at_least_once()


async def test_an_actor_that_waits_for_a_batch_input_is_not_cut_short(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(6, 3))

    @wf.actor(depends_on="slow")
    async def rows(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield await ctx.receive()

    async with wf.open() as run:
        await trio.sleep(1)
        result = await run.drain(10)
    assert (result.status, result.cut_short) == ("completed", ())
    assert result.outputs == {"slow": 3, "rows": 3}


async def test_two_drains_at_once_are_one(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()

    @wf.actor
    async def stuck(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
        yield 1

    results: list[trouper.WorkflowResult] = []

    async def drain(run: trouper.LiveRun) -> None:
        results.append(await run.drain(10))

    async with wf.open() as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        nursery.start_soon(drain, run)
    assert [result.cut_short for result in results] == [("stuck",), ("stuck",)]


async def test_a_drain_after_the_end_gives_the_result_again() -> None:
    wf = trouper.Workflow()
    wf.task(name="t")(sleeps(0, 1))
    async with wf.open() as run:
        await run.wait()
        assert (await run.drain()).outputs == {"t": 1}
    with pytest.raises(ValueError, match=r"budget > 0 s, got 0; run\.cancel\(\) is at once"):
        await run.drain(0)
    with pytest.raises(TypeError, match="takes a budget in seconds, got 'long'"):
        await run.drain("long")  # type: ignore[arg-type]  # the refusal is what is tested


async def test_an_actor_hears_that_its_run_drains(autojump_clock: MockClock) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()

    @wf.actor
    async def polite(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        assert not ctx.stopping
        await ctx.stopping.wait()
        yield "last words"
        got.append("never reached")

    wf.actor(name="sink", depends_on="polite")(collects(got))
    async with wf.open() as run:
        await trio.sleep(1)
        assert run.status().status == "running"
    assert got == ["last words"]


async def test_batch_tasks_are_drained_too(autojump_clock: MockClock) -> None:
    """What has begun is finished, and what follows it runs."""
    wf = trouper.Workflow()
    wf.task(name="first")(sleeps(2, 1))
    wf.task(name="second", depends_on="first")(sleeps(2, 2))
    async with wf.open() as run:
        await trio.sleep(1)
    assert (await run.wait()).outputs == {"first": 1, "second": 2}


async def test_what_came_from_outside_has_the_whole_budget(autojump_clock: MockClock) -> None:
    """X25: a node that lives on `run.send` is no source, which half the budget would do for."""
    wf = trouper.Workflow()
    done: list[int] = []

    @wf.actor
    async def work(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for seconds in ctx:
            await trio.sleep(seconds)
            done.append(seconds)

    async with wf.open() as run:
        for seconds in (3, 4, 100):
            await run.send(seconds)
        result = await run.drain(10)
    assert (trio.current_time(), done) == (10.0, [3, 4])
    assert result.cut_short == ("work",)
    assert result.drain is not None
    assert (result.drain.acknowledged, result.drain.abandoned) == (2, 1)
