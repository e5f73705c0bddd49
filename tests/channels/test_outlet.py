"""The sending end: blocks, held and skipped outputs, the last message of a drain."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_edge, open_outlet, take
from trouper import BufferOverflow, EndOfOutput, Envelope, OperationMeter
from trouper.channels._envelope import NO_CONTEXT
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._outlet import MOST_AT_ONCE, Outlet


def message(number: int) -> Envelope[int]:
    return Envelope(number, "up", number)


def have_in_hand(outlet: Outlet, number: int, *, resend: int = 0) -> None:
    """Pretend that the sender has leased a message, of which so many outputs are placed."""
    outlet.lineage.leased = message(number)
    outlet.lineage.resend = resend
    outlet.refresh()


# -- put_many --------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("capacity", [0, 1, 10])
async def test_many_arrive_in_order_in_every_lane(capacity: int, lanes: int) -> None:
    outlet = open_outlet()
    inboxes = [Inbox(f"r{number}") for number in range(lanes)]
    for inbox in inboxes:
        connect(outlet, inbox, capacity)
    seen: list[list[int]] = []

    async def read(inbox: Inbox) -> None:
        seen.append(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        await outlet.put_many(list(range(100)))
        await outlet.put_many([])
        await outlet.put_many((100,))
        outlet.end()
    assert seen == [list(range(101))] * lanes
    assert outlet.last == 100


async def test_many_of_a_cancelled_call_are_a_prefix() -> None:
    outlet, lane, inbox = open_edge(7)
    with trio.move_on_after(0) as scope:
        await outlet.put_many(range(100))
    assert scope.cancelled_caught
    assert (lane.sent, outlet.last) == (7, 6)
    outlet.end()
    assert await drain_payloads(inbox) == list(range(7))


async def test_many_stop_at_the_one_that_is_refused() -> None:
    outlet, lane, _ = open_edge(3, "fail")
    with pytest.raises(BufferOverflow):
        await outlet.put_many(range(9))
    assert (lane.sent, lane.queued, outlet.last) == (3, 3, 2)


async def test_more_than_at_most_at_once_go_in_several_blocks_and_let_others_run() -> None:
    n = 3 * MOST_AT_ONCE
    outlet, lane, inbox = open_edge(10 * n, meter=OperationMeter(100))
    with trio.move_on_after(0) as scope:
        await outlet.put_many(range(n))
    assert scope.cancelled_caught
    assert 0 < lane.sent < n
    assert lane.sent % MOST_AT_ONCE == 0
    outlet.end()
    assert await drain_payloads(inbox) == list(range(lane.sent))


async def test_a_lane_that_fills_up_while_others_run_is_looked_at_again() -> None:
    """R101: what the others have sent meanwhile counts, too."""

    class Overtaken(OperationMeter):
        def grant(self, used: int) -> int:
            lane.place("other", NO_CONTEXT, None, False)
            return 0

    outlet, inbox = open_outlet("a", Overtaken(1)), Inbox("r", OperationMeter(10))
    lane = connect(outlet, inbox, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, ["own"])
        await wait_all_tasks_blocked()
        assert (lane.sent, lane.queued) == (1, 1)
        assert [(await take(inbox)).payload for _ in range(2)] == ["other", "own"]


async def test_two_calls_at_once_share_the_room() -> None:
    """Neither overfills the lane after the other one had its turn."""
    outlet, lane, inbox = open_edge(5, meter=OperationMeter(1))
    async with trio.open_nursery() as nursery:
        for start in (0, 100):
            nursery.start_soon(outlet.put_many, range(start, start + 30))
        taken: list[int] = []
        for _ in range(60):
            taken.append((await take(inbox)).payload)
            assert lane.queued <= 5
            await trio.lowlevel.checkpoint()
    assert [n for n in taken if n < 100] == list(range(30))
    assert [n for n in taken if n >= 100] == list(range(100, 130))


# -- blocks from hand to hand ----------------------------------------------------------------


async def take_block(inbox: Inbox, lane: Lane, most: int) -> list[Any]:
    """What an actor's receive_many does."""
    inbox.most = most
    try:
        await inbox.wait()
    finally:
        inbox.most = 0
    block, inbox.block = inbox.block, None
    if block is None:
        taken = [inbox.pop() for _ in range(min(most, inbox.credit))]
        return [(each.payload, each.seq, each.id) for each in taken]
    assert lane.queued >= len(block.payloads)
    lane.handed = 0
    assert [each.seq for each in block.envelopes()] == [
        block.envelope(number).seq for number in range(len(block.payloads))
    ]
    return [(each.payload, each.seq, each.id) for each in block.envelopes()]


@pytest.mark.parametrize("in_hand", [False, True])
@pytest.mark.parametrize("most", [1, 3, 8])
async def test_a_block_goes_to_a_reader_that_takes_all_of_it(most: int, in_hand: bool) -> None:
    outlet, lane, inbox = open_edge(8)
    if in_hand:
        have_in_hand(outlet, 5)
    taken: list[Any] = []

    async def read() -> None:
        while len(taken) < 6:
            taken.extend(await take_block(inbox, lane, most))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for start in (0, 3):
            await wait_all_tasks_blocked()
            await outlet.put_many(range(start, start + 3))
    numbers = range(1, 7)
    ids = [f"a:{n}" for n in numbers]
    if in_hand:
        ids = ["up:5", *(f"up:5/a.{n}" for n in numbers[1:])]
    assert taken == list(zip(range(6), numbers, ids, strict=True))
    assert (lane.sent, lane.queued) == (6, 0)


async def test_what_was_handed_over_counts_as_queued_until_it_is_taken() -> None:
    """R101: the block and what comes after it are no more than the capacity together."""
    outlet, lane, inbox = open_edge(4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_block, inbox, lane, 8)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0) as scope:
            await outlet.put_many(range(3))
            assert lane.queued == 3
            await outlet.put(9)
            assert lane.limit <= lane.sent
            for _ in range(9):
                await outlet.put(9)
                assert lane.queued <= 4
        assert scope.cancelled_caught


# -- outputs of a message that comes again -----------------------------------------------------


async def test_outputs_placed_by_an_earlier_attempt_are_marked() -> None:
    outlet, _, inbox = open_edge()
    have_in_hand(outlet, 1, resend=2)
    for number in range(4):
        await outlet.put(number)
    outlet.end()
    assert [(each.payload, each.resent) for each in await drain(inbox)] == [
        (0, True),
        (1, True),
        (2, False),
        (3, False),
    ]


async def test_outputs_placed_by_an_earlier_attempt_are_skipped_when_asked() -> None:
    outlet = open_outlet(skip=True)
    inbox = Inbox("r")
    lane = connect(outlet, inbox)
    have_in_hand(outlet, 1, resend=2)
    await outlet.put_many(range(2))
    assert (lane.sent, outlet.last) == (0, 1)
    await outlet.put_many(range(2, 4))
    outlet.end()
    assert [(each.payload, each.id) for each in await drain(inbox)] == [
        (2, "up:1/a.3"),
        (3, "up:1/a.4"),
    ]


@pytest.mark.parametrize("lanes", [0, 1, 2])
async def test_held_outputs_are_placed_when_they_are_flushed(lanes: int) -> None:
    outlet = open_outlet(hold=3)
    inboxes = [Inbox(f"r{number}") for number in range(lanes)]
    for inbox in inboxes:
        connect(outlet, inbox)
    await outlet.put("nothing in hand")
    have_in_hand(outlet, 1)
    await outlet.put_many(["x", "y", "z"])
    assert outlet.held == ["x", "y", "z"]
    assert outlet.last == "nothing in hand"
    with pytest.raises(BufferOverflow, match="on_redelivery='hold' of a is full with 3 messages"):
        await outlet.put("too much")
    await outlet.flush()
    await outlet.flush()
    assert (outlet.held, outlet.last) == ([], "z")
    outlet.end()
    for inbox in inboxes:
        assert [(each.payload, each.id) for each in await drain(inbox)] == [
            ("nothing in hand", "a:1"),
            ("x", "up:1"),
            ("y", "up:1/a.2"),
            ("z", "up:1/a.3"),
        ]


async def test_a_flush_waits_for_room_and_cancelled_keeps_the_rest() -> None:
    outlet = open_outlet(hold=9)
    inbox = Inbox("r")
    connect(outlet, inbox, 2)
    have_in_hand(outlet, 1)
    await outlet.put_many(range(5))
    with trio.move_on_after(0) as scope:
        await outlet.flush()
    assert scope.cancelled_caught
    assert outlet.held == [2, 3, 4]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.flush)
        assert [(await take(inbox)).payload for _ in range(5)] == list(range(5))


# -- draining --------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [0, 1, 2])
@pytest.mark.parametrize("many", [False, True])
async def test_one_more_send_is_accepted_then_the_sender_ends(lanes: int, many: bool) -> None:
    """A3: what is sent together is accepted together."""
    outlet = open_outlet()
    inboxes = [Inbox(f"r{number}") for number in range(lanes)]
    for inbox in inboxes:
        connect(outlet, inbox)
    await outlet.put(0)
    outlet.finish_after_next("the run drains")
    with pytest.raises(EndOfOutput, match="the run drains") as caught:
        await (outlet.put_many([1, 2]) if many else outlet.put(1))
    assert caught.value.lineage is outlet.lineage
    assert outlet.last == (2 if many else 1)
    outlet.end()
    for inbox in inboxes:
        assert await drain_payloads(inbox) == ([0, 1, 2] if many else [0, 1])


async def test_lanes_of_an_output_may_be_taken_away() -> None:
    outlet = open_outlet()
    first, second = Inbox("first"), Inbox("second")
    gone = connect(outlet, first)
    connect(outlet, second)
    await outlet.put(0)
    outlet.remove_lane(gone)
    await outlet.put(1)
    outlet.end()
    gone.end()
    assert await drain_payloads(first) == [0]
    assert await drain_payloads(second) == [0, 1]
