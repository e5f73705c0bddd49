"""Control of an actor with several messages in hand: `concurrency=n`, and leased blocks."""

from typing import Any

import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects
from harness.ids import assert_edges_closed


def workers(seen: list[Any], **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()

    @wf.actor(concurrency=3, **options)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            before = ctx.config.get("version", 0)
            await trio.sleep(1)
            seen.append((message, before, ctx.config.get("version", 0)))

    return wf


async def send(run: trouper.LiveRun, *numbers: int) -> None:
    for number in numbers:
        await run.send(number, to="sink")


async def test_a_pause_holds_all_bodies(autojump_clock: MockClock) -> None:
    """X5: what they have in hand they finish."""
    seen: list[Any] = []
    async with workers(seen).open() as run:
        await send(run, *range(6))
        await trio.sleep(0.5)
        run.pause("sink")
        await trio.sleep(10)
        assert sorted(number for number, _, _ in seen) == [0, 1, 2]
        run.resume("sink")
        await trio.sleep(1.5)
        assert sorted(number for number, _, _ in seen) == list(range(6))


async def test_each_body_changes_between_two_messages(autojump_clock: MockClock) -> None:
    """X4: none sees two versions in one message, though they don't change at the same time."""
    seen: list[Any] = []
    async with workers(seen).open() as run:
        await send(run, 0)
        await trio.sleep(0.5)
        await send(run, 1, 2)
        await trio.sleep(0.4)
        await run.reconfigure("sink", config={"version": 1})
        await send(run, *range(3, 9))
    assert len(seen) == 9
    assert all(before == after for _, before, after in seen)
    assert {number: version for number, version, _ in seen} == {
        **dict.fromkeys(range(3), 0),
        **dict.fromkeys(range(3, 9), 1),
    }


async def test_stop_ends_all_bodies_after_what_they_have_in_hand(
    autojump_clock: MockClock,
) -> None:
    """A2, K2"""
    seen: list[Any] = []
    async with workers(seen).open() as run:
        await send(run, *range(6))
        await trio.sleep(0.5)
        await run.stop("sink")
        assert trio.current_time() == 1
        assert run.status().nodes["sink"].state == "done"
    result = await run.wait()
    assert sorted(number for number, _, _ in seen) == [0, 1, 2]
    assert [letter.reason for letter in result.dead_letters] == ["stopped"] * 3
    assert_edges_closed(result)


async def test_kill_cancels_all_bodies(autojump_clock: MockClock) -> None:
    """P17: each message in hand is a dead letter `killed`."""
    seen: list[Any] = []
    async with workers(seen).open() as run:
        await send(run, *range(4))
        await trio.sleep(0.5)
        run.kill("sink")
    result = await run.wait()
    assert seen == []
    assert sorted((x.envelope.payload, x.reason) for x in result.dead_letters) == [
        (0, "killed"),
        (1, "killed"),
        (2, "killed"),
        (3, "stopped"),
    ]
    assert_edges_closed(result)


async def test_a_rate_is_of_all_bodies_together(autojump_clock: MockClock) -> None:
    seen: list[Any] = []
    async with workers(seen, rate=trouper.Rate(2, per=10)).open() as run:
        await send(run, *range(6))
        await trio.sleep(2)
        assert len(seen) == 2
        await trio.sleep(5)
        assert len(seen) == 3
        await run.reconfigure("sink", rate=None)
        await trio.sleep(1.5)
        assert len(seen) == 6


async def test_a_rate_limits_the_batches_of_all_bodies(autojump_clock: MockClock) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()

    @wf.actor(concurrency=2, rate=trouper.Rate(3, per=3))
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            got.append(await ctx.receive_many())

    async with wf.open() as run:
        await send(run, *range(7))
        await trio.sleep(0.5)
        assert sum(map(len, got)) == 3
        await trio.sleep(10)
    assert sorted(each for batch in got for each in batch) == list(range(7))


async def test_one_body_hears_of_an_end_before_any_takes_a_message(
    autojump_clock: MockClock,
) -> None:
    """P9, A2: once, not once for each body; the others wait for it."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor(concurrency=2)
    async def sink(ctx: trouper.ActorContext) -> None:
        ctx.watch("b", hear)
        async for message in ctx:
            seen.append(message)  # noqa: PERF401  # looked at meanwhile

    async def hear(down: trouper.Down) -> None:
        await trio.sleep(5)
        seen.append(down.reason)

    async with wf.open() as run:
        await trio.sleep(1)
        run.kill("b")
        await trio.sleep(1)
        await send(run, 1, 2)
        await trio.sleep(1)
        assert seen == []
        await trio.sleep(5)
        assert seen[0] == "killed"
        assert sorted(seen[1:]) == [1, 2]


async def test_leased_blocks_are_held_as_well(autojump_clock: MockClock) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()

    @wf.actor
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            async with ctx.leased() as message:
                got.append(message)
                await trio.sleep(1)

    async with wf.open() as run:
        await send(run, 1, 2)
        await trio.sleep(0.5)
        run.pause("sink")
        await trio.sleep(5)
        assert got == [1]
    assert got == [1, 2]
