"""Asking a node and waiting for the reply."""

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


def start_of(run: trouper.Run) -> float:
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
            ({"to": "once"}, ValueError, "'once' is a batch task, which takes no messages"),
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
