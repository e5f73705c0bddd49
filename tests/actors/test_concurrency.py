"""`concurrency=n`: bodies of one actor side by side, each with a message of its own."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts
from harness.faults import deterministic


class Gauge:
    """Counts who is inside, and how many were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


@pytest.mark.parametrize("n", [1, 2, 5])
async def test_never_more_than_n_are_in_flight(autojump_clock: MockClock, n: int) -> None:
    """P13"""
    gauge, handled = Gauge(), Counter[int]()
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(20))

    @workflow.actor(depends_on="numbers", concurrency=n)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            with gauge:
                await trio.sleep(1 + number % 3)
            handled[number] += 1

    result = await workflow.execute()
    assert result.status == "completed"
    assert gauge.most == n
    assert handled == Counter(range(20))
    assert (result.edges[0].acknowledged, result.edges[0].is_closed) == (20, True)


async def test_outputs_have_the_ids_of_the_message_they_were_made_from(
    autojump_clock: MockClock,
) -> None:
    """Each body sends on account of its own message, however the others get on."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(6))

    @workflow.actor(depends_on="numbers", concurrency=3)
    async def doubled(ctx: trouper.ActorContext) -> AsyncIterator[tuple[int, str]]:
        async for number in ctx:
            await trio.sleep(6 - number)
            yield number, ctx.message.id  # type: ignore[union-attr]  # in hand
            await trio.sleep(number % 2)
            await ctx.send((number, f"{ctx.message.id}/doubled.2"))  # type: ignore[union-attr]  # in hand

    got: list[tuple[int, str, str]] = []

    @workflow.actor(depends_on="doubled")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for number, expected in ctx:
            assert ctx.message is not None
            got.append((number, expected, ctx.message.id))

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(number for number, *_ in got) == sorted([*range(6)] * 2)
    assert all(expected == seen for _, expected, seen in got)
    assert result.outputs["doubled"] == got[-1][:2]


async def test_a_crash_rejects_one_message_and_the_others_finish_theirs(
    autojump_clock: MockClock,
) -> None:
    """P22: what a body held goes to another one; none of the others is disturbed."""
    begun: list[tuple[int, int]] = []
    done: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(6))

    @workflow.actor(depends_on="numbers", concurrency=3)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            begun.append((number, ctx.message.attempt))
            await trio.sleep(1 if number == 1 else 3)
            if (number, ctx.message.attempt) == (1, 1):
                raise ValueError("once")
            done.append(number)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(begun) == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    node = result.nodes["workers"]
    assert (node.failed, node.incarnation, node.redelivered) == (1, 2, 1)
    assert str(node.failures[0]) == "ValueError: once"
    assert result.edges[0].acknowledged == 6


async def test_one_that_has_not_finished_in_time_is_cut_off_and_released(
    autojump_clock: MockClock,
) -> None:
    """X12: after a crash of one, the others have `shutdown` seconds; released is not failed."""
    begun: list[tuple[int, int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(2))

    @workflow.actor(depends_on="numbers", concurrency=2, shutdown=5)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            begun.append((number, ctx.message.attempt))
            if len(begun) == 2:
                raise ValueError("once")
            if len(begun) == 1:
                await trio.sleep_forever()

    result = await workflow.execute()
    assert result.status == "completed"
    assert int(result.seconds) == 5
    assert Counter(number for number, _ in begun) == {0: 2, 1: 2}
    assert sorted(attempt for _, attempt in begun) == [1, 1, 1, 2]


async def test_several_that_fail_each_count_their_own_message(autojump_clock: MockClock) -> None:
    """X22: an attempt is counted only of the messages in the hands that failed."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4))
    handled: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=2, max_attempts=2)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            await trio.sleep(1)
            if number < 2:
                raise ValueError(f"never {number}")
            handled.append(number)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(handled) == [2, 3]
    assert sorted(letter.envelope.payload for letter in result.dead_letters) == [0, 1]
    assert [len(letter.attempts) for letter in result.dead_letters] == [2, 2]
    assert (result.nodes["workers"].failed, result.edges[0].is_closed) == (4, True)


async def test_an_intensity_that_is_exceeded_fails_the_run(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(40))

    @workflow.actor(depends_on="numbers", concurrency=4, max_restarts=3, max_attempts=1)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            raise ValueError(f"never {number}")

    result = await workflow.execute()
    assert (result.status, result.failed_node) == ("failed", "workers")
    assert str(result.error).startswith("never")


async def test_a_source_may_have_several_bodies(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    started = 0

    @workflow.actor(concurrency=3)
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        nonlocal started
        started += 1
        mine = started
        for _ in range(4):
            await trio.sleep(1)
            yield mine

    got: list[int] = []
    workflow.actor(name="sink", depends_on="source")(collects(got))

    result = await workflow.execute()
    assert result.status == "completed"
    assert Counter(got) == {1: 4, 2: 4, 3: 4}


async def test_a_drain_ends_every_body_of_a_source(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(concurrency=3)
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(10**9):
            await trio.sleep(1)
            yield number

    async with workflow.open() as run:
        await trio.sleep(4.5)
        result = await run.drain()
    assert (result.status, result.cut_short) == ("completed", ())
    assert result.nodes["source"].state == "done"


async def test_the_hooks_are_called_once_for_all_bodies(autojump_clock: MockClock) -> None:
    calls: list[str] = []

    class Hooked:
        async def start(self, ctx: trouper.ActorContext) -> None:
            calls.append("start")

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            calls.append(reason)

        async def run(self, ctx: trouper.ActorContext) -> None:
            calls.append("run")
            async for number in ctx:
                await trio.sleep(1)
                if number == 1 and len(calls) < 5:
                    raise ValueError("once")

    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))
    workflow.add(Hooked, depends_on="numbers", concurrency=2)
    result = await workflow.execute()
    assert result.status == "completed"
    assert calls == ["start", "run", "run", "failed", "start", "run", "run", "normal"]


async def test_a_time_out_belongs_to_one_body(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4))
    done: list[int] = []

    @workflow.actor(depends_on="numbers", concurrency=2, timeout=5, max_attempts=1)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            await trio.sleep(100 if number == 0 else 4)
            done.append(number)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(done) == [1, 2, 3]
    [letter] = result.dead_letters
    assert (letter.envelope.payload, letter.failures[0].type) == (0, "trouper.HandlerTimeout")
    assert isinstance(result.nodes["workers"].failures[0], trouper.FailureSummary)


async def test_a_deadline_ends_one_message_and_no_body_but_its_own(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    done: list[int] = []

    @workflow.actor(concurrency=2)
    async def workers(ctx: trouper.ActorContext) -> None:
        async for seconds in ctx:
            await trio.sleep(seconds)
            done.append(seconds)

    async with workflow.open() as run:
        await run.send(100, timeout=2)
        await run.send(3)
        await run.send(1)
        await run.drain()
        status = run.status()
    assert done == [3, 1] or done == [1, 3]
    assert [letter.reason for letter in run.dead_letters()] == ["expired"]
    assert status.nodes["workers"].failed == 0


async def test_batches_of_several_bodies(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(40))
    got: list[list[int]] = []

    @workflow.actor(depends_on="numbers", concurrency=3)
    async def workers(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(8)
            await trio.sleep(1)
            if 13 in batch and len(batch) > 1:
                raise ValueError("a batch")
            got.append(batch)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(number for batch in got for number in batch) == [*range(40)]
    assert result.edges[0].acknowledged == 40


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
