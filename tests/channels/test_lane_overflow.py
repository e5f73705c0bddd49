"""What an edge does with a message for which there is no room."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_edge, open_outlet, take
from trouper import BufferOverflow, Envelope, OverflowPolicy
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._outlet import NOTHING

DROPPING: list[OverflowPolicy] = ["drop_oldest", "drop_newest", "latest"]
EVERY: list[OverflowPolicy] = ["block", "fail", *DROPPING]


def kept(overflow: OverflowPolicy, numbers: Sequence[int], capacity: int) -> list[int]:
    """What a buffer holds after `numbers` were put into it and nobody read."""
    capacity = 1 if overflow == "latest" else capacity
    return list(numbers[:capacity] if overflow == "drop_newest" else numbers[-capacity:])


@pytest.mark.parametrize("capacity", [1, 7, 100])
@pytest.mark.parametrize("overflow", DROPPING)
async def test_dropping_policies_keep_what_they_say(
    overflow: OverflowPolicy, capacity: int
) -> None:
    """P10: 200 into 100, and into 1; seq has gaps exactly where messages were dropped."""
    outlet, lane, inbox = open_edge(capacity, overflow)
    for number in range(1, 201):
        await outlet.put(number)
    expected = kept(overflow, range(1, 201), capacity)
    assert lane.dropped == {overflow: 200 - len(expected)}
    assert (lane.sent, lane.queued) == (200, len(expected))
    outlet.end()
    taken = await drain(inbox)
    assert [envelope.payload for envelope in taken] == expected
    # The numbers count from 1 as the places do.
    assert [envelope.seq for envelope in taken] == expected
    assert outlet.last == 200


@pytest.mark.parametrize("capacity", [1, 100])
async def test_fail_refuses_the_message_and_keeps_what_it_has(capacity: int) -> None:
    """P10"""
    outlet, lane, inbox = open_edge(capacity, "fail")
    for number in range(capacity):
        await outlet.put(number)
    for _ in range(2):
        with pytest.raises(BufferOverflow, match=f"edge a -> r is full with {capacity} messages"):
            await outlet.put("too much")
    assert (lane.sent, lane.dropped, outlet.last) == (capacity, {}, capacity - 1)
    assert (await take(inbox)).payload == 0
    await outlet.put("now there is room")
    outlet.end()
    taken = await drain(inbox)
    assert [envelope.payload for envelope in taken] == [*range(1, capacity), "now there is room"]
    assert [envelope.seq for envelope in taken] == list(range(2, capacity + 2))


@pytest.mark.parametrize("capacity", [1, 100])
async def test_block_waits_and_drops_nothing(capacity: int) -> None:
    """P10"""
    outlet, lane, inbox = open_edge(capacity)

    async def produce() -> None:
        for number in range(200):
            await outlet.put(number)
        outlet.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        assert (lane.sent, lane.blocked.waiting) == (capacity, 1)
        assert await drain_payloads(inbox) == list(range(200))
    assert lane.dropped == {}


async def test_capacity_0_hands_over_only_to_a_reader_that_waits() -> None:
    outlet, lane, inbox = open_edge(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put, "x")
        await wait_all_tasks_blocked()
        assert (lane.sent, lane.blocked.waiting, inbox.is_waiting()) == (0, 1, False)
        assert (await take(inbox)).payload == "x"
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 0
        nursery.start_soon(outlet.put, "y")
        await wait_all_tasks_blocked()
        assert (lane.sent, lane.blocked.waiting) == (1, 1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("overflow", ["block", "fail", "drop_oldest", "drop_newest"])
async def test_infinite_capacity_never_waits_or_drops(overflow: OverflowPolicy) -> None:
    outlet, lane, inbox = open_edge(math.inf, overflow)
    for number in range(500):
        await outlet.put(number)
    await outlet.put_many(range(500, 5000))
    outlet.end()
    assert await drain_payloads(inbox) == list(range(5000))
    assert (lane.dropped, lane.peak) == ({}, 5000)


@pytest.mark.parametrize("overflow", DROPPING)
async def test_the_hook_sees_every_dropped_message_and_the_reason(overflow: OverflowPolicy) -> None:
    lost: list[tuple[Lane, Envelope[Any], str]] = []
    outlet, lane, inbox = open_edge(2, overflow, on_drop=lambda *seen: lost.append(seen))
    await outlet.put_many(range(6))
    left = [(await take(inbox)).payload for _ in range(lane.queued)]
    assert sorted([*left, *(envelope.payload for _, envelope, _ in lost)]) == list(range(6))
    assert {(of, reason) for of, _, reason in lost} == {(lane, overflow)}
    assert {envelope.seq - envelope.payload for _, envelope, _ in lost} == {1}


@pytest.mark.parametrize("overflow", [*DROPPING, "fail"])
async def test_before_a_loss_a_reader_that_could_take_it_gets_its_turn(
    overflow: OverflowPolicy,
) -> None:
    outlet, lane, inbox = open_edge(2, overflow)
    taken: list[int] = []

    async def read() -> None:
        taken.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        for number in range(100):
            await outlet.put(number)
        outlet.end()
    assert taken == list(range(100))
    assert lane.dropped == {}


@pytest.mark.parametrize("first", [0, 1])
async def test_a_broadcast_refused_by_one_lane_is_in_none(first: int) -> None:
    outlet = open_outlet()
    inboxes = [Inbox("free"), Inbox("full")]
    options: list[tuple[float, OverflowPolicy]] = [(2, "block"), (1, "fail")]
    lanes = [connect(outlet, inboxes[i], *options[i]) for i in (first, 1 - first)]
    await outlet.put("in both")
    with pytest.raises(BufferOverflow, match="a -> full"):
        await outlet.put("in none")
    assert [(lane.sent, lane.queued) for lane in lanes] == [(1, 1), (1, 1)]
    assert outlet.last == "in both"


async def test_last_is_only_what_was_sent() -> None:
    outlet, _, _ = open_edge(1)
    with trio.move_on_after(0):
        await outlet.put("sent")
        assert outlet.last == "sent"
        await outlet.put("cancelled while it waits")
    assert outlet.last == "sent"
    assert open_outlet().last is NOTHING


async def test_no_lane_is_overfilled_when_another_one_lets_its_reader_have_a_turn() -> None:
    """R101: two tasks send; during the turn the first one of them fills the room of the other."""
    outlet = open_outlet()
    inbox = Inbox("slow")
    blocking = connect(outlet, inbox, 1)
    connect(outlet, Inbox("lossy"), 1, "drop_oldest")
    await outlet.put(0)
    async with trio.open_nursery() as nursery:
        for number in (1, 2, 3):
            nursery.start_soon(outlet.put, number)
        await wait_all_tasks_blocked()
        for sent in (1, 2, 3):
            assert (blocking.sent, blocking.queued) == (sent, 1)
            await take(inbox)
            inbox.credit = 0
            with trio.move_on_after(0):
                await inbox.wait()
            await wait_all_tasks_blocked()
        assert (blocking.sent, blocking.queued) == (4, 1)


async def test_a_lossy_turn_leaves_a_failing_lane_in_peace() -> None:
    """While the reader of one lane has its turn, another task fills the lane with "fail"."""
    outlet = open_outlet()
    failing = connect(outlet, Inbox("strict"), 2, "fail")
    connect(outlet, Inbox("lossy"), 1, "drop_oldest")
    await outlet.put(0)
    refused: list[int] = []

    async def send(number: int) -> None:
        try:
            await outlet.put(number)
        except BufferOverflow:
            refused.append(number)

    async with trio.open_nursery() as nursery:
        for number in (1, 2, 3):
            nursery.start_soon(send, number)
    assert len(refused) == 2
    assert (failing.sent, failing.queued, failing.dropped) == (2, 2, {})


async def test_a_reader_in_another_thread_may_be_quicker_than_the_policy() -> None:
    """The oldest was to be dropped, and has just been taken: nothing is dropped then."""

    class TakenMeanwhile(deque[Envelope[Any]]):
        def popleft(self) -> Envelope[Any]:
            self.clear()
            return super().popleft()

    outlet, lane, _ = open_edge(2, "drop_oldest")
    for number in range(2):
        await outlet.put(number)
    lane.buffer = TakenMeanwhile(lane.buffer)
    await outlet.put(2)
    assert [envelope.payload for envelope in lane.buffer] == [2]
    assert (lane.sent, lane.dropped) == (3, {})
