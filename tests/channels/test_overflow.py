"""What happens to a message for which there is no room."""

import math
from typing import cast

import anyio
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper import OverflowPolicy, ReceiveChannel, open_channel
from trouper.channels._overflow import OVERFLOW, check_capacity, check_overflow


def drain(receive: ReceiveChannel[int]) -> list[int]:
    received: list[int] = []
    while receive.statistics().current_buffer_used:
        received.append(receive.receive_nowait())
    return received


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [
        ("drop_oldest", [*range(101, 201)]),
        ("drop_newest", [*range(1, 101)]),
        ("latest", [200]),
    ],
)
@pytest.mark.parametrize("nowait", [False, True])
async def test_200_into_100(overflow: OverflowPolicy, kept: list[int], nowait: bool) -> None:
    """P10; and the ledger: sent == received + dropped + buffered"""
    send, receive = open_channel[int](100, overflow=overflow)
    for number in range(1, 201):
        if nowait:
            send.send_nowait(number)
        else:
            await send.send(number)
    statistics = send.statistics()
    assert statistics.sent == 200
    assert statistics.dropped == {overflow: 200 - len(kept)}
    assert statistics.peak_buffer_used == statistics.max_buffer_size == len(kept)
    assert drain(receive) == kept
    assert receive.statistics().sent == 200
    assert receive.statistics().received == len(kept)


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [3]), ("drop_newest", [1]), ("latest", [3])]
)
async def test_with_buffer_size_1(overflow: OverflowPolicy, kept: list[int]) -> None:
    """P10, each also with buffer size 1"""
    send, receive = open_channel[int](1, overflow=overflow)
    await send.send_many([1, 2, 3])
    assert drain(receive) == kept


@pytest.mark.parametrize("capacity", [1, 100])
async def test_fail_names_the_size_and_leaves_the_message_with_its_sender(capacity: int) -> None:
    """P10"""
    send, receive = open_channel[int](capacity, overflow="fail")
    await send.send_many(range(capacity))
    for error in (trouper.BufferOverflow, trio.WouldBlock, anyio.WouldBlock):
        with pytest.raises(error, match=rf"full with {capacity} messages .* larger capacity"):
            await send.send(-1)
    with pytest.raises(trouper.BufferOverflow) as caught:
        send.send_nowait(-1)
    assert (caught.value.owner, caught.value.capacity) == ("this channel", capacity)
    assert send.statistics().dropped == {}
    assert send.statistics().sent == capacity
    assert drain(receive) == list(range(capacity))


@pytest.mark.parametrize("overflow", [o for o in OVERFLOW if o != "block"])
async def test_a_ready_receiver_gets_its_turn_before_a_message_is_lost(
    overflow: OverflowPolicy,
) -> None:
    """A sender that never waits must not drop what a receiver only had no chance to take."""
    send, receive = open_channel[int](1, overflow=overflow)
    got: list[int] = []

    async def take() -> None:
        got.extend([number async for number in receive])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        for number in range(200):
            await send.send(number)
        send.close()
    assert got == list(range(200))


@pytest.mark.parametrize("overflow", [o for o in OVERFLOW if o != "block"])
async def test_a_waiting_receiver_is_served_before_the_buffer(overflow: OverflowPolicy) -> None:
    """C4 holds with every overflow."""
    send, receive = open_channel[int](1, overflow=overflow)
    got: list[int] = []

    async def take() -> None:
        got.append(await receive.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        send.send_nowait(1)
        send.send_nowait(2)
    assert got == [1]
    assert drain(receive) == [2]


def test_the_finalizer_of_a_dropped_message_finds_the_channel_in_order() -> None:
    send, receive = open_channel[object](2, overflow="drop_oldest")
    buffered: list[int] = []

    class Thing:
        def __del__(self) -> None:
            statistics = send.statistics()
            buffered.append(statistics.current_buffer_used)
            assert statistics.sent == 3

    send.send_nowait(Thing())
    send.send_nowait(2)
    send.send_nowait(3)
    assert buffered == [2]
    assert receive.receive_nowait() == 2


def test_a_wrong_name_lists_the_legal_ones() -> None:
    """C1"""
    with pytest.raises(ValueError, match="block, drop_oldest, drop_newest, latest, fail"):
        open_channel[int](3, overflow=cast("OverflowPolicy", "drop"))
    with pytest.raises(ValueError, match=r"overflow of edge a->b can't be \['block'\]"):
        check_overflow(["block"], owner="edge a->b")
    assert [check_overflow(name, owner="x") for name in OVERFLOW] == list(OVERFLOW)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "fail"])
def test_no_buffer_has_nothing_to_overflow(overflow: OverflowPolicy) -> None:
    """C1"""
    with pytest.raises(ValueError, match=r"there is no buffer .* capacity >= 1"):
        open_channel[int](0, overflow=overflow)


@pytest.mark.parametrize("capacity", [0, 1, 256, math.inf])
def test_latest_keeps_one_whatever_the_capacity(capacity: float) -> None:
    send, receive = open_channel[int](capacity, overflow="latest")
    for number in range(3):
        send.send_nowait(number)
    assert send.statistics().max_buffer_size == 1
    assert drain(receive) == [2]


def test_latest_does_not_excuse_a_wrong_capacity() -> None:
    """C1"""
    with pytest.raises(ValueError, match="got -1"):
        check_capacity(-1, overflow="latest", owner="x")
    with pytest.raises(TypeError, match=r"x must be an int or math\.inf, got 1\.0 \(float\)"):
        check_capacity(1.0, overflow="latest", owner="x")


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "fail"])
def test_an_endless_buffer_never_overflows(overflow: OverflowPolicy) -> None:
    send, receive = open_channel[int](math.inf, overflow=overflow)
    for number in range(1000):
        send.send_nowait(number)
    assert len(drain(receive)) == 1000
