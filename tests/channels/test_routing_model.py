"""A balance and a partition against a model, in any order that hypothesis thinks of."""

from functools import partial
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from harness.routing import Edge, balanced, partitioned
from trouper import BufferOverflow, EndOfOutput, OverflowPolicy, Partition
from trouper.channels._inbox import Inbox
from trouper.channels._routing import RoutingOutlet

POLICIES = st.sampled_from(["block", "drop_oldest", "drop_newest", "latest", "fail"])
EDGES = st.lists(
    st.tuples(st.integers(1, 3), POLICIES) | st.tuples(st.just(0), st.just("block")),
    min_size=2,
    max_size=4,
)
STEPS = st.lists(
    st.tuples(st.just("put"), st.integers(0, 5))
    | st.tuples(st.just("many"), st.integers(1, 9))
    | st.tuples(st.just("cancel"), st.integers(0, 3))
    | st.tuples(st.just("take"), st.integers(0, 3))
    | st.tuples(st.just("close"), st.integers(0, 3)),
    max_size=30,
)


class Bench:
    """An output, its readers, and a record of what became of every message."""

    def __init__(self, edges: list[Edge], *, by_key: bool) -> None:
        self.outlet: RoutingOutlet
        if by_key:
            key = Partition(lambda message: message[0])
            self.outlet, self.lanes, self.inboxes = partitioned(key, *edges, operations=7)
        else:
            self.outlet, self.lanes, self.inboxes = balanced(*edges, operations=7)
        self.placed: list[Any] = []
        """What a send has said is sent."""
        self.started = 0
        self.taken: dict[str, list[Any]] = {inbox.name: [] for inbox in self.inboxes}
        self.dropped: list[Any] = []
        self.scopes: list[trio.CancelScope] = []
        for lane in self.lanes:
            lane.on_drop = lambda lane, envelope, reason: self.dropped.append(envelope.payload)

    def new(self, key: int) -> Any:
        self.started += 1
        return key, self.started

    async def send(self, messages: list[Any], *, many: bool) -> None:
        with trio.CancelScope() as scope:
            self.scopes.append(scope)
            try:
                if many:
                    await self.outlet.put_many(messages)
                else:
                    await self.outlet.put(messages[0])
                self.placed += messages
            except (BufferOverflow, EndOfOutput):
                pass

    async def take(self, inbox: Inbox) -> None:
        if inbox.closed or not inbox.has_message():
            return
        inbox.credit = 0
        await inbox.wait()
        self.taken[inbox.name].append(inbox.pop().payload)

    def left(self) -> list[Any]:
        return [each.payload for lane in self.lanes for each in lane.buffer]


async def play(bench: Bench, steps: list[tuple[str, int]]) -> None:
    async with trio.open_nursery() as nursery:
        for step, number in steps:
            at = number % len(bench.inboxes)
            if step == "put":
                message = bench.new(number)
                nursery.start_soon(partial(bench.send, [message], many=False))
            elif step == "many":
                batch = [bench.new(key % 5) for key in range(number)]
                nursery.start_soon(partial(bench.send, batch, many=True))
            elif step == "cancel" and bench.scopes:
                bench.scopes[number % len(bench.scopes)].cancel()
            elif step == "take":
                await bench.take(bench.inboxes[at])
            elif step == "close":
                bench.inboxes[at].close()
            await wait_all_tasks_blocked()
            check(bench)
        nursery.cancel_scope.cancel()


def check(bench: Bench) -> None:
    seen = [message for taken in bench.taken.values() for message in taken]
    everywhere = [*seen, *bench.left(), *bench.dropped]
    # Nothing is doubled, and what a send has accepted is somewhere.
    assert len(everywhere) == len(set(everywhere))
    assert set(bench.placed) <= set(everywhere)
    assert sum(lane.sent for lane in bench.lanes) == len(everywhere)
    for lane in bench.lanes:
        assert lane.queued <= lane.capacity


@settings(max_examples=150)
@given(edges=EDGES, steps=STEPS)
def test_a_balance_loses_and_doubles_nothing_and_waits_only_for_all(
    edges: list[Edge], steps: list[tuple[str, int]]
) -> None:
    """G6, V1, C5: with sends cancelled, readers closing and any overflow policy."""

    async def main() -> None:
        bench = Bench(edges, by_key=False)
        await play(bench, steps)
        waiting = any(lane.blocked.waiting for lane in bench.lanes)
        assert not waiting
        if any(lane.overflow == "block" and not lane.is_over() for lane in bench.lanes):
            # Where one reader lets its sender wait, none has lost a message to an overflow.
            policies: set[OverflowPolicy] = {"drop_oldest", "drop_newest", "latest"}
            lost = sum(
                n for lane in bench.lanes for why, n in lane.dropped.items() if why in policies
            )
            assert lost == 0

    trio.run(main)


@settings(max_examples=150)
@given(edges=EDGES, steps=STEPS)
def test_a_partition_loses_and_doubles_nothing_and_keeps_the_order_of_each_key(
    edges: list[Edge], steps: list[tuple[str, int]]
) -> None:
    """G6, B8t, C5"""

    async def main() -> None:
        bench = Bench(edges, by_key=True)
        await play(bench, steps)
        if not any(step == "close" for step, _ in steps):
            owners: dict[int, set[str]] = {}
            for name, taken in bench.taken.items():
                for key, _ in taken:
                    owners.setdefault(key, set()).add(name)
            assert all(len(names) == 1 for names in owners.values())

    trio.run(main)


@settings(max_examples=100)
@given(
    capacity=st.integers(0, 3),
    count=st.integers(2, 4),
    batches=st.lists(st.integers(1, 20), max_size=6),
    by_key=st.booleans(),
)
def test_one_sender_keeps_the_order_at_each_reader(
    capacity: int, count: int, batches: list[int], by_key: bool
) -> None:
    """B8t: batches and single messages mixed, readers of different pace."""

    async def main() -> None:
        bench = Bench([(capacity, "block")] * count, by_key=by_key)
        seen: dict[str, list[int]] = {}

        async def read(inbox: Inbox, pace: int) -> None:
            numbers = seen.setdefault(inbox.name, [])
            try:
                while True:
                    await inbox.wait()
                    numbers.append(inbox.pop().payload[1])
                    for _ in range(pace):
                        await trio.lowlevel.checkpoint()
            except trio.EndOfChannel:
                pass

        async with trio.open_nursery() as nursery:
            for pace, inbox in enumerate(bench.inboxes):
                nursery.start_soon(read, inbox, pace)
            for batch in batches:
                await bench.send([bench.new(n % 5) for n in range(batch)], many=batch > 1)
            bench.outlet.end()
        assert all(numbers == sorted(numbers) for numbers in seen.values())
        assert sorted(n for numbers in seen.values() for n in numbers) == list(
            range(1, sum(batches) + 1)
        )

    trio.run(main)
