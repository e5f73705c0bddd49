"""Asking a node and waiting for the reply."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper

Context = trouper.ActorContext[Any, Any, Any, Any]


async def echo(ctx: Context) -> None:
    async for message in ctx:
        await ctx.reply(message)


def graph(*bodies: Any, **options: Any) -> trouper.Workflow:
    workflow = trouper.Workflow()
    for body in bodies:
        workflow.actor(**options)(body)
    return workflow


async def test_the_reply_comes_back() -> None:
    async with graph(echo).open() as run:
        assert await run.ask(1, to="echo") == 1
        assert await run.ask(None, to=echo) is None
        result = await run.drain()
    assert (result.status, result.edges[0].acknowledged) == ("completed", 2)


async def test_one_further_down_may_reply_and_the_first_reply_wins() -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def front(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            yield number + 1

    @workflow.actor(depends_on="front")
    async def back(ctx: Context) -> None:
        async for number in ctx:
            await ctx.reply(number * 10)
            await ctx.reply("another")

    async with workflow.open() as run:
        assert await run.ask(1, to="front") == 20
        assert await run.ask(2, to="front") == 30
        result = await run.drain()
    assert result.status == "completed"
    assert result.nodes["back"].late_replies == 2
    assert result.dead_letters == ()


async def test_an_actor_asks_another_one(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(echo)

    @workflow.actor
    async def asks(ctx: Context) -> AsyncIterator[Any]:
        async for number in ctx:
            yield await ctx.ask(number, "echo") + await ctx.ask(1, to="echo", timeout=None)

    async with workflow.open() as run:
        async with run.stream("asks") as stream:
            await run.send(5, to="asks")
            assert await anext(aiter(stream)) == 6
        assert await run.ask(7, to="asks", reply_from="asks") == 8


async def test_a_task_asks_too(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(echo)

    @workflow.task
    async def once(ctx: trouper.TaskContext[Any, Any, Any]) -> Any:
        return await ctx.ask("task", "echo")

    async with workflow.open() as run:
        await wait_all_tasks_blocked()
        result = await run.drain()
    assert result.outputs["once"] == "task"


async def test_nobody_replies_and_that_is_known_at_once(autojump_clock: MockClock) -> None:
    """P23: not when the time is over, but when all that came from the question is settled."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def front(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            yield number
            yield number

    @workflow.actor(depends_on="front")
    async def back(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(2)

    async with workflow.open() as run:
        begun = trio.current_time()
        with pytest.raises(trouper.NoReply, match=r"'front' was handled, and nobody has") as caught:
            await run.ask(1, to="front")
        assert trio.current_time() - begun == pytest.approx(4)
        assert caught.value.outcome == "acknowledged"
        assert caught.value.node == "front"
        assert caught.value.reasons == ()


async def test_a_source_of_outputs_answers_by_its_first_one(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(outputs={"odd": int})
    async def numbers(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            await ctx.send(number * 2, to="odd")
            yield number * 3
            yield number * 4

    @workflow.actor(depends_on="numbers")
    async def down(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            await trio.sleep(1)
            yield number + 1

    async with workflow.open() as run:
        assert await run.ask(10, to="numbers", reply_from="numbers") == 30
        assert await run.ask(10, to="numbers", reply_from=numbers) == 30
        assert await run.ask(10, to="numbers", reply_from="numbers.odd") == 20
        assert await run.ask(10, to="numbers", reply_from="down") == 31
        answers: list[int] = []

        async def one(number: int) -> None:
            answers.append(await run.ask(number, to="numbers", reply_from="down"))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(one, number)
        assert sorted(answers) == [1, 4, 7, 10, 13]
        result = await run.drain()
    assert (result.status, result.nodes["down"].late_replies) == ("completed", 0)


async def test_a_responder_that_fails_each_time_fails_the_asker(autojump_clock: MockClock) -> None:
    """P23: the asker keeps waiting through redelivery, until the message is a dead letter."""
    attempts: list[int] = []
    workflow = trouper.Workflow()

    @workflow.actor(max_attempts=3)
    async def broken(ctx: Context) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            attempts.append(ctx.message.attempt)
            raise ValueError("never")

    async with workflow.open() as run:
        with pytest.raises(trouper.AskFailed, match="the last failure: ValueError: never") as found:
            await run.ask(1, to="broken")
        assert attempts == [1, 2, 3]
        assert [str(each) for each in found.value.failures] == ["ValueError: never"] * 3
        assert found.value.reasons == ("broken: max_attempts",)


async def test_a_worker_dies_and_its_asker_gets_the_reply_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """P22"""
    workflow = trouper.Workflow()

    @workflow.actor(concurrency=2)
    async def workers(ctx: Context) -> None:
        async for number in ctx:
            assert ctx.message is not None
            await trio.sleep(1)
            if ctx.message.attempt == 1:
                raise ValueError("once")
            await ctx.reply(number * 2)

    async with workflow.open() as run:
        assert await run.ask(4, to="workers") == 8
        result = await run.drain()
    assert result.nodes["workers"].failed == 1


async def test_a_reply_that_comes_too_late_is_counted_and_kept(autojump_clock: MockClock) -> None:
    """P23: a dead letter for the late one."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def slow(ctx: Context) -> None:
        async for seconds in ctx:
            await trio.sleep(seconds)
            await ctx.reply("late")

    async with workflow.open() as run:
        with pytest.raises(trouper.AskTimeout, match=r"no reply from 'slow' within 2 s") as found:
            await run.ask(5, to="slow", timeout=2)
        assert "under way at 'slow' (running, 0 queued)" in str(found.value)
        assert (found.value.node, found.value.seconds) == ("slow", 2)
        assert trio.current_time() == pytest.approx(start_of(run) + 2)
        await trio.sleep(10)
        [letter] = run.dead_letters()
        assert (letter.reason, letter.node, letter.envelope.payload) == (
            "late_reply",
            "slow",
            "late",
        )
        assert run.status().nodes["slow"].late_replies == 1


def start_of(run: trouper.LiveRun) -> float:
    return trio.current_time() - run.status().seconds


async def test_time_limits_of_many_questions_are_each_kept(autojump_clock: MockClock) -> None:
    ended: dict[float, float] = {}
    workflow = trouper.Workflow()

    @workflow.actor
    async def never(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async with workflow.open() as run:
        start = trio.current_time()

        async def one(seconds: float) -> None:
            with pytest.raises(trouper.AskTimeout):
                await run.ask(1, to="never", timeout=seconds)
            ended[seconds] = trio.current_time() - start

        async with trio.open_nursery() as nursery:
            for seconds in (7.5, 0.25, 3, 40, 0.5):
                nursery.start_soon(one, seconds)
        run.cancel()
    assert ended == {seconds: pytest.approx(seconds) for seconds in (7.5, 0.25, 3, 40, 0.5)}
