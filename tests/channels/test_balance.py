"""A balanced output: each message to one reader that has room, in turns."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from harness.edges import drain_payloads, take
from harness.routing import balanced, queued
from trouper import BufferOverflow, EndOfOutput
from trouper.channels._inbox import Inbox


async def test_readers_take_turns_while_they_have_room() -> None:
    outlet, lanes, _ = balanced((2, "block"), (4, "block"), (4, "block"))
    for number in range(8):
        await outlet.put(number)
    assert queued(lanes) == [[0, 3], [1, 4, 6], [2, 5, 7]]
    assert outlet.sent_in_all() == 8
    assert outlet.last == 7


async def test_it_waits_only_when_no_reader_has_room_and_any_of_them_lets_it_go_on() -> None:
    """V1: then nothing more is accepted."""
    outlet, lanes, inboxes = balanced((1, "block"), (1, "block"), (1, "block"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, list(range(6)))
        await wait_all_tasks_blocked()
        assert queued(lanes) == [[0], [1], [2]]
        for reader, got in ((1, 1), (1, 3), (2, 2)):
            assert (await take(inboxes[reader])).payload == got
            await wait_all_tasks_blocked()
    assert queued(lanes) == [[0], [4], [5]]


async def test_a_cancelled_send_has_sent_nothing() -> None:
    """C5"""
    outlet, lanes, inboxes = balanced((1, "block"), (1, "block"))
    await outlet.put_many([0, 1])
    for _ in range(3):
        with trio.move_on_after(0) as scope:
            await outlet.put(9)
        assert scope.cancelled_caught
    assert queued(lanes) == [[0], [1]]
    await take(inboxes[0])
    await outlet.put(2)
    assert queued(lanes) == [[2], [1]]


async def test_without_a_buffer_it_goes_to_whoever_waits() -> None:
    outlet, _, inboxes = balanced((0, "block"), (0, "block"))
    got: list[Any] = []

    async def read(inbox: Inbox) -> None:
        got.extend((inbox.name, each) for each in await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, list(range(4)))
        await wait_all_tasks_blocked()
        nursery.start_soon(read, inboxes[1])
        await wait_all_tasks_blocked()
        outlet.end()
        inboxes[0].close()
    assert got == [("r1", number) for number in range(4)]


async def test_the_wait_for_room_counts_once(autojump_clock: MockClock) -> None:
    """X15: one sender waits, for whichever reader."""
    outlet, _, inboxes = balanced((1, "block"), (1, "block"))
    await outlet.put_many([0, 1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put, 2)
        await trio.sleep(5)
        assert outlet.waited() == 5
        await take(inboxes[0])
    assert outlet.waited() == 5


async def test_nothing_is_dropped_while_another_reader_has_room_or_may_have() -> None:
    """P10"""
    outlet, lanes, inboxes = balanced((1, "drop_oldest"), (1, "block"))
    await outlet.put_many([0, 1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put, 2)
        await wait_all_tasks_blocked()
        assert queued(lanes) == [[0], [1]]
        await take(inboxes[0])
    assert queued(lanes) == [[2], [1]]
    assert all(not lane.dropped for lane in lanes)


async def test_where_nobody_lets_it_wait_the_policy_of_the_next_in_turn_decides() -> None:
    """P10: and a send does not fail where another reader drops."""
    outlet, lanes, _ = balanced((1, "fail"), (1, "drop_oldest"), (1, "drop_newest"))
    await outlet.put_many(range(6))
    assert queued(lanes) == [[0], [5], [2]]
    assert [dict(lane.dropped) for lane in lanes] == [
        {},
        {"drop_oldest": 2},
        {"drop_newest": 1},
    ]


async def test_if_every_reader_fails_the_send_does() -> None:
    """P10"""
    outlet, lanes, _ = balanced((1, "fail"), (2, "fail"))
    with pytest.raises(BufferOverflow, match="edge a -> r0 is full with 1 messages"):
        await outlet.put_many(range(6))
    assert queued(lanes) == [[0], [1, 2]]


async def test_a_reader_that_could_take_it_has_its_turn_before_anything_is_lost() -> None:
    """P10"""
    outlet, lanes, inboxes = balanced((1, "drop_oldest"), (1, "drop_oldest"))
    got: list[int] = []

    async def read(inbox: Inbox) -> None:
        got.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        await outlet.put_many(range(50))
        outlet.end()
    assert sorted(got) == list(range(50))
    assert all(not lane.dropped for lane in lanes)


async def test_a_reader_that_has_ended_is_passed_over() -> None:
    outlet, lanes, inboxes = balanced((9, "block"), (9, "block"), (9, "block"))
    await outlet.put_many(range(3))
    inboxes[1].close()
    for number in range(3, 7):
        await outlet.put(number)
    assert queued(lanes) == [[0, 3, 5], [], [2, 4, 6]]
    assert lanes[1].dropped == {"reader_ended": 1}
    inboxes[0].close()
    inboxes[2].close()
    with pytest.raises(EndOfOutput, match="'a' is read by nobody any more"):
        await outlet.put(7)
    with pytest.raises(EndOfOutput):
        await outlet.put_many([7, 8])


async def test_a_sender_that_waits_hears_of_the_end_of_its_readers() -> None:
    outlet, _, inboxes = balanced((1, "block"), (1, "block"))
    await outlet.put_many([0, 1])
    ended: list[str] = []

    async def send() -> None:
        try:
            await outlet.put(2)
        except EndOfOutput as end:
            ended.append(str(end))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        inboxes[0].close()
        await wait_all_tasks_blocked()
        assert not ended
        inboxes[1].close()
    assert ended == ["the output of 'a' is read by nobody any more"]


async def test_after_its_end_nothing_is_taken() -> None:
    outlet, _, _ = balanced((1, "block"), (1, "block"))
    outlet.end()
    with pytest.raises(EndOfOutput, match="the output of 'a' has ended"):
        await outlet.put(7)


async def test_without_readers_it_takes_everything_and_lets_others_run() -> None:
    outlet, _, _ = balanced(operations=10)
    with trio.move_on_after(0) as scope:
        for number in range(100):
            await outlet.put(number)
    assert scope.cancelled_caught
    assert 0 < outlet.last < 99


async def test_a_busy_sender_lets_others_run() -> None:
    """Lateness of others is bounded by a slice, also where nothing ever waits."""
    outlet, lanes, _ = balanced((1000, "block"), (1000, "block"), operations=10)
    for many in (False, True):
        begun = outlet.sent_in_all()
        with trio.move_on_after(0) as scope:
            while True:
                await (outlet.put_many([0, 0]) if many else outlet.put(0))
        assert scope.cancelled_caught
        assert outlet.sent_in_all() - begun <= 22
    assert lanes[0].sent - lanes[1].sent in (0, 1)
