"""An actor's task meets what was asked of it: at a message boundary, before data, exactly once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.control import collecting, point_of, receiving, receiving_many
from harness.stage import Stage
from trouper.actors._control import NOTHING_ASKED
from trouper.actors._control_point import ControlPoint


@pytest.mark.parametrize("body", [collecting, receiving])
async def test_a_pause_holds_an_actor_that_waits(body: Any) -> None:
    """X5: what comes during it stays in the mailbox; after it, all is as before."""
    got: list[int] = []
    stage = Stage(body(got))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        stage.feed(1, 2)
        await wait_all_tasks_blocked()
        assert got == []
        assert stage.ledger()["queued"] == 2
        point.ask(point.asked.resume())
        await wait_all_tasks_blocked()
        assert got == [1, 2]
        assert stage.box.control is None
        stage.feed(3)
        stage.end()
    assert got == [1, 2, 3]


@pytest.mark.parametrize("body", [collecting, receiving])
async def test_a_pause_holds_a_message_that_has_woken_its_reader_already(body: Any) -> None:
    """X5: no receive completes after the pause, not even one that was about to."""
    got: list[int] = []
    stage = Stage(body(got))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        stage.feed(0)
        await wait_all_tasks_blocked()
        assert got == [0]
        stage.feed(1)
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        await wait_all_tasks_blocked()
        assert got == [0]
        point.ask(point.asked.resume())
        stage.end()
    assert got == [0, 1]


async def test_a_pause_between_the_turns_of_several_lanes() -> None:
    got: list[Any] = []
    stage = Stage(collecting(got), sources=("a", "b"), keyed=True)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        stage.feed(1, 2, lane=0)
        stage.feed(3, lane=1)
        await wait_all_tasks_blocked()
        assert got == []
        point.ask(point.asked.resume())
        stage.end()
    assert sorted(next(iter(each.values())) for each in got) == [1, 2, 3]


async def test_a_message_in_hand_is_handled_to_its_end(autojump_clock: MockClock) -> None:
    """X5: in-flight finishes; with credit for more, no more is taken."""
    got: list[int] = []
    stage = Stage(collecting(got, seconds=5))
    stage.feed(*range(10))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(7)
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        await trio.sleep(100)
        assert got == [0, 1]
        assert stage.ledger() == {"sent": 10, "queued": 8, "in hand": 0, "given up": 0}
        point.ask(point.asked.resume())
        stage.end()
    assert got == list(range(10))


async def test_a_paused_actor_takes_no_batch_either() -> None:
    got: list[Any] = []
    stage = Stage(receiving_many(got))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        stage.feed(1, 2, 3)
        await wait_all_tasks_blocked()
        assert got == []
        point.ask(point.asked.resume())
        await wait_all_tasks_blocked()
        stage.feed(4, 5)
        stage.end()
    assert [each for batch in got for each in batch] == [1, 2, 3, 4, 5]


async def test_stop_comes_before_message_two(autojump_clock: MockClock) -> None:
    """A2: with 100 queued, stop ends the actor after the message in hand: a normal end."""
    got: list[int] = []
    stage = Stage(collecting(got, seconds=1))
    stage.feed(*range(1, 101))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.5)
        point_of(stage).ask(NOTHING_ASKED.stop())
        await trio.sleep(0.4)
        assert stage.ended == []
    assert got == [1]
    assert stage.child.state.value == "done"
    # K2: what was never handled is dead-lettered, with the reason.
    assert [letter.envelope.payload for letter in stage.dead] == list(range(2, 101))
    assert {letter.reason for letter in stage.dead} == {"stopped"}


async def test_stop_wakes_an_actor_that_waits_and_one_that_is_paused() -> None:
    for asked in (NOTHING_ASKED.stop(), NOTHING_ASKED.pause()):
        stage = Stage(receiving([]))
        async with trio.open_nursery() as nursery:
            stage.begin(nursery)
            await wait_all_tasks_blocked()
            point = point_of(stage)
            point.ask(asked)
            await wait_all_tasks_blocked()
            point.ask(point.asked.stop())
        assert stage.child.state.value == "done"


async def test_a_message_whose_handling_fails_comes_again_before_the_stop(
    autojump_clock: MockClock,
) -> None:
    """A2: after the message in hand, and that is settled only when it is handled."""
    got: list[int] = []

    async def flaky(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            got.append(message)
            await trio.sleep(1)
            if len(got) == 1:
                raise OSError("once")

    stage = Stage(flaky)
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.5)
        point_of(stage).ask(NOTHING_ASKED.pause().stop())
    assert got == [1, 1]
    assert [letter.envelope.payload for letter in stage.dead] == [2]


async def test_kill_interrupts_the_handler(autojump_clock: MockClock) -> None:
    """A2, K2: what it had in hand is a dead letter `killed`, what it had not is `stopped`."""
    stage = Stage(collecting([], seconds=1000))
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        point_of(stage).ask(NOTHING_ASKED.kill())
        stage.child.retire()
    assert trio.current_time() == 1
    assert stage.child.state.value == "cancelled"
    assert [(x.envelope.payload, x.reason, x.envelope.attempt) for x in stage.dead] == [
        (1, "killed", 1),
        (2, "stopped", 1),
    ]


async def test_a_source_is_held_at_its_next_message(autojump_clock: MockClock) -> None:
    """X5: ticks that it misses meanwhile are left out."""

    async def ticking(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for tick in ctx.every(1):
            yield tick

    stage = Stage(ticking)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(2.5)
        assert stage.sent() == [0, 1, 2]
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        await trio.sleep(10)
        assert stage.sent() == []
        point.ask(point.asked.resume())
        await trio.sleep(2)
        assert stage.sent() == [3, 12, 13, 14]
        stage.child.stopping.set()


async def test_what_is_made_from_a_message_in_hand_is_not_held(autojump_clock: MockClock) -> None:
    """X5: in-flight finishes, its outputs included."""

    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for message in ctx:
            await trio.sleep(1)
            yield message
            await ctx.send(message + 100)

    stage = Stage(relay)
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.5)
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        await trio.sleep(10)
        assert stage.sent() == [1, 101]
        point.ask(point.asked.resume())
        stage.end()
    assert stage.sent() == [2, 102]


async def test_new_settings_are_taken_over_between_messages(autojump_clock: MockClock) -> None:
    """X4: never while one is in hand, once each, in the order of asking."""
    config = {"version": 0}
    seen: list[tuple[int, int, int]] = []

    async def handle(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            before = config["version"]
            await trio.sleep(1)
            seen.append((message, before, config["version"]))

    def take_over(version: int) -> None:
        assert config["version"] == version - 1
        config["version"] = version

    stage = Stage(handle)
    stage.feed(1, 2, 3)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.5)
        point = point_of(stage)
        point.configure(lambda: take_over(1))
        point.configure(lambda: take_over(2))
        await trio.sleep(0.4)
        assert config["version"] == 0
        await trio.sleep(1)
        point_of(stage).configure(lambda: take_over(3))
        stage.end()
    assert seen == [(1, 0, 0), (2, 2, 2), (3, 3, 3)]
    assert stage.box.control is None


async def test_a_crash_is_a_boundary_too(autojump_clock: MockClock) -> None:
    """X4: the attempt that follows has the new settings from its first line on."""
    config: list[str] = ["old"]
    seen: list[str] = []

    async def flaky(ctx: trouper.ActorContext) -> None:
        seen.append(config[-1])
        async for _ in ctx:
            await trio.sleep(1)
            if len(seen) == 1:
                raise OSError("once")

    stage = Stage(flaky)
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(0.5)
        point_of(stage).configure(lambda: config.append("new"))
        stage.end()
    assert seen == ["old", "new"]


async def test_on_down_that_asks_for_a_message_is_told_not_to() -> None:
    """It would be in the way of the receive that is about to return."""
    said: list[str] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async def hear(_notice: trouper.Down) -> None:
            await ctx.send("from on_down")
            with pytest.raises(trio.BusyResourceError, match="let it return first") as refused:
                await ctx.receive()
            said.append(str(refused.value))

        control = ControlPoint(stage.box, hear=hear)
        control.ask(NOTHING_ASKED.tell(trouper.Down(node="b", reason="normal", at=0.0)))
        said.extend([message async for message in ctx])

    stage = Stage(body)
    await stage.live("data")
    assert len(said) == 2
    assert said[1] == "data"
    assert stage.sent() == ["from on_down"]


async def test_whoever_hears_nothing_is_not_disturbed() -> None:
    got: list[int] = []
    stage = Stage(collecting(got))
    point_of(stage).ask(NOTHING_ASKED.tell(trouper.Down(node="b", reason="normal", at=0.0)))
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        point_of(stage).ask(NOTHING_ASKED.tell(trouper.Down(node="b", reason="normal", at=0.0)))
        stage.end()
    assert got == [1]


async def test_what_is_asked_before_a_task_has_woken_is_not_forgotten() -> None:
    """X5: paused, resumed and paused again in one go; it wakes into the second pause."""
    got: list[int] = []
    stage = Stage(collecting(got))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        first = point_of(stage)
        first.ask(NOTHING_ASKED.pause())
        await wait_all_tasks_blocked()
        first.ask(first.asked.resume())
        second = point_of(stage)
        assert second is not first
        second.ask(NOTHING_ASKED.pause())
        stage.feed(1)
        await wait_all_tasks_blocked()
        assert (got, stage.box.control) == ([], second)
        second.ask(second.asked.resume())
        stage.end()
    assert got == [1]


async def test_a_source_that_waits_for_room_is_held_too() -> None:
    """X5: no send returns while it is paused, not even one that has begun before."""
    accepted: list[int] = []

    async def counting(ctx: trouper.ActorContext) -> None:
        for number in range(3):
            await ctx.send(number)
            accepted.append(number)

    stage = Stage(counting, out_capacity=1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        assert accepted == [0]
        point = point_of(stage)
        point.ask(NOTHING_ASKED.pause())
        assert stage.sent() == [0]
        await wait_all_tasks_blocked()
        assert accepted == [0]
        point.ask(point.asked.resume())
        for number in (1, 2):
            await wait_all_tasks_blocked()
            assert stage.sent() == [number]
    assert accepted == [0, 1, 2]
