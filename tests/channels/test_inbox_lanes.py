"""One inbox, several lanes, several senders; what they count."""

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_edge, open_outlet, take
from trouper import EndOfInput, EndOfOutput, OperationMeter
from trouper.channels._inbox import Inbox
from trouper.channels._parking import ParkingBay

# -- lanes come and go -----------------------------------------------------------------------


async def test_lanes_may_be_added_while_a_task_waits() -> None:
    """One, two, n: the task waits on, and hears of each of them."""
    inbox = Inbox("r")
    outlets = [open_outlet(name) for name in "abcd"]
    connect(outlets[0], inbox)
    seen: list[str] = []

    async def read() -> None:
        seen.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for number, outlet in enumerate(outlets):
            await wait_all_tasks_blocked()
            if number:
                connect(outlet, inbox)
            await outlet.put(f"{number} of the newest")
            await wait_all_tasks_blocked()
            await outlets[0].put(f"{number} of the first")
        await wait_all_tasks_blocked()
        for outlet in outlets:
            outlet.end()
    assert seen == [f"{n} of the {which}" for n in range(4) for which in ("newest", "first")]


@pytest.mark.parametrize("buffered", [0, 1, 5])
async def test_a_second_lane_changes_nothing_for_what_the_first_one_holds(buffered: int) -> None:
    inbox = Inbox("r", OperationMeter(1000))
    first, second = open_outlet("a"), open_outlet("b")
    connect(first, inbox)
    for number in range(buffered + 1):
        await first.put(number)
    assert (await take(inbox)).payload == 0
    connect(second, inbox)
    await second.put("new")
    taken = [await take(inbox) for _ in range(buffered + 1)]
    expected: list[Any] = [*range(1, buffered + 1)]
    expected.insert(1, "new")
    assert [each.payload for each in taken] == expected
    await first.put("more")
    assert (await take(inbox)).payload == "more"


async def test_a_first_lane_that_has_ended_makes_way_for_the_second() -> None:
    inbox = Inbox("r")
    first, second = open_outlet("a"), open_outlet("b")
    connect(first, inbox)
    await first.put(1)
    first.end()
    connect(second, inbox)
    await second.put(2)
    assert [(await take(inbox)).payload for _ in range(2)] == [1, 2]
    with trio.move_on_after(0) as scope:
        await inbox.wait()
    assert scope.cancelled_caught
    second.end()
    for _ in range(2):
        with pytest.raises(EndOfInput):
            await inbox.wait()
        for outlet in (first, second):
            with pytest.raises(EndOfOutput):
                await outlet.put("after the end")


async def test_a_first_lane_that_ended_empty_stays_ended_beside_a_second() -> None:
    inbox = Inbox("r")
    first, second = open_outlet("a"), open_outlet("b")
    lane = connect(first, inbox)
    await first.put(1)
    first.end()
    await take(inbox)
    connect(second, inbox)
    with pytest.raises(EndOfOutput):
        await first.put("after the end")
    assert (lane.sent, lane.queued) == (1, 0)


async def test_weak_lanes_let_the_input_end_without_them() -> None:
    inbox = Inbox("r")
    strong, weak = open_outlet("strong"), open_outlet("weak")
    connect(strong, inbox)
    connect(weak, inbox, weak=True)
    await weak.put("first handled")
    strong.end()
    assert not inbox.at_end()
    assert await drain_payloads(inbox) == ["first handled"]
    assert inbox.at_end()


@pytest.mark.parametrize("lanes", [1, 2])
async def test_only_weak_lanes_are_no_reason_to_wait(lanes: int) -> None:
    inbox = Inbox("r")
    for name in "ab"[:lanes]:
        outlet = open_outlet(name)
        connect(outlet, inbox, weak=True)
        await outlet.put(name)
    assert await drain_payloads(inbox) == [*"ab"[:lanes]]


async def test_the_end_of_the_last_strong_lane_wakes_a_reader_beside_a_weak_one() -> None:
    inbox = Inbox("r")
    strong, weak = open_outlet("strong"), open_outlet("weak")
    connect(strong, inbox)
    connect(weak, inbox, weak=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, inbox)
        await wait_all_tasks_blocked()
        strong.end()


async def test_a_wait_is_announced_before_it_begins_and_may_be_ended_by_that() -> None:
    """How a cycle finds out that it has run dry."""
    outlet, _, inbox = open_edge()
    heard: list[bool] = []

    def dry() -> None:
        heard.append(inbox.has_message())
        outlet.end()

    inbox.on_idle = dry
    await outlet.put("x")
    await take(inbox)
    assert heard == []
    with pytest.raises(EndOfInput):
        await inbox.wait()
    assert heard == [False]


async def test_a_single_lane_may_take_turns_as_several_do() -> None:
    """`turns`: a keyed actor with one upstream."""
    outlet = open_outlet("a")
    inbox = Inbox("r", OperationMeter(3))
    inbox.turns = True
    lane = connect(outlet, inbox, 4)
    async with trio.open_nursery() as nursery:

        async def produce() -> None:
            for number in range(20):
                await outlet.put(number)
            outlet.end()

        nursery.start_soon(produce)
        taken = await drain(inbox)
    assert [each.payload for each in taken] == list(range(20))
    assert (inbox.only, lane.peak) == (None, 4)


async def test_messages_of_a_closed_inbox_are_dropped_by_lane() -> None:
    inbox = Inbox("r")
    lanes = []
    for number, name in enumerate("abc"):
        outlet = open_outlet(name)
        lanes.append(connect(outlet, inbox))
        await outlet.put_many(range(number))
    inbox.close()
    assert [lane.dropped for lane in lanes] == [{}, {"reader_ended": 1}, {"reader_ended": 2}]
    assert not inbox.has_message()


# -- several senders -------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [0, 1, 7, math.inf])
@pytest.mark.parametrize("tasks", [2, 10])
async def test_what_was_accepted_of_several_tasks_is_delivered(capacity: float, tasks: int) -> None:
    """P11: the sum of what was accepted is the sum of what was handled, in order per task."""
    outlet, lane, inbox = open_edge(capacity)
    accepted = 0

    async def produce(task: int) -> None:
        nonlocal accepted
        for number in range(50):
            await outlet.put((task, number))
            accepted += number

    async def produce_all() -> None:
        async with trio.open_nursery() as nursery:
            for task in range(tasks):
                nursery.start_soon(produce, task)
        outlet.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce_all)
        taken = await drain(inbox)
    assert sum(each.payload[1] for each in taken) == accepted == tasks * 49 * 25
    for task in range(tasks):
        assert [n for of, n in (each.payload for each in taken) if of == task] == list(range(50))
    assert [each.seq for each in taken] == list(range(1, 50 * tasks + 1))
    assert lane.peak <= max(1, capacity)


async def test_one_of_several_merged_producers_fails_and_the_rest_go_on() -> None:
    """P12"""
    inbox = Inbox("r")
    outlets = {name: open_outlet(name) for name in "abc"}
    for outlet in outlets.values():
        connect(outlet, inbox, 2)

    async def produce(name: str) -> None:
        try:
            for number in range(30):
                if (name, number) == ("b", 7):
                    raise OSError("disk full")
                await outlets[name].put(number)
        except OSError:
            pass
        finally:
            outlets[name].end()

    async with trio.open_nursery() as nursery:
        for name in outlets:
            nursery.start_soon(produce, name)
        taken = await drain(inbox)
    for name, count in (("a", 30), ("b", 7), ("c", 30)):
        assert [each.payload for each in taken if each.source == name] == list(range(count))


@pytest.mark.parametrize("capacity", [0, 1, 3])
async def test_several_tasks_wait_for_one_lane_and_all_get_through(capacity: int) -> None:
    outlet, lane, inbox = open_edge(capacity)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(outlet.put, number)
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 8 - capacity
        assert sorted([(await take(inbox)).payload for _ in range(8)]) == list(range(8))
    assert lane.blocked.waiting == 0


# -- statistics ------------------------------------------------------------------------------


async def test_a_sender_stuck_for_a_minute_reads_60_seconds(mock_clock: MockClock) -> None:
    """X15: the wait still going on is included."""
    outlet, lane, inbox = open_edge(1)
    await outlet.put(0)
    assert (lane.blocked.waited, inbox.waited) == (0.0, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put, 1)
        await wait_all_tasks_blocked()
        mock_clock.jump(60)
        assert lane.blocked.waited == pytest.approx(60)
        await take(inbox)
    mock_clock.jump(100)
    assert lane.blocked.waited == pytest.approx(60)


async def test_a_message_taken_makes_room_at_once(autojump_clock: MockClock) -> None:
    """C4: a handler may wait for what its own upstream sends next, with messages still queued."""
    outlet, _, inbox = open_edge(2)
    sent = trio.Event()

    async def send() -> None:
        await outlet.put_many(range(4))
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        for _ in range(2):
            assert not sent.is_set()
            await take(inbox)
            await wait_all_tasks_blocked()
        await sent.wait()


async def test_a_starved_reader_reads_how_long(mock_clock: MockClock) -> None:
    """X15"""
    outlet, lane, inbox = open_edge(1)
    for waited in (60, 120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, inbox)
            await wait_all_tasks_blocked()
            mock_clock.jump(60)
            assert inbox.waited == pytest.approx(waited)
            await outlet.put("x")
        mock_clock.jump(5)
    assert [inbox.waited, lane.blocked.waited] == pytest.approx([120, 0])


async def test_a_cancelled_wait_counts_as_long_as_it_lasted(mock_clock: MockClock) -> None:
    """X15"""
    outlet, lane, inbox = open_edge(0)
    for put in (True, False):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outlet.put, 0) if put else nursery.start_soon(inbox.wait)
            await wait_all_tasks_blocked()
            mock_clock.jump(7)
            nursery.cancel_scope.cancel()
    assert [lane.blocked.waited, inbox.waited] == pytest.approx([7, 7])


async def test_time_goes_on_while_one_waiting_sender_gives_way_to_another(
    mock_clock: MockClock,
) -> None:
    """X15: the lane is blocked as long as anyone waits for it."""
    bay = ParkingBay()
    scope = trio.CancelScope()

    async def leave_early() -> None:
        with scope:
            await bay.park()

    async def park_until_woken_twice() -> None:
        for _ in range(2):
            await bay.park()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave_early)
        await wait_all_tasks_blocked()
        nursery.start_soon(park_until_woken_twice)
        await wait_all_tasks_blocked()
        assert bay.waiting == 2
        mock_clock.jump(10)
        scope.cancel()
        await wait_all_tasks_blocked()
        assert bay.waiting == 1
        mock_clock.jump(10)
        assert bay.waited == pytest.approx(20)
        bay.wake()
    bay.wake()
    assert bay.waiting == 0
    assert bay.waited == pytest.approx(20)


async def test_peak_is_the_deepest_that_a_lane_was_and_never_goes_back() -> None:
    outlet, lane, inbox = open_edge(10)
    for depth, peak in ((3, 3), (1, 3), (7, 7), (2, 7)):
        await outlet.put_many(range(depth))
        for _ in range(depth):
            await take(inbox)
        assert lane.peak == peak
    with trio.move_on_after(0):
        await outlet.put_many(range(11))
    # Nobody has looked, but the sender had to wait.
    assert (lane.peak, lane.queued, lane.sent) == (10, 10, 23)


async def test_peaks_of_several_lanes_are_apart() -> None:
    inbox = Inbox("r", OperationMeter(1000))  # by the clock, chunks would be as long as it is slow
    lanes = []
    for depth, name in ((3, "a"), (9, "b"), (0, "c")):
        outlet = open_outlet(name)
        lanes.append(connect(outlet, inbox))
        await outlet.put_many(range(depth))
    for _ in range(12):
        await take(inbox)
    assert [lane.peak for lane in lanes] == [3, 9, 0]


async def test_a_slow_handler_frees_room_one_message_at_a_time(autojump_clock: MockClock) -> None:
    """On a mock clock too, where the meter sees no time go by."""
    outlet, lane, inbox = open_edge(4, meter=OperationMeter(1000, chunk=3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, list(range(40)))
        await wait_all_tasks_blocked()
        for number in range(30):
            assert (await take(inbox)).payload == number
            await trio.sleep(1)
            if number > 8:
                assert lane.queued >= 3
        nursery.cancel_scope.cancel()
