"""Asking a node that has ended, ends, restarts, or has no room."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import counts

Context = trouper.ActorContext[Any, Any, Any, Any]


async def echo(ctx: Context) -> None:
    async for message in ctx:
        await ctx.reply(message)


async def test_an_asker_that_is_cancelled_waits_no_longer(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def slow(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(5)
            await ctx.reply("late")

    async with workflow.open() as run:
        with trio.move_on_after(1) as scope:
            await run.ask(1, to="slow")
        assert scope.cancelled_caught
        result = await run.drain()
    assert [letter.reason for letter in result.dead_letters] == ["late_reply"]


@pytest.mark.parametrize("inside", [False, True])
async def test_one_that_has_ended_is_named_at_once(autojump_clock: MockClock, inside: bool) -> None:
    """P23, K3"""
    workflow = trouper.Workflow()
    caught: list[trouper.NodeEnded] = []

    @workflow.actor
    async def brief(ctx: Context) -> None:
        return

    @workflow.actor
    async def asks(ctx: Context) -> None:
        async for question in ctx:
            try:
                await ctx.ask(question, "brief")
            except trouper.NodeEnded as error:
                caught.append(error)

    async with workflow.open() as run:
        await wait_all_tasks_blocked()
        if inside:
            await run.send("hello", to="asks")
        else:
            with pytest.raises(trouper.NodeEnded) as found:
                await run.ask("hello", to="brief")
            caught.append(found.value)
        await run.drain()
    [error] = caught
    assert "'brief' takes no questions any more (it is done" in str(error)
    assert error.payload == "hello"


async def test_a_question_in_the_queue_of_one_that_ends_comes_back(
    autojump_clock: MockClock,
) -> None:
    """K2: pending asks fail at the caller, with the message returned."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def leaves(ctx: Context) -> None:
        await ctx.receive()
        await trio.sleep(1)

    async with workflow.open() as run:
        await run.send("first", to="leaves")
        with pytest.raises(trouper.NodeEnded) as found:
            await run.ask("second", to="leaves")
        assert found.value.payload == "second"


async def test_a_failed_run_leaves_no_asker_waiting(autojump_clock: MockClock) -> None:
    """K2: the budget is exhausted, the question was still in the queue."""
    workflow = trouper.Workflow()

    @workflow.actor(restart="temporary")
    async def fails(ctx: Context) -> None:
        await ctx.receive()
        await trio.sleep(1)
        raise ValueError("no more")

    async with workflow.open() as run:
        await run.send("first", to="fails")
        with pytest.raises(trouper.NodeEnded) as found:
            await run.ask("second", to="fails")
        assert found.value.payload == "second"
        assert (await run.wait()).status == "failed"
        with pytest.raises(trouper.NodeEnded, match="it is failed"):
            await run.ask("third", to="fails")


async def test_two_that_ask_while_the_run_drains_both_hear_of_the_end(
    autojump_clock: MockClock,
) -> None:
    """K3: "not running", no deadlock."""
    workflow = trouper.Workflow()
    workflow.actor(echo)
    heard: list[str] = []

    for name in ("one", "two"):

        @workflow.actor(name=name)
        async def asks(ctx: Context) -> None:
            async for _ in ctx:
                await trio.sleep(3)
                try:
                    await ctx.ask(1, "echo")
                except trouper.NodeEnded as error:
                    heard.append(f"{ctx.action.name}: {error}")

    async with workflow.open() as run:
        await run.send(1, to="one")
        await run.send(1, to="two")
        result = await run.drain()
    assert result.status == "completed"
    assert (
        sorted(text[:31] for text in heard)
        == [
            "one: 'echo' takes no questions",
            "two: 'echo' takes no questions",
        ]
        or len(heard) == 2
    )


async def test_while_the_run_drains_a_node_that_still_works_is_asked(
    autojump_clock: MockClock,
) -> None:
    """A3: what was accepted is handled to the end, with all the questions that this takes."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3))
    answers: list[Any] = []

    @workflow.actor(depends_on="numbers")
    async def asks(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            await trio.sleep(1)
            answers.append(await ctx.ask(number, "sums"))
            yield number

    @workflow.actor(depends_on="asks", fan_in="merge")
    async def sums(ctx: Context) -> None:
        async for number in ctx:
            if ctx.message is not None and ctx.message.source != "asks":
                await ctx.reply(number * 2)

    async with workflow.open() as run:
        await trio.sleep(1.5)
        result = await run.drain()
    assert (result.status, answers) == ("completed", [0, 2, 4])


@pytest.mark.parametrize("choice", ["wait", "raise"])
async def test_asking_one_that_is_being_restarted(autojump_clock: MockClock, choice: Any) -> None:
    """K4: an error or a wait, by option, never a hang."""
    workflow = trouper.Workflow()
    backoff = trouper.Backoff(min=5, max=5, jitter=0)

    @workflow.actor(backoff=backoff, max_attempts=2)
    async def restarts(ctx: Context) -> None:
        async for message in ctx:
            if message == "crash":
                raise ValueError("as told")
            await ctx.reply(message)

    async with workflow.open() as run:
        await run.send("crash", to="restarts")
        await trio.sleep(1)
        assert run.status().nodes["restarts"].state == "restarting"
        if choice == "wait":
            assert await run.ask(1, to="restarts", restarting=choice) == 1
        else:
            with pytest.raises(trouper.TargetRestarting, match="'restarts' is being restarted"):
                await run.ask(1, to="restarts", restarting=choice)


async def test_a_question_that_overflow_drops_gets_no_reply(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(capacity=1, overflow="drop_newest")
    async def busy(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(1)

    async with workflow.open() as run:
        await run.send(1)
        await wait_all_tasks_blocked()
        await run.send(2)
        with pytest.raises(trouper.NoReply, match="was dropped") as found:
            await run.ask(3, to="busy")
        assert found.value.outcome == "dropped"


async def test_a_question_waits_for_room_as_long_as_it_may(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(capacity=1)
    async def busy(ctx: Context) -> None:
        async for number in ctx:
            await trio.sleep(5)
            if number == 3:
                await ctx.reply("three")

    async with workflow.open() as run:
        await run.send(1)
        await wait_all_tasks_blocked()
        await run.send(2)
        with pytest.raises(trouper.AskTimeout, match="it waited for room"):
            await run.ask(0, to="busy", timeout=2)
        assert await run.ask(3, to="busy") == "three"
        result = await run.drain()
    assert result.edges[0].acknowledged == 3
