"""The channel against a model, in whatever order hypothesis can think of."""

import math
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.from_thread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import wait_all_tasks_blocked

from trouper import (
    BrokenResourceError,
    BufferOverflow,
    ClosedResourceError,
    EndOfChannel,
    OperationMeter,
    OverflowPolicy,
    ReceiveChannel,
    SendChannel,
    WouldBlock,
    open_channel,
)

Outcome = list[int] | type[BaseException] | None
"""What an operation gave: messages, an error, or nothing yet."""

CASES: list[tuple[float, OverflowPolicy]] = [
    *((capacity, "block") for capacity in (0, 1, 2, 3, math.inf)),
    *((capacity, "drop_oldest") for capacity in (1, 2)),
    *((capacity, "drop_newest") for capacity in (1, 2)),
    *((capacity, "fail") for capacity in (1, 2)),
    (1, "latest"),
]


@dataclass
class Model:
    """What a channel is, in as few words as possible. Operations and handles are numbers."""

    capacity: float
    overflow: OverflowPolicy
    senders: set[int] = field(default_factory=lambda: {0})
    receivers: set[int] = field(default_factory=lambda: {0})
    buffer: list[int] = field(default_factory=list[int])
    sending: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    """(operation, handle, value) of those who wait, first come first."""
    receiving: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    outcomes: dict[int, Outcome] = field(default_factory=dict[int, Outcome])
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    sent: int = 0
    received: int = 0
    peak: int = 0

    def send(self, operation: int, handle: int, value: int, *, wait: bool) -> None:
        self.outcomes[operation] = []
        if handle not in self.senders:
            self.outcomes[operation] = ClosedResourceError
        elif not self.receivers:
            self.outcomes[operation] = BrokenResourceError
        elif self.receiving:
            self.sent += 1
            self.received += 1
            self.outcomes[self.receiving.pop(0)[0]] = [value]
        elif len(self.buffer) < self.capacity:
            self.sent += 1
            self.buffer.append(value)
        elif self.overflow == "fail":
            self.outcomes[operation] = BufferOverflow
        elif self.overflow != "block":
            self.sent += 1
            self.drop(self.overflow)
            self.buffer = (
                self.buffer if self.overflow == "drop_newest" else [*self.buffer[1:], value]
            )
        elif wait:
            self.outcomes[operation] = None
            self.sending.append((operation, handle, value))
        else:
            self.outcomes[operation] = WouldBlock
        self.peak = max(self.peak, len(self.buffer))

    def receive(self, operation: int, handle: int, count: int, *, wait: bool) -> None:
        taken: list[int] = []
        self.outcomes[operation] = taken
        if handle not in self.receivers:
            self.outcomes[operation] = ClosedResourceError
            return
        while len(taken) < count and (self.buffer or self.sending):
            if self.sending:
                sender, _, value = self.sending.pop(0)
                self.outcomes[sender] = []
                self.buffer.append(value)
                self.sent += 1
            taken.append(self.buffer.pop(0))
            self.received += 1
        if taken:
            return
        if not self.senders:
            self.outcomes[operation] = EndOfChannel
        elif wait:
            self.outcomes[operation] = None
            self.receiving.append((operation, handle))
        else:
            self.outcomes[operation] = WouldBlock

    def close_sender(self, handle: int) -> None:
        self.senders.discard(handle)
        for operation, _, _ in [s for s in self.sending if s[1] == handle]:
            self.outcomes[operation] = ClosedResourceError
        self.sending = [s for s in self.sending if s[1] != handle]
        if not self.senders:
            for operation, _ in self.receiving:
                self.outcomes[operation] = EndOfChannel
            self.receiving = []

    def close_receiver(self, handle: int) -> None:
        self.receivers.discard(handle)
        for operation, _ in [r for r in self.receiving if r[1] == handle]:
            self.outcomes[operation] = ClosedResourceError
        self.receiving = [r for r in self.receiving if r[1] != handle]
        if not self.receivers:
            for operation, _, _ in self.sending:
                self.outcomes[operation] = BrokenResourceError
            self.sending = []
            while self.buffer:
                self.buffer.pop()
                self.drop("closed")

    def cancel(self, operation: int) -> None:
        self.outcomes[operation] = CancelledError
        self.sending = [s for s in self.sending if s[0] != operation]
        self.receiving = [r for r in self.receiving if r[0] != operation]

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class ChannelMachine(RuleBasedStateMachine):
    """Every rule does one thing to the channel and to the model, and waits till all is quiet."""

    def __init__(self) -> None:
        super().__init__()
        self.portal_manager = anyio.from_thread.start_blocking_portal("trio")
        self.portal = self.portal_manager.__enter__()
        self.running: dict[int, Future[Outcome]] = {}
        self.next = 0

    def teardown(self) -> None:
        for future in self.running.values():
            future.cancel()
        self.portal_manager.__exit__(None, None, None)

    # A long slice keeps to the fast paths, a short one to the slow ones.
    @initialize(case=st.sampled_from(CASES), operations=st.sampled_from([1, 3, 1000]))
    def open(self, case: tuple[float, OverflowPolicy], operations: int) -> None:
        capacity, overflow = case
        meter = partial(OperationMeter, operations)
        send, receive = open_channel[int](capacity, overflow=overflow, meter=meter)
        self.sends: list[SendChannel[int]] = [send]
        self.receives: list[ReceiveChannel[int]] = [receive]
        self.model = Model(capacity, overflow)

    def do(self, operation: Callable[[], Coroutine[Any, Any, list[int]]]) -> int:
        """Start `operation` in a task of its own and wait until it is done or waits."""
        number, self.next = self.next, self.next + 1
        self.running[number] = self.portal.start_task_soon(operation)
        self.portal.call(wait_all_tasks_blocked)
        return number

    @rule(handle=st.integers(0, 3), wait=st.booleans())
    def send(self, handle: int, wait: bool) -> None:
        handle %= len(self.sends)
        value = self.next

        async def operation() -> list[int]:
            if wait:
                await self.sends[handle].send(value)
            else:
                self.sends[handle].send_nowait(value)
            return []

        self.model.send(self.do(operation), handle, value, wait=wait)

    @rule(handle=st.integers(0, 3), wait=st.booleans())
    def receive(self, handle: int, wait: bool) -> None:
        handle %= len(self.receives)

        async def operation() -> list[int]:
            channel = self.receives[handle]
            return [await channel.receive() if wait else channel.receive_nowait()]

        self.model.receive(self.do(operation), handle, 1, wait=wait)

    @rule(handle=st.integers(0, 3), count=st.integers(1, 4))
    def receive_many(self, handle: int, count: int) -> None:
        handle %= len(self.receives)

        async def operation() -> list[int]:
            return await self.receives[handle].receive_many(count)

        self.model.receive(self.do(operation), handle, count, wait=True)

    @precondition(lambda self: self.model.sending or self.model.receiving)
    @rule(index=st.integers(0, 9))
    def cancel(self, index: int) -> None:
        waiting = [entry[0] for entry in (*self.model.sending, *self.model.receiving)]
        operation = waiting[index % len(waiting)]
        self.running[operation].cancel()
        self.portal.call(wait_all_tasks_blocked)
        self.model.cancel(operation)

    @precondition(lambda self: len(self.sends) + len(self.receives) < 7)
    @rule(handle=st.integers(0, 3), sender=st.booleans())
    def clone(self, handle: int, sender: bool) -> None:
        if sender and handle in self.model.senders:
            self.model.senders.add(len(self.sends))
            self.sends.append(self.sends[handle].clone())
        elif not sender and handle in self.model.receivers:
            self.model.receivers.add(len(self.receives))
            self.receives.append(self.receives[handle].clone())

    # Rarely, or most runs would be about a dead channel.
    @rule(handle=st.integers(0, 3), sender=st.booleans(), really=st.integers(0, 3))
    def close(self, handle: int, sender: bool, really: int) -> None:
        if really:
            return
        if sender:
            handle %= len(self.sends)
            self.portal.call(self.sends[handle].aclose)
            self.model.close_sender(handle)
        else:
            handle %= len(self.receives)
            self.portal.call(self.receives[handle].aclose)
            self.model.close_receiver(handle)
        self.portal.call(wait_all_tasks_blocked)

    @invariant()
    def outcomes_are_those_of_the_model(self) -> None:
        assert {number: outcome(future) for number, future in self.running.items()} == (
            self.model.outcomes
        )

    @invariant()
    def statistics_are_those_of_the_model(self) -> None:
        now, model = self.portal.call(self.sends[0].statistics), self.model
        assert now.current_buffer_used == len(model.buffer) <= now.max_buffer_size
        assert now.open_send_channels == len(model.senders)
        assert now.open_receive_channels == len(model.receivers)
        assert now.tasks_waiting_send == len(model.sending)
        assert now.tasks_waiting_receive == len(model.receiving)
        assert now.peak_buffer_used == model.peak
        assert (now.sent, now.received) == (model.sent, model.received)
        assert now.dropped == model.dropped


def outcome(future: Future[Outcome]) -> Outcome:
    if not future.done():
        return None
    if future.cancelled():
        return CancelledError
    error = future.exception()
    return future.result() if error is None else type(error)


TestChannelModel = ChannelMachine.TestCase
TestChannelModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
