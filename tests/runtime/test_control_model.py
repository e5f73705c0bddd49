"""Pause, resume, change, drain in any order, against a model, under task orders that vary."""

from collections.abc import AsyncIterator
from typing import Any

import trio
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.ids import assert_edges_closed
from harness.schedules import run_on_mock_clock, schedules

NODES = ("source", "relay", "sink")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["pause", "resume"]), st.sampled_from(NODES)),
        st.tuples(st.just("change"), st.sampled_from(NODES)),
        st.tuples(st.just("bound"), st.integers(1, 5)),
        st.tuples(st.just("sleep"), st.integers(1, 30)),
    ),
    max_size=14,
)


@define(eq=False)
class Log:
    """What the bodies saw, in order."""

    taken: dict[str, list[tuple[int, int]]] = field(
        factory=lambda: {name: list[tuple[int, int]]() for name in NODES}
    )
    """Node -> (number, version it was handled under)."""
    in_hand: set[str] = field(factory=set[str])
    torn: list[str] = field(factory=list)
    """Nodes that saw another version at the end of a message than at its beginning."""
    paused: set[str] = field(factory=set[str])
    intrusions: list[str] = field(factory=list)
    """Nodes that took a message while they were paused."""

    def take(self, node: str, number: int, version: int) -> None:
        if node in self.paused:
            self.intrusions.append(node)
        self.taken[node].append((number, version))

    def check(self, node: str, before: int, after: int) -> None:
        if before != after:
            self.torn.append(node)


def graph(log: Log, seconds: float) -> trouper.Workflow:
    wf = trouper.Workflow()

    def version(ctx: trouper.ActorContext) -> int:
        found: int = ctx.config.get("version", 0)
        return found

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        number = 0
        async for _ in ctx.every(1):
            yield number
            # Whatever was asked meanwhile has held it inside of that yield.
            log.take("source", number, version(ctx))
            number += 1

    @wf.actor(depends_on="source", capacity=2)
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            before = version(ctx)
            log.take("relay", number, before)
            await trio.sleep(seconds)
            yield number
            log.check("relay", before, version(ctx))

    @wf.actor(depends_on="relay", capacity=2)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            before = version(ctx)
            log.take("sink", number, before)
            await trio.sleep(seconds / 2)
            log.check("sink", before, version(ctx))

    return wf


async def play(log: Log, steps: list[tuple[str, Any]], seconds: float) -> None:
    changes: dict[str, int] = dict.fromkeys(NODES, 0)
    refused: list[str] = []

    async def change(node: str) -> None:
        changes[node] += 1
        # A node that ends before its next message never takes it over, and says so.
        try:
            await run.reconfigure(node, config={"version": changes[node]})
        except trouper.NotRunning:
            refused.append(node)

    async with graph(log, seconds).open() as run, trio.open_nursery() as nursery:
        for step, what in steps:
            if step == "pause":
                run.pause(what)
                log.paused.add(what)
            elif step == "resume":
                log.paused.discard(what)
                run.resume(what)
            elif step == "change":
                nursery.start_soon(change, what)
            elif step == "bound":
                await run.reconfigure("relay", capacity=what)
            else:
                await trio.sleep(what)
        assert {n for n, r in run.status().nodes.items() if r.paused} == log.paused
        log.paused.clear()
        result = await run.drain(10_000)
    assert (result.status, result.cut_short) == ("completed", ())
    assert result.drain is not None
    assert result.drain.abandoned == 0
    assert_edges_closed(result)
    for node in NODES:
        records = [each.changes for each in result.nodes[node].reconfigured]
        done = [each["config"]["version"] for each in records if "config" in each]
        assert done == sorted(set(done))
        assert len(done) + refused.count(node) == changes[node]


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, seconds=st.sampled_from([0.1, 0.7, 3.0]), schedule=schedules())
def test_no_order_of_asking_loses_or_intrudes(
    steps: list[tuple[str, Any]], seconds: float, schedule: Any
) -> None:
    """X4, X5: nothing is taken while paused, nothing is lost, and no message sees two configs."""
    log = Log()
    run_on_mock_clock(play, log, steps, seconds)
    numbers = {node: [number for number, _ in taken] for node, taken in log.taken.items()}
    # The last message that a source sends is accepted, and ends it before it hears of that.
    assert numbers["sink"] == numbers["relay"] == list(range(len(numbers["sink"])))
    assert numbers["source"] == numbers["sink"][: len(numbers["source"])]
    assert len(numbers["sink"]) - len(numbers["source"]) in (0, 1)
    assert (log.intrusions, log.torn) == ([], [])
    for taken in log.taken.values():
        versions = [version for _, version in taken]
        assert versions == sorted(versions)
