"""`timeout=`: how long one message may be handled."""

import logging
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import counts


def feed(*numbers: int) -> Any:
    async def numbers_of(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in numbers:
            yield number

    return numbers_of


async def test_a_message_that_takes_too_long_is_a_failed_attempt(autojump_clock: MockClock) -> None:
    """X16: the attempt fails, the message comes again, and ends in the dead letters."""
    handled: list[tuple[int, int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1, 2, 3))

    @workflow.actor(depends_on="numbers", timeout=5, max_attempts=2)
    async def slow(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            assert ctx.message is not None
            handled.append((number, ctx.message.attempt))
            await trio.sleep(1000 if number == 2 else 4)

    result = await workflow.execute()
    assert result.status == "completed"
    assert handled == [(1, 1), (2, 1), (2, 2), (3, 1)]
    assert int(result.seconds) == 4 + 5 + 5 + 4
    [letter] = result.dead_letters
    assert (letter.reason, letter.envelope.payload) == ("max_attempts", 2)
    assert [failure.type for failure in letter.failures] == ["trouper.HandlerTimeout"] * 2
    assert "timeout=5 s (attempt 2)" in letter.failures[1].message
    assert "numbers:2" in letter.failures[1].message
    assert ".slow" in letter.failures[1].where
    node = result.nodes["slow"]
    assert (node.failed, node.incarnation) == (2, 3)
    [edge] = result.edges
    assert (edge.acknowledged, edge.dead_lettered, edge.is_closed) == (2, 1, True)


async def test_a_busy_actor_is_left_alone(autojump_clock: MockClock) -> None:
    """X16: each message stays below the limit, all of them together do not."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(50))

    @workflow.actor(depends_on="numbers", timeout=5)
    async def busy(ctx: trouper.ActorContext) -> None:
        while True:
            await ctx.receive()
            await trio.sleep(4.9)

    result = await workflow.execute()
    assert (result.status, result.nodes["busy"].failed) == ("completed", 0)
    assert result.seconds == pytest.approx(50 * 4.9)


async def test_the_wait_for_a_message_does_not_count(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(3, every=100))

    @workflow.actor(depends_on="numbers", timeout=5)
    async def patient(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await trio.sleep(60)
        async for number in ctx:
            yield number
        await trio.sleep(60)

    result = await workflow.execute()
    assert (result.status, result.nodes["patient"].failed) == ("completed", 0)


async def test_a_loop_of_time_outs_ends(autojump_clock: MockClock) -> None:
    """X16: being cut off counts for the restart intensity, so a kill loop ends."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(100))

    @workflow.actor(depends_on="numbers", timeout=1, max_restarts=3, period=1000, max_attempts=1)
    async def stuck(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    result = await workflow.execute()
    assert (result.status, result.failed_node) == ("failed", "stuck")
    assert isinstance(result.error, trouper.HandlerTimeout)
    assert result.error.node == "stuck"
    assert result.error.seconds == 1
    assert result.error.message_id == "numbers:4"
    assert result.nodes["stuck"].failed == 4


async def test_a_deadline_that_is_nearer_expires_the_message(autojump_clock: MockClock) -> None:
    """A message deadline is no failure of the handler, the time-out is."""
    seen: list[tuple[str, int]] = []
    workflow = trouper.Workflow()

    @workflow.actor(timeout=5, max_attempts=1)
    async def slow(ctx: trouper.ActorContext) -> None:
        async for seconds in ctx:
            try:
                await trio.sleep(seconds)
            finally:
                seen.append(("after", int(trio.current_time() - start)))

    async with workflow.open() as run:
        start = trio.current_time()
        await run.send(100, timeout=3)
        await run.send(100, timeout=30)
        await run.send(1)
        await run.send(100, timeout=20)
        await run.drain(budget=1000)
    letters = run.dead_letters()
    assert [letter.reason for letter in letters] == ["expired", "max_attempts", "max_attempts"]
    assert [at for _, at in seen] == [3, 8, 9, 14]
    assert [len(letter.failures) for letter in letters] == [0, 1, 1]


async def test_a_batch_has_one_limit_and_comes_again_one_by_one(autojump_clock: MockClock) -> None:
    """X22: only the message in hand counts the attempt, once its batch has come apart."""
    got: list[list[int]] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1, 2, 3))

    @workflow.actor(depends_on="numbers", timeout=5, max_attempts=1)
    async def batches(ctx: trouper.ActorContext) -> None:
        await trio.sleep(1)  # all of them have come
        while True:
            batch = await ctx.receive_many(10)
            got.append(batch)
            for number in batch:
                await trio.sleep(100 if number == 2 else 2)

    result = await workflow.execute()
    assert got == [[1, 2, 3], [1], [2], [3]]
    assert [letter.envelope.payload for letter in result.dead_letters] == [2]
    [edge] = result.edges
    assert (edge.acknowledged, edge.dead_lettered, edge.is_closed) == (2, 1, True)


async def test_a_generator_that_waits_for_room_counts_it_as_handling(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1, 2, 3))

    @workflow.actor(depends_on="numbers", timeout=5, on_redelivery="skip", max_attempts=9)
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            yield number

    got: list[int] = []

    @workflow.actor(depends_on="relay", capacity=1)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            got.append(number)
            await trio.sleep(8)

    result = await workflow.execute()
    assert got == [1, 2, 3]
    assert result.nodes["relay"].failed == 1


async def test_one_that_catches_the_cancellation_and_asks_on_is_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that goes on in spite of it does not hang; what it holds is not acknowledged."""
    seen: list[int] = []
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1, 2))

    @workflow.actor(depends_on="numbers", timeout=5, max_attempts=1)
    async def stubborn(ctx: trouper.ActorContext) -> None:
        while True:
            try:
                seen.append(await ctx.receive())
                await trio.sleep(100 if seen[-1] == 1 else 0)
            except trio.Cancelled:
                seen.append(-1)

    with caplog.at_level(logging.WARNING, "trouper"):
        result = await workflow.execute()
    assert result.status == "completed"
    assert seen == [1, -1, -1, 2]
    [letter] = result.dead_letters
    assert letter.envelope.payload == 1
    [failure] = letter.failures
    assert failure.type == "trouper.HandlerTimeout"
    assert any("its handler has not ended by then" in record.message for record in caplog.records)


async def test_one_that_catches_it_and_returns_has_failed_all_the_same(
    autojump_clock: MockClock,
) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1, 2))

    @workflow.actor(depends_on="numbers", timeout=5, max_attempts=1)
    async def quiet(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            try:
                await trio.sleep(100 if number == 1 else 0)
            except trio.Cancelled:
                return

    result = await workflow.execute()
    [letter] = result.dead_letters
    assert letter.envelope.payload == 1
    assert letter.failures[0].notes == ("its handler caught the cancellation and went on",)
    assert result.edges[0].acknowledged == 1


async def test_a_failure_of_the_clean_up_says_what_came_before(autojump_clock: MockClock) -> None:
    """A1: an error raised while being cut off is the failure, and tells of the time-out."""
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(feed(1))

    @workflow.actor(depends_on="numbers", timeout=5, max_attempts=1)
    async def untidy(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            try:
                await trio.sleep(100)
            finally:
                raise OSError("the disk is full")

    result = await workflow.execute()
    [failure] = result.dead_letters[0].failures
    assert str(failure) == "OSError: the disk is full"
    assert failure.notes[0].startswith("after its time was over: 'untidy' had message numbers:1")


async def test_a_shielded_handler_is_told_of_while_it_goes_on(autojump_clock: MockClock) -> None:
    """A5: one that can't be cut off is named with the time that it is over."""
    workflow = trouper.Workflow()

    @workflow.actor(timeout=5, max_attempts=1)
    async def shielded(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)

    async with workflow.open() as run:
        await run.send(1)
        await trio.sleep(4)
        assert run.status().nodes["shielded"].overdue == 0
        await trio.sleep(36)
        assert run.status().nodes["shielded"].overdue == pytest.approx(35)
        await trio.sleep(30)
        assert run.status().nodes["shielded"].overdue == 0
    [letter] = run.dead_letters()
    assert letter.failures[0].type == "trouper.HandlerTimeout"


async def test_when_both_have_passed_the_nearer_one_counts(autojump_clock: MockClock) -> None:
    """A handler that could be cut off at neither: the message expired first."""
    workflow = trouper.Workflow()

    @workflow.actor(timeout=5, max_attempts=1)
    async def shielded(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            await trio.sleep(1)

    async with workflow.open() as run:
        await run.send(1, timeout=3)
        await run.drain(budget=100)
    [letter] = run.dead_letters()
    assert (letter.reason, letter.attempts) == ("expired", ())


async def test_a_cancelled_run_releases_what_is_in_hand(autojump_clock: MockClock) -> None:
    """X12: cancellation is not failure, with a limit either."""
    workflow = trouper.Workflow()

    @workflow.actor(timeout=5)
    async def slow(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep(100)

    async with workflow.open() as run:
        await run.send(1)
        await trio.sleep(1)
        run.cancel()
        result = await run.wait()
    assert (result.status, result.nodes["slow"].failed) == ("cancelled", 0)


async def test_a_keyed_input_and_a_join_have_the_limit_too(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    workflow.actor(name="a")(feed(1, 2))
    workflow.actor(name="b")(feed(3, 4))
    got: list[Any] = []

    @workflow.actor(depends_on=["a", "b"], timeout=5, max_attempts=1)
    async def merged(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            got.append(dict(message))
            await trio.sleep(100 if message == {"a": 1} else 1)

    @workflow.actor(depends_on=["a", "b"], fan_in="zip", timeout=5, max_attempts=1)
    async def zipped(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await trio.sleep(100 if message["a"] == 1 else 1)

    result = await workflow.execute()
    assert sorted(map(str, got)) == ["{'a': 1}", "{'a': 2}", "{'b': 3}", "{'b': 4}"]
    given_up = {
        (
            letter.node,
            str(dict(letter.envelope.payload))
            if letter.node == "zipped"
            else letter.envelope.payload,
        )
        for letter in result.dead_letters
    }
    assert given_up == {("merged", 1), ("zipped", "{'a': 1, 'b': 3}")}
    assert all(edge.is_closed for edge in result.edges)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0, "timeout of 'node' must be > 0, got 0"),
        (-1.5, "timeout of 'node' must be > 0, got -1.5"),
        (math.inf, "timeout of 'node' has no effect with inf; leave it out"),
        (math.nan, "timeout of 'node' must be > 0, got nan"),
    ],
)
def test_a_limit_that_is_none_is_refused(value: float, problem: str) -> None:
    """S13"""
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        trouper.Workflow().actor(name="node", timeout=value)(counts(1))


@pytest.mark.parametrize("value", [True, "5", [5]])
def test_a_limit_is_a_number(value: Any) -> None:
    """S13"""
    with pytest.raises(TypeError, match="timeout of 'node' takes seconds, got"):
        trouper.Workflow().actor(name="node", timeout=value)(counts(1))


def test_a_task_has_no_such_limit() -> None:
    """S13"""

    async def once() -> int:
        return 1

    with pytest.raises(TypeError, match="timeout is an option of an actor"):
        trouper.Workflow().task(timeout=5)(once)  # type: ignore[call-overload]  # that is tested
