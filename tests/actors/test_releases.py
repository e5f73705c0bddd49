"""X23: what `ctx.release` gives back does not go round for ever."""

from typing import Any

import pytest
from trio.testing import MockClock

import trouper
from harness.bodies import counts
from harness.ids import assert_edges_closed


def graph(n: int, stubborn: set[int], seen: list[int], **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(n))

    @wf.actor(name="node", depends_on="numbers", **options)
    async def node(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            seen.append(number)
            if number in stubborn:
                ctx.release()

    return wf


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"redelivery_delay": 5}])
async def test_a_message_that_is_given_back_for_ever_is_a_dead_letter_in_the_end(
    options: dict[str, Any], autojump_clock: MockClock
) -> None:
    """X23, X26: no failed attempt, and yet it ends; those behind it are handled."""
    seen: list[int] = []
    result = await graph(6, {1, 2}, seen, max_releases=4, **options).execute()
    assert result.ok
    assert [seen.count(number) for number in range(6)] == [1, 5, 5, 1, 1, 1]
    letters = sorted(result.dead_letters, key=lambda each: each.id)
    assert [(each.envelope.payload, each.reason) for each in letters] == [
        (1, "released"),
        (2, "released"),
    ]
    assert all((each.attempts, each.envelope.attempt) == ((), 1) for each in letters)
    node = result.nodes["node"]
    assert (node.released, node.rejected, node.failed) == (10, 0, 0)
    assert result.edges[0].dead_lettered == 2
    assert_edges_closed(result)


async def test_by_default_it_is_a_thousand_times() -> None:
    seen: list[int] = []
    result = await graph(1, {0}, seen).execute()
    assert len(seen) == 1001
    assert [letter.reason for letter in result.dead_letters] == ["released"]


async def test_without_a_limit_it_is_up_to_the_handler() -> None:
    wf, seen = trouper.Workflow(), list[int]()
    wf.actor(name="numbers")(counts(1))

    @wf.actor(depends_on="numbers", max_releases=None)
    async def node(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            seen.append(number)
            if len(seen) < 3000:
                ctx.release()

    result = await wf.execute()
    assert (len(seen), result.dead_letters) == (3000, ())


async def test_a_failed_attempt_begins_the_count_anew(autojump_clock: MockClock) -> None:
    """X26: both are counted apart; `max_attempts` ends what alternates."""
    wf, seen = trouper.Workflow(), list[int]()
    wf.actor(name="numbers")(counts(1))

    @wf.actor(depends_on="numbers", max_releases=2, max_attempts=3)
    async def node(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.attempt)
            if len(seen) % 3:
                ctx.release()
            else:
                ctx.reject("not this time")

    result = await wf.execute()
    assert seen == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [letter.reason for letter in result.dead_letters] == ["max_attempts"]


async def test_a_restart_forgets_no_release(autojump_clock: MockClock) -> None:
    """X23, X10: a permanent actor that gives its message back and returns does not spin."""
    wf, seen = trouper.Workflow(), list[int]()
    wf.actor(name="numbers")(counts(2))

    @wf.actor(depends_on="numbers", restart="permanent", max_releases=7)
    async def node(ctx: trouper.ActorContext) -> None:
        seen.append(await ctx.receive())
        if seen[-1] == 0:
            ctx.release()

    result = await wf.execute()
    assert result.ok
    assert seen == [0] * 8 + [1]
    assert [letter.reason for letter in result.dead_letters] == ["released"]


async def test_of_a_batch_each_is_counted_by_itself(autojump_clock: MockClock) -> None:
    wf, seen = trouper.Workflow(), list[list[int]]()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many([1, 2, 3])

    @wf.actor(depends_on=source, max_releases=2)
    async def node(ctx: trouper.ActorContext) -> None:
        while True:
            seen.append(await ctx.receive_many(3))
            for envelope in ctx.messages:
                if envelope.payload != 2:
                    ctx.release(envelope)

    result = await wf.execute()
    assert [sum(number in batch for batch in seen) for number in (1, 2, 3)] == [3, 1, 3]
    assert sorted(letter.envelope.payload for letter in result.dead_letters) == [1, 3]
    assert_edges_closed(result)
