"""The departure from trio: an operation that need not wait yields only when its slice is spent."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import pytest
import trio
from trio.abc import Instrument
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

import trouper
from trouper import OperationMeter, OverflowPolicy, SliceMeter, open_channel


class YieldCounter(Instrument):
    def __init__(self) -> None:
        self.task = trio.lowlevel.current_task()
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self.task


@contextmanager
def count_yields() -> Generator[YieldCounter]:
    """Count how often the current task let others run."""
    counter = YieldCounter()
    trio.lowlevel.add_instrument(counter)
    try:
        yield counter
    finally:
        trio.lowlevel.remove_instrument(counter)


async def test_operations_yield_once_per_slice() -> None:
    send, receive = open_channel[int](100, meter=partial(OperationMeter, 10))
    for number in range(30):
        expected = assert_checkpoints if number in (10, 20) else assert_no_checkpoints
        with expected():
            await send.send(number)
    for number in range(30):
        expected = assert_checkpoints if number in (10, 20) else assert_no_checkpoints
        with expected():
            assert await receive.receive() == number


async def test_async_for_yields_once_per_slice() -> None:
    send, receive = open_channel[int](100, meter=partial(OperationMeter, 10))
    for number in range(30):
        send.send_nowait(number)
    send.close()
    with count_yields() as yields:
        async for _ in receive:
            pass
    # Two slices within the 30 messages, and the end, which always yields.
    assert yields.count == 3


async def test_every_handle_has_a_slice_of_its_own() -> None:
    send, _receive = open_channel[int](100, meter=partial(OperationMeter, 3))
    other = send.clone()
    for _ in range(3):
        with assert_no_checkpoints():
            await send.send(0)
            await other.send(0)
    for channel in (send, other):
        with assert_checkpoints():
            await channel.send(0)


async def test_ends_may_share_a_slice() -> None:
    meter = OperationMeter(4, chunk=1)
    send, receive = open_channel[int](100, meter=meter.sibling)
    with assert_no_checkpoints():
        for number in range(2):
            await send.send(number)
            await receive.receive()
        await send.send(2)
    with assert_checkpoints():
        await receive.receive()


async def test_a_wait_begins_a_new_slice() -> None:
    send, receive = open_channel[int](100, meter=partial(OperationMeter, 3))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            await send.send(0)
            await receive.receive()

        async def later() -> None:
            await wait_all_tasks_blocked()
            send.send_nowait(0)

        nursery.start_soon(later)
        with assert_checkpoints():
            await receive.receive()
        for _ in range(3):
            send.send_nowait(0)
        with assert_no_checkpoints():
            for _ in range(3):
                await receive.receive()


@pytest.mark.parametrize("capacity", [0, 1])
async def test_operations_that_wait_yield(capacity: int) -> None:
    """C3, where it holds."""
    send, receive = open_channel[int](capacity)

    async def check_send() -> None:
        with assert_checkpoints():
            await send.send(1)

    async def check_receive() -> None:
        with assert_checkpoints():
            await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(check_receive)
        await wait_all_tasks_blocked()
        send.send_nowait(0)
    for number in range(capacity):
        send.send_nowait(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check_send)
        await wait_all_tasks_blocked()
        await receive.receive()


async def test_errors_yield_so_that_a_loop_around_them_cannot_hang() -> None:
    """C3, the error paths; nowait never yields."""
    send, receive = open_channel[int](1, overflow="fail")
    send.send_nowait(0)
    with assert_checkpoints(), pytest.raises(trouper.BufferOverflow):
        await send.send(1)
    with assert_checkpoints(), pytest.raises(trouper.BufferOverflow):
        await send.send(1)
    with assert_no_checkpoints(), pytest.raises(trouper.BufferOverflow):
        send.send_nowait(1)
    with assert_checkpoints():
        await receive.aclose()
    with assert_checkpoints(), pytest.raises(trouper.BrokenResourceError):
        await send.send(1)
    with assert_checkpoints():
        await send.aclose()
    with assert_checkpoints(), pytest.raises(trouper.ClosedResourceError):
        await send.send(1)
    with assert_checkpoints(), pytest.raises(trouper.ClosedResourceError):
        await receive.receive()

    send, receive = open_channel[int](1)
    send.close()
    with assert_checkpoints(), pytest.raises(trouper.EndOfChannel):
        await receive.receive()
    with assert_checkpoints(), pytest.raises(StopAsyncIteration):
        await anext(receive)


async def test_a_cancel_at_the_end_of_a_slice_leaves_nothing_behind() -> None:
    """C5: the yield comes before the message is placed or taken."""
    send, receive = open_channel[int](100, meter=partial(OperationMeter, 2))
    for number in range(2):
        await send.send(number)
    with trio.CancelScope() as scope:
        scope.cancel()
        await send.send(99)
    assert scope.cancelled_caught
    for number in range(2):
        assert await receive.receive() == number
    send.send_nowait(2)
    with trio.CancelScope() as scope:
        scope.cancel()
        await receive.receive()
    assert scope.cancelled_caught
    assert receive.receive_nowait() == 2


class Meddler(OperationMeter):
    """Ends its slice at every second operation, and has others use the channel meanwhile."""

    def __init__(self) -> None:
        super().__init__(1)

    def grant(self, used: int) -> int:
        while meddling:
            meddling.pop()()
        return super().grant(used)


meddling: list[Callable[[], object]] = []


async def _when_blocked(fn: Callable[[], object]) -> None:
    await wait_all_tasks_blocked()
    fn()


async def test_after_a_yield_a_send_looks_for_room_again() -> None:
    send, receive = open_channel[int](2, meter=Meddler)
    await send.send(0)
    meddling.append(partial(send.send_nowait, 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_when_blocked, receive.receive_nowait)
        await send.send(2)
        assert receive.statistics().received == 1
    assert await receive.receive_many(3) == [1, 2]


async def test_after_a_yield_a_receive_looks_for_a_message_again() -> None:
    send, receive = open_channel[int](2, meter=Meddler)
    other = receive.clone()
    send.send_nowait(0)
    await receive.receive()
    send.send_nowait(1)
    meddling.append(other.receive_nowait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_when_blocked, partial(send.send_nowait, 2))
        assert await receive.receive() == 2


async def test_after_a_yield_a_closed_end_takes_and_places_nothing() -> None:
    send, receive = open_channel[int](3, meter=Meddler)
    other = receive.clone()
    await send.send(0)
    await receive.receive()
    send.send_nowait(1)
    for end, operation in ((receive, receive.receive), (send, partial(send.send, 2))):
        meddling.append(end.close)
        with pytest.raises(trouper.ClosedResourceError):
            await operation()
    assert await other.receive_many(3) == [1]


async def test_the_clock_ends_a_slice_too() -> None:
    send, receive = open_channel[int](10_000, meter=partial(SliceMeter, 1e-9))
    await send.send(0)
    with assert_checkpoints():
        await send.send(1)
    await receive.receive()
    with assert_checkpoints():
        await receive.receive()


async def test_time_before_the_first_operation_is_not_its_slice() -> None:
    send, _receive = open_channel[int](10, meter=partial(SliceMeter, 1e-9))
    with assert_no_checkpoints():
        await send.send(0)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
async def test_a_sender_that_drops_yields_only_for_receivers_that_were_woken(
    overflow: OverflowPolicy,
) -> None:
    send, receive = open_channel[int](1, overflow=overflow, meter=partial(OperationMeter, 1000))
    with count_yields() as yields:
        await send.send_many(range(100))
    assert yields.count == 0
    receive.receive_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive.receive)
        await wait_all_tasks_blocked()
        with count_yields() as yields:
            await send.send_many(range(100))
    # Trio runs the woken one before us, or at the latest just after our first turn.
    assert 1 <= yields.count <= 2


async def test_a_sender_lets_a_receiver_at_the_end_of_its_slice_go_on() -> None:
    send, receive = open_channel[int](1, overflow="latest", meter=partial(OperationMeter, 1))
    got: list[int] = []

    async def take() -> None:
        for _ in range(2):
            got.append(await receive.receive())
            if len(got) == 1:
                send.send_nowait(1)  # so the next receive need not wait, but its slice is spent

    async with trio.open_nursery() as nursery:
        send.send_nowait(0)
        nursery.start_soon(take)
        while not got:
            await trio.lowlevel.checkpoint()
        await send.send(2)
    assert got == [0, 1]
