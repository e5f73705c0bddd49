"""Opening, sending, receiving and cloning a channel."""

import gc
import math
import weakref
from functools import partial
from typing import assert_type, cast

import anyio
import anyio.abc
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper import OperationMeter, ReceiveChannel, SendChannel, open_channel

CLOSED = trouper.ClosedResourceError


async def test_messages_come_out_in_the_order_they_went_in() -> None:
    send, receive = open_channel[int](10)
    assert_type(send, SendChannel[int])
    assert_type(receive, ReceiveChannel[int])
    async with send:
        for number in range(10):
            await send.send(number)
    assert [number async for number in receive] == list(range(10))
    assert receive.statistics().received == 10


@pytest.mark.parametrize("capacity", [0, 1, 3, math.inf])
async def test_many_senders_and_receivers_share_all_messages(capacity: float) -> None:
    """P11: what was accepted is what is received, each message once."""
    send, receive = open_channel[int](capacity, meter=partial(OperationMeter, 7))
    received: list[int] = []

    async def produce(channel: SendChannel[int], start: int) -> None:
        async with channel:
            for number in range(start, start + 100):
                await channel.send(number)

    async def consume(channel: ReceiveChannel[int]) -> None:
        with channel:
            received.extend([number async for number in channel])

    async with trio.open_nursery() as nursery:
        with send, receive:
            for index in range(4):
                nursery.start_soon(produce, send.clone(), 100 * index)
                nursery.start_soon(consume, receive.clone())
    assert sorted(received) == list(range(400))


@pytest.mark.parametrize("capacity", [1.0, 1.5, math.nan, -math.inf, "1", None, True])
def test_refuses_a_size_of_another_type(capacity: object) -> None:
    """C1"""
    with pytest.raises(TypeError, match=r"must be an int or math\.inf"):
        open_channel[int](cast("int", capacity))


def test_refuses_a_negative_size() -> None:
    """C1"""
    with pytest.raises(ValueError, match="must be >= 0, got -1"):
        open_channel[int](-1)


def test_accepts_zero_and_infinity() -> None:
    """C1"""
    assert open_channel[int](0)[0].statistics().max_buffer_size == 0
    assert open_channel[int](math.inf)[0].statistics().max_buffer_size == math.inf


def test_has_the_interfaces_of_trio_and_anyio() -> None:
    send, receive = open_channel[int](0)
    assert isinstance(send, trio.abc.SendChannel)
    assert isinstance(send, anyio.abc.ObjectSendStream)
    assert isinstance(receive, trio.abc.ReceiveChannel)
    assert isinstance(receive, anyio.abc.ObjectReceiveStream)
    assert send.extra_attributes == receive.extra_attributes == {}
    assert send.extra(anyio.abc.SocketAttribute.family, "none") == "none"


def test_public_names_say_that_they_are_of_trouper() -> None:
    send, receive = open_channel[int](0)
    for thing in (open_channel, type(send), type(receive), type(send.statistics())):
        assert thing.__module__ == "trouper"
    for error in (CLOSED, trouper.BrokenResourceError, trouper.EndOfChannel, trouper.WouldBlock):
        assert error.__module__ == "trouper"
    assert repr(send).startswith("<trouper.SendChannel at 0x")
    assert repr(receive).startswith("<trouper.ReceiveChannel at 0x")


def test_nowait_operations_say_how_to_wait() -> None:
    send, receive = open_channel[int](1)
    with pytest.raises(trio.WouldBlock, match="await receive"):
        receive.receive_nowait()
    send.send_nowait(1)
    with pytest.raises(anyio.WouldBlock, match=r"await send\(...\)"):
        send.send_nowait(2)
    assert receive.receive_nowait() == 1


async def test_code_for_anyio_can_use_a_channel() -> None:
    async def copy(
        source: anyio.abc.ObjectReceiveStream[int], sink: anyio.abc.ObjectSendStream[int]
    ) -> None:
        async with source, sink:
            while True:
                try:
                    await sink.send(await source.receive())
                except anyio.EndOfStream:
                    return

    send, source = open_channel[int](5)
    sink, receive = open_channel[int](5)
    await send.send_many([1, 2, 3])
    await send.aclose()
    await copy(source, sink)
    assert [number async for number in receive] == [1, 2, 3]


class TestFairness:
    """C4: who waits, owns what comes next."""

    async def test_a_waiting_receiver_owns_the_next_message(self) -> None:
        send, receive = open_channel[int](5)
        got: list[int] = []

        async def take() -> None:
            got.append(await receive.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            send.send_nowait(1)
            with pytest.raises(trio.WouldBlock):
                receive.receive_nowait()
        assert got == [1]

    @pytest.mark.parametrize("capacity", [1, 3])
    async def test_a_waiting_sender_owns_the_next_room(self, capacity: int) -> None:
        send, receive = open_channel[int](capacity)
        for number in range(capacity):
            send.send_nowait(number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send.send, capacity)
            await wait_all_tasks_blocked()
            assert receive.receive_nowait() == 0
            with pytest.raises(trio.WouldBlock):
                send.send_nowait(99)
        assert await receive.receive_many(9) == list(range(1, capacity + 1))

    async def test_those_who_wait_are_served_in_order(self) -> None:
        send, receive = open_channel[int](0)
        got: list[tuple[str, int]] = []

        async def take(name: str) -> None:
            got.append((name, await receive.receive()))

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(take, name)
                await wait_all_tasks_blocked()
            for number in range(3):
                await send.send(number)
        assert sorted(got) == [("a", 0), ("b", 1), ("c", 2)]

    async def test_nothing_is_delivered_beyond_what_was_asked_for(self) -> None:
        """R101, V1: with capacity 0, sends done == receives done; else a buffer more."""
        for capacity in (0, 3):
            send, receive = open_channel[int](capacity)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send.send_many, range(20))
                for asked in range(1, 10):
                    await receive.receive()
                    await wait_all_tasks_blocked()
                    assert send.statistics().sent == asked + capacity
                nursery.cancel_scope.cancel()


async def test_a_chain_of_sends_from_the_receiving_task_needs_no_stack() -> None:
    """R302, R303: 10^5 messages, each sent while handling the one before."""
    send, receive = open_channel[int](1)
    await send.send(0)
    last = 0
    while last < 100_000:
        last = await receive.receive()
        await send.send(last + 1)
    assert receive.receive_nowait() == last + 1


class Thing:
    pass


async def test_a_message_taken_is_not_held_by_the_channel() -> None:
    """R313: neither the buffer nor the place in line keeps a reference."""
    send, receive = open_channel[Thing](0)
    seen: list[weakref.ref[Thing]] = []

    async def produce() -> None:
        for _ in range(3):
            thing = Thing()
            seen.append(weakref.ref(thing))
            await send.send(thing)
            del thing

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        for _ in range(3):
            await receive.receive()
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3


def test_a_channel_left_open_is_collected_without_a_warning() -> None:
    """As in trio; pytest makes an error of every warning."""
    send, _receive = open_channel[int](3)
    gone = weakref.ref(send)
    del send, _receive
    gc.collect()
    assert gone() is None


async def test_leaving_a_loop_over_a_channel_loses_nothing() -> None:
    """C8, as far as a channel is iterated itself: it is no generator, so nothing is left behind."""
    send, receive = open_channel[int](10)
    await send.send_many(range(10))
    async for number in receive:
        if number == 1:
            break
    with pytest.raises(OSError, match="2"):
        async for number in receive:
            raise OSError(str(number))
    with trio.CancelScope() as scope:
        async for number in receive:
            assert number == 3
            scope.cancel()
            await trio.lowlevel.checkpoint()
    first, second = aiter(receive), aiter(receive.clone())
    assert [await anext(first), await anext(second), await anext(first)] == [4, 5, 6]
    with pytest.raises(CLOSED):
        async for _ in receive:
            receive.close()
    assert await anext(second) == 8
