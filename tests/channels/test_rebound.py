"""An edge in use gets another bound: what was accepted stays, and who waits looks again."""

import math
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.edges import connect, open_outlet
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._rebound import rebound

POLICIES = st.sampled_from(["block", "drop_oldest", "drop_newest", "latest", "fail"])


def filled(*payloads: Any, capacity: float = math.inf) -> tuple[Inbox, Lane]:
    inbox = Inbox("b", trouper.OperationMeter(16))
    lane = connect(open_outlet("a"), inbox, capacity)
    for payload in payloads:
        lane.place(payload, trouper.MessageContext(), None, False)
    return inbox, lane


def queued(lane: Lane) -> list[Any]:
    return [envelope.payload for envelope in lane.buffer]


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [
        ("block", [1, 2, 3, 4]),
        ("fail", [1, 2, 3, 4]),
        ("drop_oldest", [3, 4]),
        ("drop_newest", [1, 2]),
        ("latest", [4]),
    ],
)
def test_a_smaller_bound_drops_what_its_policy_would_have(overflow: Any, kept: list[int]) -> None:
    """And counts it; without a policy that drops, senders wait until there is room again."""
    _, lane = filled(1, 2, 3, 4)
    rebound(lane, 2, overflow)
    assert queued(lane) == kept
    assert sum(lane.dropped.values()) == 4 - len(kept)
    assert lane.is_full() is (overflow == "block")


async def test_a_larger_bound_lets_in_whoever_waits_for_room() -> None:
    """A5: now, not when the reader has taken something."""
    inbox = Inbox("b")
    outlet = open_outlet("a")
    lane = connect(outlet, inbox, 1)

    async def send() -> None:
        for number in range(3):
            await outlet.put(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert len(queued(lane)) == 1
        rebound(lane, 2, "block")
        await wait_all_tasks_blocked()
        assert len(queued(lane)) == 2
        rebound(lane, 2, "drop_newest")
    assert len(queued(lane)) == 2
    assert lane.dropped == {"drop_newest": 1}


async def test_a_reader_that_may_take_without_looking_is_told() -> None:
    """It had credit for messages that are not there any more."""
    inbox, lane = filled(1, 2, 3, 4)
    await inbox.wait()
    assert inbox.pop().payload == 1
    rebound(lane, 1, "latest")
    assert inbox.credit == 0
    await inbox.wait()
    assert inbox.pop().payload == 4


@given(
    before=st.integers(0, 8),
    bounds=st.lists(st.tuples(st.integers(1, 6), POLICIES, st.integers(0, 3)), max_size=6),
)
def test_the_ledger_holds_through_any_changes(
    before: int, bounds: list[tuple[int, Any, int]]
) -> None:
    """X4: sent = queued + dropped, the order is kept, and a bound that drops holds at once."""
    _, lane = filled(*range(before))
    for capacity, overflow, more in bounds:
        rebound(lane, capacity, overflow)
        for _ in range(more):
            if lane.has_room() or overflow not in ("block", "fail"):
                lane.place(lane.sent, trouper.MessageContext(), None, False)
        assert lane.sent == len(queued(lane)) + sum(lane.dropped.values())
        assert queued(lane) == sorted(queued(lane))
        if overflow not in ("block", "fail"):
            assert len(queued(lane)) <= lane.capacity
