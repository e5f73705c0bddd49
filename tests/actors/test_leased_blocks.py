"""`async with ctx.leased() as message`: a lease that belongs to a block."""

from collections import Counter
from contextlib import suppress
from typing import Any

import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts


async def test_several_tasks_of_one_actor_each_hold_a_message(autojump_clock: MockClock) -> None:
    """P13, with tasks of the actor's own."""
    done: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(9))

    @workflow.actor(depends_on="numbers")
    async def pool(ctx: trouper.ActorContext) -> None:
        async def work() -> None:
            while True:
                async with ctx.leased() as number:
                    assert ctx.message is not None
                    assert ctx.message.payload == number
                    await trio.sleep(1)
                    await ctx.send((number, ctx.message.id))
                done.append(number)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work)

    got: list[tuple[int, str]] = []
    ids: list[str] = []

    @workflow.actor(depends_on="pool")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for each in ctx:
            assert ctx.message is not None
            got.append(each)
            ids.append(ctx.message.id)

    result = await workflow.execute()
    assert result.status == "completed"
    assert sorted(done) == [*range(9)]
    assert int(result.seconds) == 3
    assert ids == [message_id for _, message_id in got]
    assert [edge.acknowledged for edge in result.edges] == [9, 9]


async def test_an_exception_rejects_and_a_normal_end_acknowledges(
    autojump_clock: MockClock,
) -> None:
    attempts: list[tuple[int, int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))

    @workflow.actor(depends_on="numbers", max_attempts=2)
    async def careful(ctx: trouper.ActorContext) -> None:
        while True:
            try:
                async with ctx.leased() as number:
                    assert ctx.message is not None
                    attempts.append((number, ctx.message.attempt))
                    if number == 1:
                        raise ValueError("never")
            except ValueError:
                assert ctx.message is None

    result = await workflow.execute()
    assert result.status == "completed"
    assert attempts == [(0, 1), (1, 1), (1, 2), (2, 1)]
    [letter] = result.dead_letters
    assert [str(each) for each in letter.failures] == ["ValueError: never"] * 2
    assert result.nodes["careful"].failed == 0
    assert (result.edges[0].acknowledged, result.edges[0].is_closed) == (2, True)


async def test_an_exception_that_leaves_run_is_a_crash_as_well(autojump_clock: MockClock) -> None:
    seen: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))

    @workflow.actor(depends_on="numbers")
    async def crashes(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as number:
                seen.append(number)
                if len(seen) == 2:
                    raise ValueError("once")

    result = await workflow.execute()
    assert (result.status, seen) == ("completed", [0, 1, 1, 2])
    assert result.nodes["crashes"].failed == 1


async def test_a_cancelled_block_releases(autojump_clock: MockClock) -> None:
    """X12: the same attempt comes again."""
    seen: list[tuple[int, int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(2))

    @workflow.actor(depends_on="numbers")
    async def impatient(ctx: trouper.ActorContext) -> None:
        while True:
            with trio.move_on_after(2):
                async with ctx.leased() as number:
                    assert ctx.message is not None
                    seen.append((number, ctx.message.attempt))
                    await trio.sleep(5 if len(seen) == 1 else 1)

    result = await workflow.execute()
    assert (result.status, seen) == ("completed", [(0, 1), (0, 1), (1, 1)])
    assert result.edges[0].acknowledged == 2


async def test_a_wait_for_a_message_that_is_cancelled_takes_none(autojump_clock: MockClock) -> None:
    """C5"""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4, every=3))
    seen: list[int] = []

    @workflow.actor(depends_on="numbers")
    async def patient(ctx: trouper.ActorContext) -> None:
        while True:
            with trio.move_on_after(1):
                async with ctx.leased() as number:
                    seen.append(number)

    result = await workflow.execute()
    assert (result.status, seen) == ("completed", [0, 1, 2, 3])


async def test_the_input_ends_only_when_no_block_holds_a_message(autojump_clock: MockClock) -> None:
    """A message in hand may come again: who waits meanwhile gets it."""
    seen: list[tuple[str, int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(1))

    @workflow.actor(depends_on="numbers")
    async def two(ctx: trouper.ActorContext) -> None:
        async def work(name: str) -> None:
            while True:
                try:
                    async with ctx.leased() as number:
                        seen.append((name, number))
                        await trio.sleep(5)
                        if len(seen) == 1:
                            raise ValueError("once")
                except ValueError:
                    await trio.sleep(100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, "a")
            nursery.start_soon(work, "b")

    result = await workflow.execute()
    assert result.status == "completed"
    [first, second] = seen
    assert first[0] != second[0]
    assert result.edges[0].acknowledged == 1


async def test_a_time_limit_ends_one_block(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(2))
    caught: list[str] = []

    @workflow.actor(depends_on="numbers", timeout=3, max_attempts=1)
    async def slow(ctx: trouper.ActorContext) -> None:
        while True:
            try:
                async with ctx.leased() as number:
                    await trio.sleep(100 if number == 0 else 1)
            except trouper.HandlerTimeout as error:
                caught.append(error.message_id)

    result = await workflow.execute()
    assert (result.status, caught) == ("completed", ["numbers:1"])
    assert [letter.envelope.payload for letter in result.dead_letters] == [0]
    assert result.edges[0].acknowledged == 1


async def test_a_handler_that_catches_the_cancellation_does_not_acknowledge(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(1))
    caught: list[tuple[str, ...]] = []

    @workflow.actor(depends_on="numbers", timeout=3, max_attempts=1)
    async def stubborn(ctx: trouper.ActorContext) -> None:
        while True:
            try:
                async with ctx.leased():
                    with suppress(trio.Cancelled):
                        await trio.sleep(100)
            except trouper.HandlerTimeout as error:
                caught.append(tuple(error.__notes__))

    result = await workflow.execute()
    assert (result.status, len(result.dead_letters)) == ("completed", 1)
    assert caught == [("its handler caught the cancellation and went on",)]


async def test_an_expired_message_ends_its_block_quietly(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    seen: list[Any] = []

    @workflow.actor
    async def slow(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as seconds:
                await trio.sleep(seconds)
                seen.append(seconds)

    async with workflow.open() as run:
        await run.send(100, timeout=2)
        await run.send(1)
    assert seen == [1]
    assert [letter.reason for letter in run.dead_letters()] == ["expired"]


async def test_settled_early_nothing_is_settled_twice(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))
    seen: list[int] = []

    @workflow.actor(depends_on="numbers")
    async def early(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as number:
                seen.append(number)
                if number == 1 and len(seen) == 2:
                    ctx.release()
                else:
                    ctx.ack()

    result = await workflow.execute()
    assert (result.status, seen) == ("completed", [0, 1, 1, 2])
    assert result.edges[0].acknowledged == 3


async def test_held_outputs_go_out_with_their_own_message(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4))

    @workflow.actor(depends_on="numbers", on_redelivery="hold")
    async def pool(ctx: trouper.ActorContext) -> None:
        failed = False

        async def work() -> None:
            nonlocal failed
            while True:
                try:
                    async with ctx.leased() as number:
                        await ctx.send((number, "a"))
                        await trio.sleep(1)
                        if number == 1 and not failed:
                            failed = True
                            raise ValueError("once")
                        await ctx.send_many([(number, "b"), (number, "c")])
                except ValueError:
                    pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(work)

    got: list[tuple[int, str]] = []
    workflow.actor(name="sink", depends_on="pool")(collects(got))
    result = await workflow.execute()
    assert result.status == "completed"
    assert Counter(got) == Counter((number, part) for number in range(4) for part in "abc")


async def test_held_outputs_that_nobody_reads_any_more_end_the_actor(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(4, every=1))

    @workflow.actor(depends_on="numbers", on_redelivery="hold")
    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as number:
                await ctx.send(number)

    @workflow.actor(depends_on="relay")
    async def one(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    result = await workflow.execute()
    assert result.status == "completed"
    assert result.nodes["relay"].failed == 0
