"""What is in hand, in which task and with which context: the corners between messages."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import counts
from harness.stage import Stage
from trouper import Harness, OperationMeter

# -- loops in loops ------------------------------------------------------------------------------


async def test_a_loop_that_is_cancelled_inside_another_ends_alone(
    autojump_clock: MockClock,
) -> None:
    """C8: to gather for a while, then go on."""
    gathered: list[list[int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(10, every=1))

    @workflow.actor(depends_on="numbers")
    async def gather(ctx: trouper.ActorContext) -> None:
        async for first in ctx:
            gathered.append([first])
            with trio.move_on_after(2.5):
                async for each in ctx:
                    gathered[-1].append(each)

    result = await workflow.execute()
    assert [each for part in gathered for each in part] == list(range(10))
    assert len(gathered) > 2
    assert [edge.acknowledged for edge in result.edges] == [10]


async def test_a_loop_that_another_task_may_not_begin_ends_alone(autojump_clock: MockClock) -> None:
    got: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(10, every=1))

    @workflow.actor(depends_on="numbers")
    async def two(ctx: trouper.ActorContext) -> None:
        async def intrude() -> None:
            await trio.sleep(3.5)
            with pytest.raises(trio.BusyResourceError):
                async for _ in ctx:
                    raise AssertionError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(intrude)
            async for each in ctx:
                got.append(each)
                await trio.sleep(0.9)

    result = await workflow.execute()
    assert (result.status, got) == ("completed", list(range(10)))


async def test_a_message_from_outside_in_the_middle_of_a_loop(autojump_clock: MockClock) -> None:
    """The loop takes from wherever messages are now, also after a `receive` of its body."""
    got: list[object] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(40))

    @workflow.actor(depends_on="numbers")
    async def pairs(ctx: trouper.ActorContext) -> None:
        async for each in ctx:
            got.append(each)
            await trio.sleep(1)
            got.append(await ctx.receive())

    harness = Harness(meter=partial(OperationMeter, 1000))
    async with workflow.open(harness=harness) as run:
        await trio.sleep(3.5)
        for number in range(4):
            await run.send(-number, "pairs")
        result = await run.wait()
    assert result.nodes["pairs"].failed == 0
    assert sorted(map(str, got)) == sorted(map(str, [*range(40), 0, -1, -2, -3]))


# -- several tasks -------------------------------------------------------------------------------


async def test_the_end_of_the_input_takes_no_message_from_another_task() -> None:
    """X22: a loop that begins at the end must not acknowledge what another task has in hand."""

    async def run(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        held = ctx.message

        async def intrude() -> None:
            with pytest.raises(trio.BusyResourceError):
                async for _ in ctx:
                    raise AssertionError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(intrude)
        assert ctx.message is held is not None

    stage = await Stage(run).live(1)
    assert (len(stage.ended), stage.child.failed) == (1, 0)


@pytest.mark.parametrize("operations", [1, 2, 3, 5])
@pytest.mark.parametrize("crashes", [False, True])
async def test_two_tasks_never_have_a_message_each(operations: int, crashes: bool) -> None:
    """X22: what the first has in hand would be acknowledged by the second; nothing may be lost."""
    done: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(50))
    may_crash = crashes

    @workflow.actor(depends_on="numbers", backoff=trouper.Backoff(max=0.01, min=0.01))
    async def two(ctx: trouper.ActorContext) -> None:
        async def read() -> None:
            nonlocal may_crash
            while True:
                try:
                    number = await ctx.receive()
                except trio.BusyResourceError:
                    await trio.lowlevel.checkpoint()
                    continue
                held = ctx.message
                await trio.lowlevel.checkpoint()
                assert ctx.message is held
                if number == 20 and may_crash:
                    may_crash = False
                    raise ValueError("crash")
                done.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read)

    harness = Harness(meter=partial(OperationMeter, operations), seed=1)
    result = await workflow.execute(harness=harness)
    assert (result.status, result.nodes["two"].failed) == ("completed", crashes)
    assert done == list(range(50))


@pytest.mark.parametrize("upstreams", [["a"], ["a", "b"]])
async def test_one_message_after_a_batch(upstreams: list[str], autojump_clock: MockClock) -> None:
    """X22: if its handler crashes, it comes again, and not the batch before it."""
    workflow = trouper.Workflow()
    for name in upstreams:
        workflow.actor(name=name)(counts(6))
    got: list[list[int]] = []
    crashes = iter([True])

    @workflow.actor(depends_on=upstreams)
    async def sink(ctx: trouper.ActorContext) -> None:
        await trio.sleep(1)
        while True:
            got.append([payload(each) for each in await ctx.receive_many(2)])
            got.append([payload(await ctx.receive())])
            if next(crashes, False):
                raise ValueError("crash")

    result = await workflow.execute(harness=Harness(meter=partial(OperationMeter, 1000)))
    assert got[1] == got[2]
    handled = [each for part in got[:1] + got[2:] for each in part]
    assert sorted(handled) == sorted([*range(6)] * len(upstreams))
    assert result.nodes["sink"].redelivered == 1


async def test_one_message_that_came_behind_a_block() -> None:
    """X22: handed over in bulk, settled as one, before the next is in hand."""
    workflow = trouper.Workflow()
    got: list[object] = []
    crashes = iter([True])

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await wait_all_tasks_blocked()
        await ctx.send_many([1, 2])
        await ctx.send(3)

    @workflow.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            got.append(await ctx.receive_many())
            got.append(await ctx.receive())
            if next(crashes, False):
                raise ValueError("crash")

    await workflow.execute()
    assert got == [[1, 2], 3, [3]]


def payload(message: Any) -> int:
    """Return what is in a message, keyed or not."""
    value: int = next(iter(message.values())) if isinstance(message, Mapping) else message
    return value


# -- contexts ------------------------------------------------------------------------------------


async def test_what_is_sent_after_the_last_message_inherits_nothing(
    autojump_clock: MockClock,
) -> None:
    """X1, X13: a total is not of the last message's trace, and not due by its deadline."""
    seen: list[tuple[object, str | None, float | None]] = []
    workflow = trouper.Workflow()

    class Total:
        async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[object]:
            total = 0
            async for number in ctx:
                total += number
                with trio.move_on_after(1):
                    await ctx.receive()
                yield "pause"
            yield total

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            await ctx.send(reason)

    workflow.add(Total)

    @workflow.actor(depends_on="total")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            assert ctx.message is not None
            context = ctx.message.context
            seen.append((message, context.correlation_id, context.deadline))

    async with workflow.open() as run:
        await run.send(1, "total", timeout=5, correlation_id="c")
        await trio.sleep(100)
    assert seen == [("pause", None, None), (1, None, None), ("normal", None, None)]


async def test_a_task_that_receives_after_another_has_the_context_too() -> None:
    """X1: bound in the task that receives, although the last one had the same."""
    seen: list[object] = []
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            for _ in range(2):
                await ctx.send(number)

    @workflow.actor(depends_on="source")
    async def relay(ctx: trouper.ActorContext) -> None:
        async def one() -> None:
            await ctx.receive()
            with trio.move_on_after(0):
                await ctx.receive()  # acknowledges

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
        async for _ in ctx:
            await ctx.send("relayed")

    @workflow.actor(depends_on="relay")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.context.correlation_id)

    harness = Harness(meter=partial(OperationMeter, 1))
    async with workflow.open(harness=harness) as run:
        await run.send(1, "source", correlation_id="c")
    assert seen == ["c"]


async def test_a_late_message_takes_the_last_ones_deadline_along(
    autojump_clock: MockClock,
) -> None:
    """X2: else the actor would be cancelled while it waits, with nothing in hand."""
    got: list[int] = []
    workflow = trouper.Workflow()

    @workflow.actor
    async def slow(ctx: trouper.ActorContext) -> None:
        while True:
            number = await ctx.receive()
            got.append(number)
            await trio.sleep(3)

    async with workflow.open(harness=Harness(meter=partial(OperationMeter, 1000))) as run:
        await run.send(1, timeout=20)
        await run.send(2, timeout=1)
        await trio.sleep(50)
        await run.send(3)
        await trio.sleep(1)
        assert run.status().nodes["slow"].incarnation == 1
    assert got == [1, 3]


@pytest.mark.parametrize("most", [1, 7])
async def test_any_number_of_late_batches(most: int, autojump_clock: MockClock) -> None:
    """X2: they are given up in a loop, whatever their number."""
    got: list[Any] = []
    workflow = trouper.Workflow()

    @workflow.actor(capacity=5000)
    async def slow(ctx: trouper.ActorContext) -> None:
        await trio.sleep(10)
        while True:
            got.append(await ctx.receive_many(most))

    async with workflow.open() as run:
        for number in range(3000):
            await run.send(number, timeout=5)
        await trio.sleep(20)
        await run.send(-1)
    assert got == [[-1]]
    assert len(run.dead_letters()) == 3000


async def test_a_task_that_has_ended_has_acknowledged_its_message() -> None:
    """A nursery child may receive one message and return; the next child takes the next one."""
    wf = trouper.Workflow("children")
    seen: list[int] = []

    @wf.actor
    async def numbers(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await ctx.send_many(range(4))

    @wf.actor(depends_on="numbers")
    async def reader(ctx: trouper.ActorContext[None, None, int]) -> None:
        async def one() -> None:
            seen.append(await ctx.receive())

        for _ in range(4):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)

    result = await wf.execute()
    assert (result.status, seen) == ("completed", [0, 1, 2, 3])
    assert [edge.acknowledged for edge in result.edges] == [4]
