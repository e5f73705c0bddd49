"""One edge, and an inbox of several, against models, in any order that hypothesis thinks of."""

import math
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import anyio.from_thread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, open_edge, open_outlet
from trouper import (
    BufferOverflow,
    ClosedResourceError,
    EndOfInput,
    EndOfOutput,
    OperationMeter,
    OverflowPolicy,
)
from trouper.channels._inbox import Inbox
from trouper.channels._outlet import Outlet

Message = tuple[str, int, Any]
"""(source, seq, payload)"""
Outcome = list[Message] | type[BaseException] | None
"""What an operation gave: messages, an error, or nothing yet."""

CASES: list[tuple[float, OverflowPolicy]] = [
    *((capacity, "block") for capacity in (0, 1, 2, 5, math.inf)),
    *((capacity, "drop_oldest") for capacity in (1, 3)),
    *((capacity, "drop_newest") for capacity in (1, 3)),
    *((capacity, "fail") for capacity in (1, 3)),
    (1, "latest"),
]


class Machine(RuleBasedStateMachine):
    """Runs operations in tasks of their own, and waits after each until all is quiet."""

    def __init__(self) -> None:
        super().__init__()
        self.portal_manager = anyio.from_thread.start_blocking_portal("trio")
        self.portal = self.portal_manager.__enter__()
        self.running: dict[int, Future[Outcome]] = {}
        self.expected: dict[int, Outcome] = {}

    def teardown(self) -> None:
        for future in self.running.values():
            future.cancel()
        self.portal_manager.__exit__(None, None, None)

    def do(self, operation: Callable[[], Coroutine[Any, Any, list[Message]]]) -> int:
        number = len(self.running)
        self.running[number] = self.portal.start_task_soon(operation)
        self.portal.call(wait_all_tasks_blocked)
        return number

    def do_sync(self, operation: Callable[[], None]) -> None:
        self.portal.call(operation)
        self.portal.call(wait_all_tasks_blocked)

    def cancel_running(self, number: int) -> None:
        self.running[number].cancel()
        self.portal.call(wait_all_tasks_blocked)

    def start_take(self, inbox: Inbox) -> int:
        async def take() -> list[Message]:
            # A look at everything before each message: the model then needs no credit.
            inbox.credit = 0
            await inbox.wait()
            envelope = inbox.pop()
            return [(envelope.source, envelope.seq, envelope.payload)]

        return self.do(take)

    def start_put(self, outlet: Outlet, payloads: list[int], *, many: bool) -> int:
        async def put() -> list[Message]:
            await (outlet.put_many(payloads) if many else outlet.put(payloads[0]))
            return []

        return self.do(put)

    @invariant()
    def outcomes_are_those_of_the_model(self) -> None:
        got = {number: outcome_of(future) for number, future in self.running.items()}
        assert got == self.expected


def outcome_of(future: Future[Outcome]) -> Outcome:
    if not future.done():
        return None
    if future.cancelled():
        return CancelledError
    error = future.exception()
    return future.result() if error is None else type(error)


@dataclass
class EdgeModel:
    """What one edge is, in as few words as possible."""

    capacity: float
    overflow: OverflowPolicy
    outcomes: dict[int, Outcome]
    buffer: list[Message] = field(default_factory=list[Message])
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    sent: int = 0
    over: type[Exception] | None = None
    """Why no message can be sent any more, as the reader sees it."""
    in_transit: int = 0
    """Given to a reader that has been woken, but runs only when the sender waits or is done."""
    waiting_put: tuple[int, list[int]] | None = None
    """Who waits for room, and what it has not sent yet."""
    waiting_take: int | None = None

    def put(self, operation: int, payloads: list[int]) -> None:
        rest = list(payloads)
        self.in_transit = 0
        while rest:
            if self.over is not None:
                self.outcomes[operation] = EndOfOutput
                return
            if self.is_full():
                # While the sender waits, or before a loss, a reader that was woken has its turn.
                self.in_transit = 0
            if self.is_full() and self.overflow == "fail":
                self.outcomes[operation] = BufferOverflow
                return
            if self.is_full() and self.overflow == "block":
                self.outcomes[operation] = None
                self.waiting_put = (operation, rest)
                break
            self.place(rest.pop(0))
        else:
            self.outcomes[operation] = []
        self.in_transit = 0

    def is_full(self) -> bool:
        if self.capacity == 0:
            return self.waiting_take is None
        return len(self.buffer) + self.in_transit >= self.capacity

    def place(self, payload: int) -> None:
        self.sent += 1
        message = ("a", self.sent, payload)
        if self.waiting_take is not None:
            self.outcomes[self.waiting_take] = [message]
            self.waiting_take = None
            self.in_transit = 1
            return
        full = self.is_full()
        if full:
            self.drop(self.overflow)
        if not (full and self.overflow == "drop_newest"):
            self.buffer = [*(self.buffer[1:] if full else self.buffer), message]

    def take(self, operation: int) -> None:
        # A message taken makes room at once; a rendezvous needs a reader that waits.
        released = self.capacity > 0
        if self.buffer:
            self.outcomes[operation] = [self.buffer.pop(0)]
        elif self.over is not None:
            self.outcomes[operation] = self.over
        else:
            self.outcomes[operation] = None
            self.waiting_take = operation
            released = True
        if released and self.waiting_put is not None:
            (waiter, rest), self.waiting_put = self.waiting_put, None
            self.put(waiter, rest)

    def finish(self, error: type[Exception]) -> None:
        self.over = error if self.over in (None, EndOfInput) else self.over
        if self.waiting_put is not None:
            self.outcomes[self.waiting_put[0]] = EndOfOutput
            self.waiting_put = None
        if self.waiting_take is not None:
            self.outcomes[self.waiting_take] = error
            self.waiting_take = None

    def leave(self) -> None:
        for _ in self.buffer:
            self.drop("reader_ended")
        self.buffer = []
        self.finish(ClosedResourceError)

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class EdgeMachine(Machine):
    @initialize(case=st.sampled_from(CASES), chunk=st.sampled_from([1, 3, 64]))
    def open(self, case: tuple[float, OverflowPolicy], chunk: int) -> None:
        capacity, overflow = case
        meter = OperationMeter(1_000_000, chunk)
        self.outlet, self.lane, self.inbox = open_edge(capacity, overflow, meter=meter)
        self.model = EdgeModel(capacity, overflow, self.expected)
        self.next = 0

    # Nothing is done by a rule that does not fit: preconditions would have most runs given up.
    @rule(n=st.integers(1, 9), many=st.booleans())
    def put(self, n: int, many: bool) -> None:
        if self.model.waiting_put is not None:
            return
        payloads = list(range(self.next, self.next + (n if many else 1)))
        self.next += len(payloads)
        self.model.put(self.start_put(self.outlet, payloads, many=many), payloads)

    @rule()
    def take(self) -> None:
        if self.model.waiting_take is None:
            self.model.take(self.start_take(self.inbox))

    @rule()
    def cancel(self) -> None:
        model = self.model
        for number in (model.waiting_take, model.waiting_put and model.waiting_put[0]):
            if number is not None:
                self.expected[number] = CancelledError
                self.cancel_running(number)
        model.waiting_take = model.waiting_put = None

    # Rarely, or most runs would be about a dead edge.
    @rule(really=st.integers(0, 5))
    def end(self, really: int) -> None:
        if not really:
            self.do_sync(self.outlet.end)
            if self.model.over is None:
                self.model.finish(EndOfInput)

    @rule(really=st.integers(0, 7))
    def leave(self, really: int) -> None:
        if not really:
            self.do_sync(self.inbox.close)
            self.model.leave()

    @invariant()
    def the_lane_is_as_the_model_says(self) -> None:
        lane, model = self.lane, self.model
        assert lane.queued == len(model.buffer) <= max(1, model.capacity)
        # What the senders' fast path relies on.
        assert lane.limit <= lane.sent or lane.limit - lane.sent <= lane.capacity - lane.queued
        assert (lane.sent, lane.dropped) == (model.sent, model.dropped)
        assert lane.blocked.waiting == (model.waiting_put is not None)
        assert self.inbox.waiting == (model.waiting_take is not None)


@dataclass
class LaneModel:
    weak: bool
    buffer: deque[Message] = field(default_factory=deque)
    sent: int = 0
    ended: bool = False


class InboxMachine(Machine):
    """Lanes without bound, so that only the reader ever waits: FIFO per lane, turn by turn."""

    @initialize(operations=st.sampled_from([1, 3, 1_000_000]), turns=st.booleans())
    def open(self, operations: int, turns: bool) -> None:
        self.inbox = Inbox("r", OperationMeter(operations))
        self.inbox.turns = turns
        self.outlets: list[Outlet] = []
        self.lanes: list[LaneModel] = []
        self.ready: list[LaneModel] = []
        self.waiting: int | None = None

    @rule(weak=st.booleans())
    def add_lane(self, weak: bool) -> None:
        if len(self.lanes) == 4:
            return
        outlet = open_outlet(f"l{len(self.lanes)}")
        self.do_sync(lambda: void(connect(outlet, self.inbox, math.inf, weak=weak)))
        self.outlets.append(outlet)
        self.lanes.append(LaneModel(weak))

    @rule(index=st.integers(0, 3), n=st.integers(1, 4), many=st.booleans())
    def put(self, index: int, n: int, many: bool) -> None:
        open_lanes = [number for number, lane in enumerate(self.lanes) if not lane.ended]
        if not open_lanes:
            return
        index = open_lanes[index % len(open_lanes)]
        lane = self.lanes[index]
        payloads = list(range(lane.sent, lane.sent + (n if many else 1)))
        for payload in payloads:
            lane.sent += 1
            lane.buffer.append((f"l{index}", lane.sent, payload))
        if lane not in self.ready:
            self.ready.append(lane)
        self.expected[self.start_put(self.outlets[index], payloads, many=many)] = []
        self.settle_waiting()

    @rule()
    def take(self) -> None:
        if self.waiting is not None:
            return
        self.waiting = self.start_take(self.inbox)
        self.expected[self.waiting] = None
        self.settle_waiting()

    @rule()
    def cancel(self) -> None:
        if self.waiting is None:
            return
        self.expected[self.waiting] = CancelledError
        self.cancel_running(self.waiting)
        self.waiting = None

    @rule(index=st.integers(0, 3), really=st.integers(0, 3))
    def end(self, index: int, really: int) -> None:
        if not really and self.lanes:
            index %= len(self.lanes)
            self.do_sync(self.outlets[index].end)
            self.lanes[index].ended = True
            self.settle_waiting()

    def settle_waiting(self) -> None:
        if self.waiting is None:
            return
        if self.ready:
            lane = self.ready.pop(0)
            self.expected[self.waiting] = [lane.buffer.popleft()]
            if lane.buffer:
                self.ready.append(lane)
            self.waiting = None
        elif all(lane.ended or lane.weak for lane in self.lanes):
            self.expected[self.waiting] = EndOfInput
            self.waiting = None

    @invariant()
    def the_inbox_is_as_the_model_says(self) -> None:
        assert [lane.queued for lane in self.inbox.lanes] == [len(m.buffer) for m in self.lanes]
        assert self.inbox.has_message() == bool(self.ready)
        assert self.inbox.waiting == (self.waiting is not None)


def void(_value: object) -> None:
    """Drop a value, in a lambda that must return None."""


TestEdgeModel = EdgeMachine.TestCase
TestEdgeModel.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestInboxModel = InboxMachine.TestCase
TestInboxModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
