"""Cancellation never loses and never doubles a message."""

import random
from collections import Counter
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trouper import OperationMeter, open_channel, placed_before


@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_message_sent_in_the_tick_of_a_cancel_is_not_lost(capacity: int) -> None:
    """C5: a receive that is cancelled first takes nothing; one that has its message keeps it."""
    for cancel_first in (True, False):
        send, receive = open_channel[int](capacity)
        got: list[int] = []
        async with trio.open_nursery() as nursery:

            async def take(got: list[int]) -> None:
                got.append(await receive.receive())  # noqa: B023  # it ends within the round

            nursery.start_soon(take, got)
            await wait_all_tasks_blocked()
            if cancel_first:
                nursery.cancel_scope.cancel()
                if capacity:
                    send.send_nowait(1)
                else:
                    with pytest.raises(trio.WouldBlock):
                        send.send_nowait(1)
            else:
                send.send_nowait(1)
                nursery.cancel_scope.cancel()
        assert got == ([] if cancel_first else [1])
        assert receive.statistics().current_buffer_used == (capacity if cancel_first else 0)
        assert receive.statistics().tasks_waiting_receive == 0


@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_cancelled_send_leaves_nothing_behind(capacity: int) -> None:
    """C5"""
    send, receive = open_channel[int](capacity)
    for number in range(capacity):
        send.send_nowait(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, 99)
        await wait_all_tasks_blocked()
        assert send.statistics().tasks_waiting_send == 1
        nursery.cancel_scope.cancel()
        assert send.statistics().tasks_waiting_send == 0
    send.close()
    assert [number async for number in receive] == list(range(capacity))


async def test_a_send_whose_message_was_taken_is_not_cancelled_any_more() -> None:
    """C5: the other order; the sender must not send it again."""
    send, receive = open_channel[int](0)
    done: list[str] = []

    async def produce() -> None:
        await send.send(1)
        done.append("sent")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        assert receive.receive_nowait() == 1
        nursery.cancel_scope.cancel()
    assert done == ["sent"]


async def test_a_message_goes_past_a_receiver_that_was_cancelled_but_did_not_run_yet() -> None:
    """C6"""
    send, receive = open_channel[int](0)
    got: list[tuple[str, int]] = []
    scope = trio.CancelScope()

    async def take(name: str, scope: trio.CancelScope) -> None:
        with scope:
            got.append((name, await receive.receive()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, "first", scope)
        await wait_all_tasks_blocked()
        nursery.start_soon(take, "second", trio.CancelScope())
        await wait_all_tasks_blocked()
        scope.cancel()
        send.send_nowait(1)
        with pytest.raises(trio.WouldBlock):
            send.send_nowait(2)
    assert got == [("second", 1)]


@pytest.mark.parametrize("capacity", [0, 1])
async def test_an_operation_that_would_wait_in_a_cancelled_scope_does_nothing(
    capacity: int,
) -> None:
    """C3, C5"""
    send, receive = open_channel[int](capacity)
    with trio.CancelScope() as scope:
        scope.cancel()
        await receive.receive()
    assert scope.cancelled_caught
    await send.send_many(range(capacity))
    with trio.CancelScope() as scope:
        scope.cancel()
        await send.send(99)
    assert scope.cancelled_caught
    assert receive.statistics().current_buffer_used == capacity


async def test_inside_a_slice_an_operation_completes_in_a_cancelled_scope() -> None:
    """The departure from C5: it is done for good, and the cancel comes at the next yield."""
    send, receive = open_channel[int](1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await send.send(1)
        assert await receive.receive() == 1
        await receive.receive()
    assert scope.cancelled_caught
    assert receive.statistics().received == 1


class Chaos:
    """Sends and receives in many tasks, one task per call, and cancels some of them."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.random = random.Random(seed)
        meter = partial(OperationMeter, 1 + self.random.randrange(3))
        self.send_channel, self.receive_channel = open_channel[int](capacity, meter=meter)
        self.running: list[trio.CancelScope] = []
        self.next = 0
        self.share_of_sends = 0.5
        self.placed = Counter[int]()
        self.taken = Counter[int]()
        self.cancels = self.cancels_of_waiting = 0

    async def send(self, scope: trio.CancelScope, value: int) -> None:
        with scope:
            await self.send_channel.send(value)
            self.placed[value] += 1
        self.running.remove(scope)

    async def send_many(self, scope: trio.CancelScope, value: int) -> None:
        values = range(value, value + 3)
        with scope:
            try:
                await self.send_channel.send_many(values)
            except trio.Cancelled as cancelled:
                self.placed.update(values[: placed_before(cancelled)])
                raise
            self.placed.update(values)
        self.running.remove(scope)

    async def receive(self, scope: trio.CancelScope) -> None:
        with scope:
            self.taken[await self.receive_channel.receive()] += 1
        self.running.remove(scope)

    async def receive_many(self, scope: trio.CancelScope) -> None:
        with scope:
            self.taken.update(await self.receive_channel.receive_many(3))
        self.running.remove(scope)

    def nowait(self) -> None:
        try:
            if self.random.random() < 0.5:
                self.send_channel.send_nowait(self.next)
                self.placed[self.next] += 1
            else:
                self.taken[self.receive_channel.receive_nowait()] += 1
        except trio.WouldBlock:
            pass
        self.next += 1

    def waiting(self) -> int:
        statistics = self.send_channel.statistics()
        return statistics.tasks_waiting_receive + statistics.tasks_waiting_send

    def cancel_one(self) -> None:
        scopes = [scope for scope in self.running if not scope.cancel_called]
        if scopes:
            before = self.waiting()
            self.random.choice(scopes).cancel()
            self.cancels += 1
            self.cancels_of_waiting += before - self.waiting()

    def start_one(self, nursery: trio.Nursery) -> None:
        self.running.append(scope := trio.CancelScope())
        if self.random.random() < self.share_of_sends:
            nursery.start_soon(self.random.choice([self.send, self.send_many]), scope, self.next)
            self.next += 3
        else:
            nursery.start_soon(self.random.choice([self.receive, self.receive_many]), scope)

    async def run(self, trials: int) -> None:
        async with trio.open_nursery() as nursery:
            while self.cancels < trials:
                dice = self.random.random()
                if dice < 0.4:
                    self.start_one(nursery)
                elif dice < 0.6:
                    self.cancel_one()
                elif dice < 0.65:
                    self.nowait()
                elif dice < 0.66:
                    # Long phases of too much of one kind, so that lines form.
                    self.share_of_sends = self.random.choice([0.1, 0.9])
                else:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        while left := self.receive_channel.statistics().current_buffer_used:
            self.taken.update(await self.receive_channel.receive_many(left))


@pytest.mark.parametrize("capacity", [0, 1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
async def test_cancels_at_random_neither_lose_nor_double(capacity: int, seed: int) -> None:
    """C5, C6: 20 runs of 1,000 cancels; at least 30 % of them hit a task that waits."""
    chaos = Chaos(capacity, seed)
    await chaos.run(1000)
    assert chaos.placed == chaos.taken
    assert chaos.cancels_of_waiting >= 0.3 * chaos.cancels
    assert set(chaos.placed.values()) == {1}
    statistics = chaos.send_channel.statistics()
    assert statistics.sent == statistics.received == chaos.placed.total()
    assert statistics.tasks_waiting_send == statistics.tasks_waiting_receive == 0
