"""Cancelling a send or a receive never loses and never doubles a message."""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_edge, open_outlet, take
from trouper import EndOfInput, OperationMeter
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._outlet import Outlet

TRIALS = 400
"""Cancellations for each of the cases below."""


@define(eq=False)
class Trial:
    """A sender and a reader that are cancelled again and again, and go on where they were."""

    outlet: Outlet
    lane: Lane
    inbox: Inbox
    rng: random.Random
    accepted: int = 0
    """Messages that the source knows to be sent: their ids are 0, 1, 2, ..."""
    seen: list[int] = field(factory=list[int])
    """Ids at the sink."""
    scopes: dict[str, trio.CancelScope] = field(factory=dict[str, trio.CancelScope])
    slow: str = "reader"
    hits: int = 0
    hits_of_parked: int = 0
    over: bool = False

    async def produce_one_by_one(self) -> None:
        while True:
            await self.outlet.put(self.accepted)
            self.accepted += 1
            await self.pause("sender")

    async def produce_many(self) -> None:
        while True:
            start = self.accepted = self.lane.sent
            await self.outlet.put_many(range(start, start + self.rng.randint(1, 9)))
            await self.pause("sender")

    async def read(self) -> None:
        while True:
            self.seen.append((await take(self.inbox)).payload)
            await self.pause("reader")

    async def pause(self, name: str) -> None:
        """Wait between two operations: the slow end long enough for the other one to park."""
        for _ in range(self.rng.randint(4, 9) if name == self.slow else self.rng.randint(0, 1)):
            await trio.lowlevel.checkpoint()

    async def again_and_again(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        while not self.over:
            with trio.CancelScope() as self.scopes[name]:
                await body()

    async def cancel_both(self) -> None:
        while self.hits < TRIALS:
            for _ in range(self.rng.randint(1, 9)):
                await trio.lowlevel.checkpoint()
            bays = {"sender": self.lane.blocked, "reader": self.inbox}
            parked = [name for name in bays if bays[name].waiting]
            if not parked and self.rng.random() < 0.7:
                continue  # else hardly any would hit a parked task
            name = self.rng.choice(parked if parked and self.rng.random() < 0.8 else [*bays])
            self.hits += 1
            self.hits_of_parked += bays[name].waiting
            self.scopes[name].cancel()
            self.slow = self.rng.choice(["sender", "reader"])
        self.over = True
        for scope in self.scopes.values():
            scope.cancel()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("operations", [1, 4, 10_000])
@pytest.mark.parametrize("capacity", [0, 1, 3])
async def test_cancelled_at_random_nothing_is_lost_or_doubled(
    capacity: int, operations: int, many: bool
) -> None:
    """C5, C6: 7,200 cancellations in all, a third of them or more of a task that was parked."""
    edge = open_edge(capacity, meter=OperationMeter(operations))
    trial = Trial(*edge, random.Random(f"{capacity} {operations} {many}"))
    produce = trial.produce_many if many else trial.produce_one_by_one
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trial.again_and_again, "sender", produce)
        nursery.start_soon(trial.again_and_again, "reader", trial.read)
        await trio.lowlevel.checkpoint()
        await trial.cancel_both()
    assert trial.hits_of_parked >= 0.3 * trial.hits
    trial.outlet.end()
    trial.seen += await drain_payloads(trial.inbox)
    # Of a put_many that was cancelled, the sent prefix is known by the lane's count only.
    accepted = trial.lane.sent if many else trial.accepted
    assert len(trial.seen) > TRIALS / 10
    assert trial.seen == list(range(accepted))
    assert trial.lane.dropped == {}


async def test_a_cancelled_put_leaves_nothing_in_any_lane() -> None:
    """C5: the broadcast waits for its second lane; the first one had room."""
    outlet = open_outlet()
    free, full = Inbox("free"), Inbox("full")
    lanes = [connect(outlet, free, 9), connect(outlet, full, 1)]
    await outlet.put("before")
    with trio.move_on_after(0) as scope:
        await outlet.put("cancelled")
    assert scope.cancelled_caught
    assert [(lane.sent, lane.queued, lane.blocked.waiting) for lane in lanes] == [(1, 1, 0)] * 2
    await take(full)
    await outlet.put("after")
    outlet.end()
    for inbox, expected in ((free, [("before", 1), ("after", 2)]), (full, [("after", 2)])):
        assert [(each.payload, each.seq) for each in await drain(inbox)] == expected


@pytest.mark.parametrize("capacity", [0, 1])
async def test_waiting_in_a_cancelled_scope_takes_and_places_nothing(capacity: int) -> None:
    """C5"""
    outlet, lane, inbox = open_edge(capacity)
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.wait()
    assert scope.cancelled_caught
    assert not inbox.is_waiting()
    for number in range(capacity):
        await outlet.put(number)
    for put in (outlet.put, partial(outlet.put_many)):
        with trio.CancelScope() as scope:
            scope.cancel()
            await put([99])
        assert scope.cancelled_caught
    assert lane.sent == capacity


@pytest.mark.parametrize("cancel_first", [False, True])
@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_message_placed_in_the_tick_of_a_cancel_is_not_lost(
    capacity: int, cancel_first: bool
) -> None:
    """C5, C6: a reader cancelled first takes nothing and the message stays; otherwise it has it."""
    outlet, lane, inbox = open_edge(capacity)
    seen: list[str] = []

    async def read() -> None:
        seen.append((await take(inbox)).payload)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        if cancel_first:
            nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await outlet.put("x")
        nursery.cancel_scope.cancel()
    assert lane.sent == 1
    if cancel_first:
        assert seen == []
        assert (await take(inbox)).payload == "x"
    assert seen == ([] if cancel_first else ["x"])
    outlet.end()
    assert await drain(inbox) == []


async def test_the_others_go_on_when_the_first_of_several_waiting_senders_is_cancelled() -> None:
    outlet, lane, inbox = open_edge(1)
    await outlet.put(0)
    scope = trio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await outlet.put("cancelled")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled)
        await wait_all_tasks_blocked()
        for number in (1, 2, 3):
            nursery.start_soon(outlet.put, number)
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 4
        scope.cancel()
        await wait_all_tasks_blocked()
        assert lane.blocked.waiting == 3
        with trio.fail_after(200):
            payloads = [(await take(inbox)).payload for _ in range(4)]
        assert (payloads[0], sorted(payloads)) == (0, [0, 1, 2, 3])


async def test_a_cancelled_wait_leaves_an_end_to_be_seen() -> None:
    outlet, _, inbox = open_edge()
    with trio.move_on_after(0):
        await inbox.wait()
    outlet.end()
    with pytest.raises(EndOfInput):
        await inbox.wait()
