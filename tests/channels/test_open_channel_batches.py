"""Sending and receiving many messages at once."""

import math
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

import trouper
from trouper import OperationMeter, open_channel


@pytest.mark.parametrize("capacity", [0, 1, 7, 64, math.inf])
async def test_all_of_a_batch_arrives_in_order(capacity: float) -> None:
    send, receive = open_channel[int](capacity)
    got: list[int] = []

    async def produce() -> None:
        async with send:
            await send.send_many(range(500))
            await send.send_many(iter(range(500, 1000)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        with pytest.raises(trio.EndOfChannel):
            while True:
                batch = await receive.receive_many(10)
                assert 1 <= len(batch) <= 10
                got += batch
    assert got == list(range(1000))


async def test_receive_many_waits_for_one_and_takes_what_is_there() -> None:
    """R102: fewer than asked for is fine."""
    send, receive = open_channel[int](5)
    got: list[list[int]] = []

    async def take() -> None:
        got.append(await receive.receive_many(3))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        for number in range(5):
            send.send_nowait(number)
    assert got == [[0, 1, 2]]
    assert await receive.receive_many(100) == [3, 4]


async def test_receive_many_also_takes_from_waiting_senders() -> None:
    send, receive = open_channel[int](0)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(send.send, number)
        await wait_all_tasks_blocked()
        assert sorted(await receive.receive_many(10)) == [0, 1, 2]
    assert receive.statistics().peak_buffer_used == 0


@pytest.mark.parametrize("count", [0, -1])
async def test_asking_for_nothing_is_an_error(count: int) -> None:
    """R309"""
    _, receive = open_channel[int](5)
    with pytest.raises(ValueError, match=f"must be >= 1, got {count}"):
        await receive.receive_many(count)


async def test_a_huge_demand_is_fine() -> None:
    """R317"""
    send, receive = open_channel[int](5)
    send.send_nowait(1)
    assert await receive.receive_many(10**30) == [1]


async def test_an_empty_batch_does_nothing() -> None:
    send, receive = open_channel[int](5)
    await send.send_many([])
    assert receive.statistics().sent == 0


async def test_a_batch_goes_to_waiting_receivers_first() -> None:
    send, receive = open_channel[int](2)
    got: list[int] = []

    async def take() -> None:
        got.append(await receive.receive())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(take)
        await wait_all_tasks_blocked()
        await send.send_many(range(4))
        assert send.statistics().current_buffer_used == 2
    assert sorted(got) == [0, 1]
    assert await receive.receive_many(9) == [2, 3]


async def test_a_cancelled_batch_says_how_many_were_placed() -> None:
    """C5: those placed stay, and no others come."""
    send, receive = open_channel[int](3)
    items = list(range(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_blocked, nursery.cancel_scope)
        with pytest.raises(trio.Cancelled) as caught:
            await send.send_many(items)
    placed = trouper.placed_before(caught.value)
    assert placed == 3
    assert caught.value.__notes__ == ["send_many had placed 3 of 10 messages"]
    send.close()
    assert [number async for number in receive] == items[:placed]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_failing_iterable_places_nothing() -> None:
    send, _receive = open_channel[int](3)

    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk") as caught:
        await send.send_many(items())
    assert send.statistics().sent == 0
    with pytest.raises(ValueError, match="did not come out of send_many"):
        trouper.placed_before(caught.value)


async def test_a_batch_too_large_for_fail_says_how_many_were_placed() -> None:
    send, _receive = open_channel[int](3, overflow="fail")
    with pytest.raises(trouper.BufferOverflow) as caught:
        await send.send_many(range(5))
    assert trouper.placed_before(caught.value) == 3


async def test_a_batch_counts_against_the_slice() -> None:
    send, receive = open_channel[int](100, meter=partial(OperationMeter, 10))
    with assert_no_checkpoints():
        await send.send_many(range(10))
    with assert_checkpoints():
        await send.send(10)
    with assert_no_checkpoints():
        assert len(await receive.receive_many(11)) == 11
        await send.send(11)
    with assert_checkpoints():
        await receive.receive()
