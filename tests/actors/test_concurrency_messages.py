"""What several bodies of one actor take and send: joins, batches, outputs, late messages."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts
from harness.faults import deterministic


@pytest.mark.parametrize("fan_in", ["merge", "zip", "latest"])
async def test_joined_and_keyed_messages(autojump_clock: MockClock, fan_in: Any) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="a")(counts(6, every=1))
    workflow.actor(name="b")(counts(6, every=1))
    got: list[Any] = []

    @workflow.actor(depends_on=["a", "b"], fan_in=fan_in, concurrency=3, max_attempts=2)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            assert ctx.message is not None
            await trio.sleep(2)
            if message.get("a") == 3 and ctx.message.attempt == 1:
                raise ValueError("once")
            got.append(dict(message))

    result = await workflow.execute()
    assert result.status == "completed"
    assert all(edge.is_closed for edge in result.edges)
    assert all(edge.sent == edge.acknowledged + sum(edge.dropped.values()) for edge in result.edges)
    if fan_in == "zip":
        assert sorted(m["a"] for m in got) == [*range(6)]


@pytest.mark.parametrize("mode", ["repeat", "skip", "hold"])
async def test_outputs_on_redelivery(autojump_clock: MockClock, mode: Any) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4))

    @workflow.actor(depends_on="numbers", concurrency=2, on_redelivery=mode)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            await ctx.send((number, 1))
            await trio.sleep(1)
            if number == 1 and ctx.message.attempt == 1:
                raise ValueError("once")
            await ctx.send((number, 2))

    got: list[tuple[int, int]] = []
    workflow.actor(name="sink", depends_on="workers")(collects(got))

    result = await workflow.execute()
    assert result.status == "completed"
    expected = Counter((number, part) for number in range(4) for part in (1, 2))
    if mode == "repeat":
        expected[1, 1] += 1
    assert Counter(got) == expected


@pytest.mark.parametrize("mode", ["repeat", "hold"])
@pytest.mark.parametrize("fan_out", ["balance", trouper.Partition(lambda number: number % 2)])
async def test_outputs_that_go_to_one_reader_each(
    autojump_clock: MockClock, fan_out: Any, mode: Any
) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(12))

    @workflow.actor(depends_on="numbers", concurrency=3, fan_out=fan_out, on_redelivery=mode)
    async def workers(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            await trio.sleep(number % 3)
            yield number

    got: list[int] = []

    for name in ("first", "second"):

        @workflow.actor(name=name, depends_on="workers", capacity=1)
        async def sink(ctx: trouper.ActorContext) -> None:
            async for each in ctx:
                await trio.sleep(1)
                got.append(each)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(got) == [*range(12)]


async def test_the_context_of_a_message_is_that_of_its_body(autojump_clock: MockClock) -> None:
    """X1: contexts of messages in flight side by side never mix."""
    workflow = trouper.Workflow()
    seen: list[tuple[str, str | None]] = []

    @workflow.actor(concurrency=3)
    async def workers(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        async for name in ctx:
            await trio.sleep(len(name))
            assert trouper.ctx() is ctx
            yield name

    @workflow.actor(depends_on="workers")
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            name = await ctx.receive()
            seen.append((name, ctx.custom_context.get("who")))

    async with workflow.open() as run:
        for name in ("aaaa", "bb", "ccc", "d", "eeeee", "ff"):
            await run.send(name, to="workers", custom_context={"who": name})
        await run.drain(budget=100)
    assert len(seen) == 6
    assert all(name == who for name, who in seen)


@pytest.mark.parametrize("many", [False, True])
async def test_what_expires_in_the_queue_is_passed_over(
    autojump_clock: MockClock, many: bool
) -> None:
    workflow = trouper.Workflow()
    done: list[int] = []

    @workflow.actor(concurrency=2)
    async def workers(ctx: trouper.ActorContext) -> None:
        while True:
            numbers = await ctx.receive_many(1) if many else [await ctx.receive()]
            await trio.sleep(2)
            done.extend(numbers)

    async with workflow.open() as run:
        for number in range(6):
            await run.send(number, timeout=1 if number in (2, 3, 5) else None)
        await run.drain()
    assert sorted(done) == [0, 1, 4]
    assert [letter.reason for letter in run.dead_letters()] == ["expired"] * 3


@pytest.mark.parametrize("many", [False, True])
async def test_what_expires_before_it_comes_again(autojump_clock: MockClock, many: bool) -> None:
    workflow = trouper.Workflow()
    seen: list[int] = []

    @workflow.actor(concurrency=2, redelivery_delay=5.0)
    async def workers(ctx: trouper.ActorContext) -> None:
        while True:
            numbers = await ctx.receive_many(3) if many else [await ctx.receive()]
            seen.extend(numbers)
            ctx.reject("not now")

    async with workflow.open() as run:
        await run.send(1, timeout=3)
        await trio.sleep(20)
    assert seen == [1]
    assert [letter.reason for letter in run.dead_letters()] == ["expired"]


async def test_batches_of_messages_that_are_checked_are_of_one(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4))
    got: list[list[int]] = []

    @workflow.actor(depends_on="numbers", concurrency=2, validate=True)
    async def workers(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
        while True:
            got.append(await ctx.receive_many(8))

    result = await workflow.execute()
    assert (result.status, sorted(got)) == ("completed", [[0], [1], [2], [3]])


async def test_while_too_many_wait_for_their_time_no_new_one_is_taken(
    autojump_clock: MockClock,
) -> None:
    """X21: what comes again does not go round the bound of the edge."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(6))
    seen: list[tuple[int, int]] = []

    @workflow.actor(depends_on="numbers", concurrency=2, capacity=2, redelivery_delay=30.0)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            seen.append((number, int(trio.current_time() - begun)))
            if ctx.message.attempt == 1:
                ctx.reject("not yet")

    begun = trio.current_time()
    result = await workflow.execute()
    assert result.status == "completed"
    assert Counter(number for number, _ in seen) == dict.fromkeys(range(6), 2)
    assert max(at for _, at in seen) >= 60


async def test_what_comes_again_under_a_rate_limit(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))
    seen: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=2, rate=trouper.Rate(1, per=10))
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            seen.append(number)
            if len(seen) < 3:
                ctx.release()

    result = await workflow.execute()
    assert (result.status, len(seen)) == ("completed", 5)
    assert int(result.seconds) == 40


async def test_two_tasks_of_one_body_are_refused_with_the_ways_out(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    refused: list[str] = []

    @workflow.actor(concurrency=2)
    async def workers(ctx: trouper.ActorContext) -> None:
        async def other() -> None:
            try:
                await ctx.receive()
            except trio.BusyResourceError as error:
                refused.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            nursery.start_soon(other)

    async with workflow.open() as run:
        await wait_all_tasks_blocked()
        assert len(refused) == 2
        assert "ctx.leased()" in refused[0]
        assert "concurrency=n" in refused[0]
        run.cancel()


async def test_a_redelivery_delay_lets_the_others_go_on(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(5))
    done: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=2, redelivery_delay=30.0)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            await trio.sleep(1)
            if number == 0 and ctx.message.attempt == 1:
                ctx.reject("not yet")
            else:
                done.append(number)

    result = await workflow.execute()
    assert (result.status, sorted(done[:-1]), done[-1]) == ("completed", [1, 2, 3, 4], 0)
    assert 30 < result.seconds < 40


async def test_early_settlement_in_several_bodies(autojump_clock: MockClock) -> None:
    """X26: releasing in one body is no failed attempt, and another may get the message."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))
    attempts: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=3)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            assert ctx.messages == (ctx.message,)
            attempts.append(ctx.message.attempt)
            if number == 1 and len(attempts) < 6:
                ctx.release()
            else:
                ctx.ack()
                assert ctx.message is None
            await trio.sleep(1)

    result = await workflow.execute(harness=deterministic())
    assert result.status == "completed"
    assert attempts == [1] * len(attempts)
    assert len(attempts) >= 6
    assert result.edges[0].acknowledged == 3


@pytest.mark.parametrize("value", [0, -1])
def test_less_than_one_body_is_refused(value: int) -> None:
    """S13"""
    with pytest.raises(ValueError, match="concurrency of 'node' must be > 0"):
        trouper.Workflow().actor(name="node", concurrency=value)(counts(1))


@pytest.mark.parametrize("value", [1.5, True, "2", None])
def test_a_number_of_bodies_is_an_int(value: Any) -> None:
    """S13"""
    with pytest.raises(TypeError, match="concurrency of 'node' takes an int"):
        trouper.Workflow().actor(name="node", concurrency=value)(counts(1))
