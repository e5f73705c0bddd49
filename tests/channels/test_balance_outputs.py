"""A balanced output's batches, what it sends again, and who looks on."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.edges import drain, drain_payloads, take
from harness.routing import alike, balanced, have_in_hand, look_on, queued
from trouper import EndOfOutput, Envelope
from trouper.channels._context import message_context
from trouper.channels._envelope import NO_CONTEXT
from trouper.channels._inbox import Inbox
from trouper.channels._outlet import MOST_AT_ONCE
from trouper.channels._routing import MOST_EARLIER
from trouper.channels._tracking import Tracking, settle_piece, tracked_by

# -- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [0, 1, 3, 64, 5000])
async def test_a_batch_reaches_the_readers_as_a_whole_and_each_in_order(capacity: int) -> None:
    outlet, lanes, inboxes = balanced(*alike(3, capacity))
    seen: dict[str, list[Envelope[int]]] = {}

    async def read(inbox: Inbox) -> None:
        seen[inbox.name] = await drain(inbox)

    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        await outlet.put_many(list(range(1000)))
        await outlet.put_many([])
        await outlet.put_many(range(1000, 1005))
        outlet.end()
    shares = [[each.payload for each in envelopes] for envelopes in seen.values()]
    assert all(share == sorted(share) for share in shares)
    assert sorted(number for share in shares for number in share) == list(range(1005))
    assert [each.seq for each in seen["r0"]] == list(range(1, lanes[0].sent + 1))
    ids = [each.id for envelopes in seen.values() for each in envelopes]
    assert len(set(ids)) == 1005
    assert min(len(share) for share in shares) > 1


async def test_a_batch_is_dealt_out_in_even_shares() -> None:
    outlet, lanes, _ = balanced((100, "block"), (3, "block"), (100, "block"))
    await outlet.put_many(list(range(31)))
    assert [lane.queued for lane in lanes] == [17, 3, 11]
    assert MOST_AT_ONCE > 31


async def test_a_batch_of_which_some_edges_drop_goes_one_by_one() -> None:
    outlet, lanes, _ = balanced((2, "drop_oldest"), (2, "drop_oldest"))
    await outlet.put_many(list(range(6)))
    assert queued(lanes) == [[2, 4], [3, 5]]


async def test_outputs_of_a_message_are_numbered_through_whoever_gets_them() -> None:
    outlet, lanes, _ = balanced((4, "block"), (4, "block"))
    have_in_hand(outlet, 1)
    await outlet.put("x")
    await outlet.put_many(["y", "z"])
    have_in_hand(outlet, 2)
    await outlet.put("p")
    ids = [[each.id for each in lane.buffer] for lane in lanes]
    assert ids == [["up:1", "up:1/a.3"], ["up:1/a.2", "up:2"]]


async def test_names_of_a_sources_messages_tell_the_edge() -> None:
    """On no two edges the same: the messages may meet again."""
    outlet, lanes, _ = balanced((4, "block"), (4, "block"))
    for number in range(4):
        await outlet.put(number)
    await outlet.put_many([4, 5, 6, 7])
    assert [[each.id for each in lane.buffer] for lane in lanes] == [
        ["a>r0:1", "a>r0:2", "a>r0:3", "a>r0:3/a.2"],
        ["a>r1:1", "a>r1:2", "a>r1:3", "a>r1:3/a.2"],
    ]


# -- what comes again ------------------------------------------------------------------------


async def test_an_output_that_comes_again_goes_to_the_reader_that_had_it() -> None:
    outlet, lanes, inboxes = balanced((9, "block"), (9, "block"))
    await outlet.put("source")
    have_in_hand(outlet, 1)
    for number in range(3):
        await outlet.put(number)  # r1, r0, r1
    have_in_hand(outlet, 1, resend=3)
    for number in range(4):
        await outlet.put(number)
    assert [[(each.payload, each.resent) for each in lane.buffer] for lane in lanes] == [
        [("source", False), (1, False), (1, True), (3, False)],
        [(0, False), (2, False), (0, True), (2, True)],
    ]
    inboxes[1].close()
    have_in_hand(outlet, 1, resend=1)
    await outlet.put("again")
    assert lanes[0].buffer[-1].payload == "again"


async def test_readers_are_remembered_of_messages_that_are_in_hand_together() -> None:
    """As with `concurrency=n`, or where a message waits out its delay; of so many of them."""
    outlet, lanes, _ = balanced((9999, "block"), (9999, "block"))
    outlet.lineage.tracked = True
    for number in range(MOST_EARLIER + 3):
        have_in_hand(outlet, number)
        await outlet.put(number)
    before = len(lanes[1].buffer)
    have_in_hand(outlet, 4, resend=1)  # it went to r0; now it is r1's turn
    for lane in lanes:
        lane.buffer.clear()
    await outlet.put("four")
    assert queued(lanes) == [["four"], []]
    assert before == (MOST_EARLIER + 3) // 2
    have_in_hand(outlet, 4, resend=2)
    await outlet.put("four again")
    await outlet.put("its second output")
    assert queued(lanes) == [["four", "four again"], ["its second output"]]
    assert len(outlet._earlier) <= MOST_EARLIER


async def test_it_waits_for_that_reader_but_not_for_one_of_another_message() -> None:
    outlet, lanes, inboxes = balanced((1, "block"), (1, "block"))
    have_in_hand(outlet, 1)
    await outlet.put_many(["x"])
    have_in_hand(outlet, 1, resend=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put, "x")
        await wait_all_tasks_blocked()
        assert queued(lanes) == [["x"], []]
        await take(inboxes[0])
    assert queued(lanes) == [["x"], []]
    have_in_hand(outlet, 2, resend=1)  # placed before this outlet knew of it
    await outlet.put("y")
    assert queued(lanes) == [["x"], ["y"]]


async def test_placed_outputs_are_skipped_when_asked() -> None:
    outlet, lanes, _ = balanced((4, "block"), (4, "block"), skip=True)
    have_in_hand(outlet, 1, resend=2)
    await outlet.put_many(["x", "y", "z"])
    assert queued(lanes) == [["z"], []]
    assert lanes[0].buffer[0].id == "up:1/a.3"


async def test_held_outputs_choose_their_reader_when_they_are_placed() -> None:
    outlet, lanes, inboxes = balanced((1, "block"), (1, "block"), hold=3)
    have_in_hand(outlet, 1)
    await outlet.put_many(["x", "y", "z"])
    assert queued(lanes) == [[], []]
    with trio.move_on_after(0) as scope:
        await outlet.flush()
    assert scope.cancelled_caught
    assert queued(lanes) == [["x"], ["y"]]
    assert outlet.held == ["z"]
    await take(inboxes[1])
    await outlet.flush()
    assert queued(lanes) == [["x"], ["z"]]


async def test_who_follows_a_message_hears_of_the_one_piece_and_of_who_looks_on() -> None:
    """V2"""
    outlet, lanes, inboxes = balanced((9, "block"), (9, "block"))
    lane, looking = look_on(outlet, 9)
    told: list[Any] = []
    tracking = Tracking(lambda *outcome: told.append(outcome))
    outlet.lineage.tracked = True
    outlet.refresh()
    token = message_context.set(tracked_by(NO_CONTEXT, tracking))
    await outlet.put("x")
    message_context.reset(token)
    assert queued([*lanes, lane]) == [["x"], [], ["x"]]
    settle_piece(inboxes[0], await take(inboxes[0]), "acknowledged")
    assert not told
    settle_piece(looking, await take(looking), "acknowledged")
    assert told == [("acknowledged", ())]


async def test_a_sources_message_is_followed_by_the_name_that_it_has() -> None:
    """V2"""
    outlet, lanes, _ = balanced((9, "block"), (9, "block"))
    told: list[Any] = []

    def follow(payload: Any, name: str) -> Tracking:
        return Tracking(lambda *outcome: told.append((payload, name, *outcome)))

    outlet.tracker = follow
    outlet.refresh()
    await outlet.put("x")
    await outlet.put("y")
    assert [[each.id for each in lane.buffer] for lane in lanes] == [["a>r0:1"], ["a>r1:1"]]
    settle_piece(lanes[1].reader, lanes[1].buffer[0], "expired", "late")
    assert told == [("y", "a>r1:1", "expired", ("late",))]
    for lane in lanes:
        outlet.remove_lane(lane)
    await outlet.put("z")
    assert told[1][2] == "acknowledged"


class OneAtATime:
    """Lets a message out, then holds the next one until told."""

    def __init__(self) -> None:
        self.left = 1
        self.held = 0

    def lets_out(self, leased: object) -> bool:
        return leased is not None or self.left > 0

    def pays(self, leased: object) -> bool:
        if not self.lets_out(leased):
            return False
        self.left -= leased is None
        return True

    async def let_out(self) -> None:
        self.held += 1
        self.left = 1
        await trio.lowlevel.checkpoint()


async def test_a_source_passes_its_gate_before_each_message() -> None:
    """X5"""
    outlet, lanes, _ = balanced((9, "block"), (9, "block"))
    outlet.gate = gate = OneAtATime()
    outlet.refresh()
    await outlet.put_many([0, 1, 2])
    assert gate.held == 2
    outlet.gate = None
    outlet.refresh()
    await outlet.put_many([3])
    assert queued(lanes) == [[0, 2], [1, 3]]


# -- draining, and looking on ----------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
async def test_one_more_send_is_accepted_then_the_sender_ends(many: bool) -> None:
    """A3"""
    outlet, lanes, _ = balanced((4, "block"), (4, "block"))
    outlet.finish_after_next("the run drains")
    with pytest.raises(EndOfOutput, match="the run drains"):
        await (outlet.put_many([1, 2, 3]) if many else outlet.put(1))
    assert outlet.sent_in_all() == (3 if many else 1)
    assert sum(lane.queued for lane in lanes) == (3 if many else 1)


async def test_who_looks_on_sees_everything_and_takes_nothing_away() -> None:
    outlet, lanes, _ = balanced((9, "block"), (9, "block"))
    lane, inbox = look_on(outlet, 9)
    await outlet.put(0)
    await outlet.put_many([1, 2, 3])
    assert queued([*lanes, lane]) == [[0, 2], [1, 3], [0, 1, 2, 3]]
    assert outlet.sent_in_all() == 4
    outlet.remove_lane(lane)
    inbox.close()
    await outlet.put(4)
    assert queued(lanes) == [[0, 2, 4], [1, 3]]


async def test_one_who_looks_on_may_hold_the_sender_up() -> None:
    outlet, lanes, _ = balanced((9, "block"), (9, "block"))
    _, inbox = look_on(outlet, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, [0, 1, 2])
        await wait_all_tasks_blocked()
        assert outlet.sent_in_all() == 1
        inbox.close()
    assert queued(lanes) == [[0, 2], [1]]


async def test_one_who_looks_on_and_drops_has_a_turn_first() -> None:
    outlet, _, _ = balanced((90, "block"), (90, "block"))
    lane, inbox = look_on(outlet, 1, "drop_oldest")
    got: list[int] = []

    async def read() -> None:
        got.extend(await drain_payloads(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await outlet.put_many(range(50))
        outlet.end()
    assert got == list(range(50))
    assert not lane.dropped


async def test_when_only_those_who_look_on_are_left_they_still_see_it() -> None:
    outlet, _, inboxes = balanced((9, "block"), (9, "block"))
    lane, inbox = look_on(outlet, 9)
    for each in inboxes:
        each.close()
    await outlet.put(0)
    assert queued([lane]) == [[0]]
    inbox.close()
    with pytest.raises(EndOfOutput):
        await outlet.put(1)


@pytest.mark.parametrize("many", [False, True])
async def test_a_single_reader_gets_everything(many: bool) -> None:
    outlet, lanes, _ = balanced((9, "block"))
    await (outlet.put_many([0, 1]) if many else outlet.put(0))
    assert outlet.one is lanes[0]
    assert queued(lanes) == [[0, 1] if many else [0]]
