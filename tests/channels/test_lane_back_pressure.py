"""The reader sets the pace, and both ends hear of the other's end."""

import gc
import inspect
import math
import random
import weakref
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_edge, open_outlet, take
from trouper import ClosedResourceError, EndOfInput, EndOfOutput, OperationMeter
from trouper.channels._inbox import Inbox
from trouper.channels._outlet import Outlet

CAPACITIES: list[float] = [1, 2, 5, 64]


def send(outlet: Outlet, many: bool) -> Callable[[Sequence[int]], Awaitable[None]]:
    return outlet.put_many if many else outlet.put


async def pause(rng: random.Random) -> None:
    for _ in range(rng.choice([0, 0, 1, 3])):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("operations", [1, 7, 10_000])
@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_never_more_than_capacity_is_under_way(capacity: float, operations: int) -> None:
    """R101: accepted minus taken, counted at both ends, at every instant; in order, none lost."""
    outlet, _, inbox = open_edge(capacity, meter=OperationMeter(operations))
    rng = random.Random(f"{capacity} {operations}")
    accepted = taken = 0
    numbers: list[int] = []

    async def produce() -> None:
        nonlocal accepted
        while accepted < 600:
            await outlet.put(accepted)
            accepted += 1
            assert accepted - taken <= capacity
            await pause(rng)
        outlet.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        while True:
            try:
                envelope = await take(inbox)
            except EndOfInput:
                break
            taken += 1
            numbers.append(envelope.payload)
            await pause(rng)
    assert numbers == list(range(600))


@pytest.mark.parametrize("capacity", [1, 3, 64])
async def test_a_long_put_many_fills_the_buffer_and_no_more(capacity: int) -> None:
    """R101"""
    outlet, lane, inbox = open_edge(capacity)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, list(range(200)))
        for taken in range(200):
            await wait_all_tasks_blocked()
            assert lane.sent <= taken + capacity
            assert (await take(inbox)).payload == taken
    assert (lane.sent, lane.peak) == (200, capacity)


async def test_the_slowest_reader_rules_a_broadcast() -> None:
    """V1: one of two outputs never reads; G2: it leaves, and the other one goes on."""
    outlet = open_outlet()
    stuck, quick = Inbox("stuck"), Inbox("quick")
    connect(outlet, stuck, 3)
    connect(outlet, quick, 10)
    taken: list[int] = []

    async def read() -> None:
        taken.extend(await drain_payloads(quick))

    async def produce() -> None:
        for number in range(100):
            await outlet.put(number)
        outlet.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert [lane.sent for lane in outlet.lanes] == [3, 3]
        stuck.close()
    assert taken == list(range(100))
    assert outlet.lanes[0].dropped == {"reader_ended": 100}
    assert outlet.lanes[1].dropped == {}


async def test_a_tap_added_later_sees_a_suffix_without_gaps_and_slows_its_sender() -> None:
    """P12, G2: no duplicates; each number is the tap's own, from 1."""
    outlet, first, inbox = open_edge(2)
    tap = Inbox("tap")
    taken: list[int] = []

    async def produce() -> None:
        for number in range(50):
            await outlet.put(number)
        outlet.end()

    async def read() -> None:
        taken.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        # Added while the sender waits: the message that it holds goes to the tap too.
        lane = connect(outlet, tap, 4)
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert (first.sent, lane.sent) == (6, 4)
        seen = await drain(tap)
    assert taken == list(range(50))
    assert [envelope.payload for envelope in seen] == list(range(2, 50))
    assert [envelope.seq for envelope in seen] == list(range(1, 49))


async def test_consumers_that_join_together_see_the_same() -> None:
    """P12, R111: whether they ask one by one or all at once."""
    outlet = open_outlet()
    inboxes = [Inbox(f"r{number}", OperationMeter(number)) for number in (1, 2, 100)]
    for number, inbox in enumerate(inboxes):
        connect(outlet, inbox, 1 + number)
    seen: dict[str, list[int]] = {}

    async def read(inbox: Inbox) -> None:
        seen[inbox.name] = await drain_payloads(inbox)

    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        await outlet.put_many(range(30))
        outlet.end()
    assert list(seen.values()) == [list(range(30))] * 3


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("capacity", [0, 1, 3])
async def test_a_waiting_sender_hears_that_its_only_reader_leaves(
    capacity: int, many: bool
) -> None:
    """R108"""
    outlet, lane, inbox = open_edge(capacity)
    for number in range(capacity):
        await outlet.put(number)
    refused: list[EndOfOutput] = []

    async def send() -> None:
        with pytest.raises(EndOfOutput, match="'a' is read by nobody any more") as caught:
            await (outlet.put_many(["x", "y"]) if many else outlet.put("x"))
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 1
        inbox.close()
    assert [error.lineage for error in refused] == [outlet.lineage]
    assert lane.sent == capacity
    assert lane.dropped == ({"reader_ended": capacity} if capacity else {})
    await send()
    inbox.close()
    assert (lane.sent, lane.queued) == (capacity, 0)


async def test_a_sender_that_waits_goes_on_when_its_only_lane_is_taken_away() -> None:
    """R108: a stream, its only reader, is closed; an output that nothing reads is no error."""
    for many in (False, True):
        outlet, lane, inbox = open_edge(1)
        await outlet.put(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send(outlet, many), (1, 2))
            await wait_all_tasks_blocked()
            outlet.remove_lane(lane)
            inbox.close()
        assert (lane.sent, outlet.last) == (1, 2 if many else (1, 2))


@pytest.mark.parametrize("many", [False, True])
async def test_a_sender_that_waits_goes_on_with_the_lanes_there_are_then(many: bool) -> None:
    outlet, lane, inbox = open_edge(1)
    await outlet.put(0)
    other = Inbox("other")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send(outlet, many), [1, 2])
        await wait_all_tasks_blocked()
        later = connect(outlet, other, 5)
        inbox.close()
    assert lane.dropped == {"reader_ended": 3 if many else 2}
    outlet.end()
    assert await drain_payloads(other) == ([1, 2] if many else [[1, 2]])
    assert later.sent == (2 if many else 1)


class Watched(Inbox):
    """An inbox that a weak reference can watch."""


class Payload:
    pass


async def test_a_reader_that_left_is_forgotten() -> None:
    """R312, R313: the producer keeps neither the reader nor what it did not read."""
    outlet = open_outlet()
    inbox = Watched("tap")
    lane = connect(outlet, inbox, 2)
    payload = Payload()
    await outlet.put(payload)
    await outlet.put("last")
    gone: list[weakref.ref[object]] = [weakref.ref(inbox), weakref.ref(payload)]
    with trio.move_on_after(0):
        await outlet.put("waits")
    inbox.close()
    outlet.remove_lane(lane)
    del inbox, lane, payload
    await trio.lowlevel.checkpoint()  # trio holds a task's last exception until its next step
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    await outlet.put("read by nobody")


async def test_unread_messages_are_freed_although_the_lane_stays() -> None:
    """R313: an actor's edges stay for the report."""
    outlet, lane, inbox = open_edge(4)
    payload = Payload()
    gone = weakref.ref(payload)
    await outlet.put(payload)
    await outlet.put("last")
    del payload
    inbox.close()
    gc.collect()
    assert gone() is None
    assert lane.dropped == {"reader_ended": 2}


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
async def test_the_end_comes_once_after_everything_and_nothing_comes_after_it(
    capacity: float,
) -> None:
    """R102, R104, R105, R107"""
    outlet, lane, inbox = open_edge(capacity)
    taken: list[int] = []

    async def read() -> None:
        taken.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for number in range(5):
            await outlet.put(number)
        outlet.end()
        outlet.end()
    assert taken == list(range(5))
    for _ in range(2):
        with pytest.raises(EndOfOutput, match="the output of 'a' has ended"):
            await outlet.put("after")
        with pytest.raises(EndOfOutput):
            await outlet.put_many(["after", "after"])
        with pytest.raises(EndOfInput, match="the input of 'r' has ended") as caught:
            await inbox.wait()
        assert caught.value.inbox is inbox
    assert (lane.sent, lane.dropped, inbox.has_message()) == (5, {}, False)


async def test_a_sender_that_waits_while_its_stream_is_ended_is_refused() -> None:
    """P11: the reader may see the end first; what it was not given must not count as accepted."""
    outlet, lane, inbox = open_edge(1)
    await outlet.put("accepted")

    async def send() -> None:
        with pytest.raises(EndOfOutput):
            await outlet.put("refused")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        outlet.end()
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 0
        assert await drain_payloads(inbox) == ["accepted"]
    inbox.close()
    assert (lane.sent, lane.dropped) == (1, {})


async def test_a_broadcast_goes_on_past_a_lane_that_has_ended() -> None:
    """A cycle's feedback edge ends before the other outputs of its node."""
    outlet, ended, inbox = open_edge(1, "fail")
    other = Inbox("other")
    connect(outlet, other, 4)
    await outlet.put(0)
    ended.end()
    await outlet.put(1)
    assert (ended.sent, ended.dropped) == (2, {"reader_ended": 1})
    outlet.end()
    assert await drain_payloads(inbox) == [0]
    assert await drain_payloads(other) == [0, 1]


async def test_a_waiting_reader_wakes_at_the_end_and_when_it_is_closed() -> None:
    """Trio's words: it ended, you closed it."""
    for close, error in ((False, EndOfInput), (True, ClosedResourceError)):
        outlet, _, inbox = open_edge()
        async with trio.open_nursery() as nursery:

            async def wait(inbox: Inbox, error: type[Exception]) -> None:
                with pytest.raises(error):
                    await inbox.wait()

            nursery.start_soon(wait, inbox, error)
            await wait_all_tasks_blocked()
            inbox.close() if close else outlet.end()
        await wait(inbox, error)


async def test_an_inbox_closed_while_its_reader_lets_others_run_gives_nothing() -> None:
    outlet, lane, inbox = open_edge(meter=OperationMeter(1))
    await outlet.put_many(range(5))
    await take(inbox)

    async def close() -> None:
        inbox.close()

    async with trio.open_nursery() as nursery:
        # It runs while the reader yields, whose only operation is spent: at the latest after two.
        nursery.start_soon(close)
        taken = 1
        with pytest.raises(ClosedResourceError):
            while True:
                await take(inbox)
                taken += 1
    assert taken <= 3
    assert lane.dropped == {"reader_ended": 5 - taken}


async def test_asking_from_inside_a_message_needs_no_stack() -> None:
    """R302, R303: 100,000 messages, each sent while the one before is in hand."""
    outlet, lane, inbox = open_edge(1)
    await outlet.put(0)
    for number in range(100_000):
        envelope = await take(inbox)
        await outlet.put(envelope.payload + 1)
        if not number % 10_000:
            assert depth_of_stack() < 100
    assert (lane.sent, (await take(inbox)).payload) == (100_001, 100_000)


def depth_of_stack() -> int:
    frame, depth = inspect.currentframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
