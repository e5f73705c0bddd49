"""A partitioned output: each message to the one reader that it belongs to."""

from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.edges import Relay, connect, drain, take
from harness.routing import alike, have_in_hand, partitioned, queued
from trouper import (
    BufferOverflow,
    EndOfOutput,
    Envelope,
    OperationMeter,
    OverflowPolicy,
    Partition,
    PartitionError,
)
from trouper.channels._by_key import MOST_KNOWN, PartitionedOutlet
from trouper.channels._inbox import Inbox

BY_VALUE = Partition(lambda x: x)
BY_NAME = Partition(to=lambda x: x)


@pytest.mark.parametrize("many", [False, True])
async def test_equal_keys_go_to_one_reader_in_order(many: bool) -> None:
    """B8t"""
    outlet, _, inboxes = partitioned(Partition(lambda x: x[0]), *alike(4, 3))
    seen: dict[str, list[Envelope[Any]]] = {}

    async def read(inbox: Inbox) -> None:
        seen[inbox.name] = await drain(inbox)

    messages = [(number % 11, number) for number in range(500)]
    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        if many:
            await outlet.put_many(messages)
        for message in () if many else messages:
            await outlet.put(message)
        outlet.end()
    owners: dict[int, set[str]] = {}
    for name, envelopes in seen.items():
        assert [e.payload[1] for e in envelopes] == sorted(e.payload[1] for e in envelopes)
        for each in envelopes:
            owners.setdefault(each.payload[0], set()).add(name)
    assert len(owners) == 11
    assert all(len(names) == 1 for names in owners.values())
    assert sum(map(len, seen.values())) == 500


async def test_a_slow_reader_blocks_others_only_when_its_own_buffer_is_full() -> None:
    """G6"""
    outlet, lanes, inboxes = partitioned(BY_NAME, (2, "block"), (9, "block"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.put_many, ["r0", "r1", "r0", "r1", "r0", "r1"])
        await wait_all_tasks_blocked()
        assert queued(lanes) == [["r0", "r0"], ["r1", "r1"]]
        await take(inboxes[0])
    assert queued(lanes) == [["r0", "r0"], ["r1", "r1", "r1"]]


@pytest.mark.parametrize(
    ("overflow", "left", "dropped"),
    [
        ("drop_oldest", [1, 2], {"drop_oldest": 1}),
        ("drop_newest", [0, 1], {"drop_newest": 1}),
        ("latest", [2], {"latest": 2}),
    ],
)
async def test_the_edge_of_its_reader_decides_what_is_dropped(
    overflow: OverflowPolicy, left: list[int], dropped: dict[str, int]
) -> None:
    """P10: however much room others have."""
    to_first = Partition(to=lambda _: "r0")
    outlet, lanes, _ = partitioned(to_first, (2, overflow), (9, "block"))
    for number in range(3):
        await outlet.put(number)
    assert queued(lanes) == [left, []]
    assert lanes[0].dropped == dropped


async def test_where_the_readers_edge_fails_the_send_does() -> None:
    """P10"""
    outlet, lanes, _ = partitioned(BY_NAME, (1, "fail"), (9, "fail"))
    with pytest.raises(BufferOverflow, match="edge a -> r0 is full"):
        await outlet.put_many(["r0", "r1", "r0", "r1"])
    assert queued(lanes) == [["r0"], ["r1"]]


async def test_keys_of_a_reader_that_ended_move_and_no_others() -> None:
    """B8t"""
    outlet, lanes, inboxes = partitioned(BY_VALUE, *alike(3, 500))
    await outlet.put_many(range(100))
    before = queued(lanes)
    inboxes[1].close()
    await outlet.put_many(range(100))
    after = [left[len(old) :] for left, old in zip(queued(lanes), before, strict=True)]
    assert after[1:2] == [[]]
    moved = [
        number
        for left, old in zip(after, before, strict=True)
        for number in left
        if number not in old
    ]
    assert sorted(moved) == before[1]
    assert all(set(old) <= set(left) for left, old in zip(after, before, strict=True) if left)
    for inbox in inboxes:
        inbox.close()
    with pytest.raises(EndOfOutput, match="is read by nobody any more"):
        await outlet.put(1)


async def test_a_message_for_a_named_reader_that_ended_is_dropped_and_counted() -> None:
    outlet, lanes, inboxes = partitioned(BY_NAME, (9, "block"), (9, "block"))
    inboxes[0].close()
    await outlet.put_many(["r0", "r1", "r0"])
    assert queued(lanes) == [[], ["r1"]]
    assert lanes[0].dropped == {"reader_ended": 2}
    inboxes[1].close()
    with pytest.raises(EndOfOutput):
        await outlet.put("r0")


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("partition", "text"),
    [
        (Partition(lambda x: x.key), "key function of .* of 'a' failed on 'bad': AttributeError"),
        (Partition(lambda x: [x]), r"of 'a' gave \['bad'\] for 'bad', which is no key \(unhash"),
        (Partition(lambda x: object()), "which is no key .it compares by identity"),
        (BY_NAME, "gave 'bad', but no reader of it is called so; return one of: 'r0', 'r1'"),
        (Partition(to=cast("Any", lambda x: None)), "gave None, but no reader of it is called so"),
        (
            Partition(to=cast("Any", lambda x: 1 / 0)),
            "function `to` of .* failed on 'bad': ZeroDivisionErr",
        ),
    ],
)
async def test_rubbish_is_named_and_nothing_is_sent(
    partition: Partition, text: str, many: bool
) -> None:
    """G6: unknown partition, a function that raises or returns rubbish."""
    outlet, lanes, _ = partitioned(partition, (9, "block"), (9, "block"))
    with pytest.raises(PartitionError, match=text):
        await (outlet.put_many(["bad", "bad"]) if many else outlet.put("bad"))
    assert queued(lanes) == [[], []]


async def test_the_function_is_called_once_for_each_message() -> None:
    """Somebody may count in it."""
    called: list[str] = []

    def to(message: str) -> str:
        called.append(message)
        return message

    outlet, _, inboxes = partitioned(Partition(to=to), (1, "block"), (1, "block"), operations=3)
    messages = ["r0", "r1"] * 20

    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(drain, inbox)
        await outlet.put_many(messages)
        for message in messages:
            await outlet.put(message)
        outlet.end()
    assert called == messages * 2


async def test_a_single_reader_is_named_too() -> None:
    outlet, lanes, _ = partitioned(BY_NAME, (9, "block"))
    with pytest.raises(PartitionError, match="return one of: 'r0'"):
        await outlet.put("r1")
    await outlet.put("r0")
    assert queued(lanes) == [["r0"]]


async def test_a_single_reader_needs_no_key() -> None:
    outlet, lanes, _ = partitioned(Partition(lambda x: 1 / 0), (9, "block"))
    await outlet.put("x")
    assert queued(lanes) == [["x"]]


async def test_without_readers_everything_is_taken() -> None:
    outlet, _, _ = partitioned(BY_NAME)
    await outlet.put_many(["x", "y"])
    assert outlet.last == "y"


async def test_readers_beside_the_sender_may_be_named_by_their_own_names() -> None:
    """A workflow that is a node of another one keeps its own names."""
    outlet = PartitionedOutlet(Relay("inner/a"), OperationMeter(99), partition=BY_NAME)
    lanes = [connect(outlet, Inbox(name)) for name in ("inner/b", "inner/c", "d")]
    await outlet.put_many(["b", "inner/c", "d"])
    assert [lane.queued for lane in lanes] == [1, 1, 1]


async def test_a_reader_that_leaves_is_forgotten() -> None:
    outlet, lanes, _ = partitioned(BY_VALUE, (99, "block"), (99, "block"), (99, "block"))
    await outlet.put_many(range(30))
    outlet.remove_lane(lanes[0])
    before = lanes[0].queued
    await outlet.put_many(range(30))
    assert lanes[0].queued == before
    assert sum(lane.sent for lane in lanes) == 60


async def test_only_so_many_keys_are_remembered() -> None:
    """X17: memory stays flat however many keys there are."""
    outlet, lanes, _ = partitioned(BY_VALUE, (1, "latest"), (1, "latest"))
    await outlet.put_many(range(MOST_KNOWN + 10))
    assert sum(lane.sent for lane in lanes) == MOST_KNOWN + 10
    assert 0 < len(outlet._known) <= MOST_KNOWN


async def test_an_output_that_comes_again_goes_where_its_key_says() -> None:
    outlet, lanes, _ = partitioned(BY_NAME, (9, "block"), (9, "block"))
    for resend in (0, 2):
        have_in_hand(outlet, 1, resend=resend)
        await outlet.put_many(["r0", "r1"])
    assert [[(e.payload, e.resent, e.id) for e in lane.buffer] for lane in lanes] == [
        [("r0", False, "up:1"), ("r0", True, "up:1")],
        [("r1", False, "up:1/a.2"), ("r1", True, "up:1/a.2")],
    ]
