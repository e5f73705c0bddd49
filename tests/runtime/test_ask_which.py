"""Which question a reply belongs to, and which are refused."""

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


async def silent(ctx: Context) -> None:
    async for _ in ctx:
        pass


def graph(*bodies: Any, **options: Any) -> trouper.Workflow:
    workflow = trouper.Workflow()
    for body in bodies:
        workflow.actor(**options)(body)
    return workflow


async def test_the_question_inside_of_a_question_is_answered_first(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def outer(ctx: Context) -> None:
        async for number in ctx:
            inner_answer = await ctx.ask(number + 1, "inner")
            await ctx.reply(inner_answer * 10)

    @workflow.actor
    async def inner(ctx: Context) -> None:
        async for number in ctx:
            await ctx.reply(number)

    async with workflow.open() as run:
        assert await run.ask(1, to="outer") == 20


async def test_a_reply_without_a_question_is_an_error(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    caught: list[str] = []

    @workflow.actor
    async def replies(ctx: Context) -> None:
        async for number in ctx:
            try:
                await ctx.reply(number)
            except RuntimeError as error:
                caught.append(str(error))

    async with workflow.open() as run:
        await run.send(1)
    assert caught[0].startswith("ctx.reply(): the message that 'replies' has in hand came from no")


async def test_bad_questions_are_refused(autojump_clock: MockClock) -> None:
    """S13"""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(1))
    workflow.actor(name="others")(counts(1))
    workflow.actor(name="echo")(echo)
    workflow.actor(name="zipped", depends_on=["numbers", "others"], fan_in="zip")(silent)

    @workflow.task
    async def once() -> int:
        return 1

    @workflow.actor
    async def typed(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
        async for number in ctx:
            await ctx.reply(number)

    async with workflow.open() as run:
        bad: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"to": "ecko"}, ValueError, "there is no node 'ecko'; did you mean 'echo'"),
            (
                {"to": "once"},
                ValueError,
                "'once' is a batch task: it runs once",
            ),
            ({"to": "zipped"}, ValueError, "'zipped' joins its upstreams"),
            ({"to": "echo", "timeout": 0}, ValueError, "timeout= > 0 s"),
            ({"to": "echo", "timeout": "1"}, TypeError, "timeout= in seconds"),
            ({"to": "echo", "timeout": True}, TypeError, "timeout= in seconds"),
            ({"to": "echo", "reply_from": "once"}, ValueError, "'once' is a batch task"),
            ({"to": "echo", "reply_from": "no"}, ValueError, "there is no node 'no'"),
            ({"to": "echo", "reply_from": "echo.x"}, ValueError, "has no output 'x'"),
            ({"to": "echo", "restarting": "no"}, ValueError, "restarting can't be 'no'"),
            ({"to": "typed"}, TypeError, "typed"),
        ]
        for options, error, problem in bad:
            with pytest.raises(error, match=problem):
                await run.ask("x", **options)


async def test_of_several_questions_in_hand_one_has_to_be_named(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    refused: list[str] = []
    answers: list[int] = []

    @workflow.actor
    async def batches(ctx: Context) -> None:
        while True:
            await trio.sleep(1)
            for _ in await ctx.receive_many():
                try:
                    await ctx.reply(0)
                except RuntimeError as error:
                    refused.append(str(error))
            for envelope in ctx.messages:
                await ctx.reply(envelope.payload, envelope)

    async with workflow.open() as run:

        async def one(number: int) -> None:
            answers.append(await run.ask(number, to="batches"))

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(one, number)
    assert sorted(answers) == [0, 1, 2]
    assert "came from 3 questions; say which one is meant" in refused[0]


async def test_one_at_the_end_of_its_input_takes_no_question_more(
    autojump_clock: MockClock,
) -> None:
    """K3: it still handles its last message, and would never look for another one."""
    workflow = trouper.Workflow()
    heard: list[str] = []

    @workflow.actor
    async def last(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(4)

    @workflow.actor
    async def asks(ctx: Context) -> None:
        async for _ in ctx:
            await trio.sleep(2)
            try:
                await ctx.ask(1, "last")
            except trouper.NodeEnded as error:
                heard.append(str(error))

    async with workflow.open() as run:
        await run.send(0, to="last")
        await run.send(0, to="asks")
        await wait_all_tasks_blocked()
        await run.drain()
    assert len(heard) == 1
    assert "the run is draining" in heard[0]


async def test_a_question_that_waits_for_room_hears_of_the_end(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor(capacity=1)
    async def leaves(ctx: Context) -> None:
        await ctx.receive()
        await trio.sleep(5)

    async with workflow.open() as run:
        await run.send(1)
        await wait_all_tasks_blocked()
        await run.send(2)
        with pytest.raises(trouper.NodeEnded) as found:
            await run.ask(3, to="leaves")
        assert found.value.payload == 3


async def test_where_a_question_is_that_goes_out_of_the_graph(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()

    @workflow.actor
    async def relay(ctx: Context) -> AsyncIterator[int]:
        async for number in ctx:
            yield number

    async with workflow.open() as run, run.stream("relay") as stream:
        with pytest.raises(trouper.AskTimeout, match="no reply from 'relay' within 1 s"):
            await run.ask(1, to="relay", timeout=1)
        assert await anext(aiter(stream)) == 1


async def test_a_context_made_by_hand_asks_nobody() -> None:
    for context in (trouper.TaskContext[Any, Any, Any](), trouper.ActorContext[Any, Any, Any]()):
        with pytest.raises(NotImplementedError, match="ask: this context is connected to no run"):
            await context.ask(1, "anybody")


async def test_before_the_run_begins_it_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"run\.ask\(\) before the run has begun"):
        await graph(echo).open().ask(1, to="echo")


async def test_a_batch_of_questions(autojump_clock: MockClock) -> None:
    """Each is answered by the output that descends from it, not by whichever comes first."""
    workflow = trouper.Workflow()
    workflow.actor(echo)
    answers: list[int] = []
    async with workflow.open() as run:

        async def one(number: int) -> None:
            answers.append(await run.ask(number, to="echo"))

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, number)
    assert sorted(answers) == [*range(30)]
