"""`concurrency=n`: bodies of one actor side by side, each with a message of its own."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts


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
