"""`on_redelivery`: what becomes of the outputs of a message that is handled again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.faults import Faults
from harness.stage import Stage
from trouper import Backoff, BufferOverflow
from trouper.actors._lifecycle import State

QUICK = Backoff(min=0, max=0)


class Graph:
    """source -> relay (three outputs for each message) -> sink."""

    def __init__(self, faults: Faults, *, many: bool = False, **options: Any) -> None:
        self.wf = trouper.Workflow("w")
        self.seen: list[tuple[str, str, bool]] = []
        """(payload, id, resent) as the sink got them."""
        # Neither keeps what it has sent for a result: bodies are closures over this graph.
        self.wf.actor(self.source)
        relay = self.relay_many if many else self.relay
        self.wf.actor(name="relay", depends_on="source", backoff=QUICK, **options)(relay)
        self.wf.actor(depends_on="relay")(self.sink)
        self.faults = faults

    async def source(self, ctx: trouper.ActorContext) -> AsyncIterator[str]:
        for name in "ab":
            yield name

    async def relay(self, ctx: trouper.ActorContext) -> AsyncIterator[str]:
        async for name in ctx:
            for number in range(3):
                yield f"{name}{number}"
                self.faults.at(f"after {number}", "relay")

    async def relay_many(self, ctx: trouper.ActorContext) -> None:
        async for name in ctx:
            await ctx.send_many([f"{name}0", f"{name}1"])
            self.faults.at("after 1", "relay")
            await ctx.send(f"{name}2")
            self.faults.at("after 2", "relay")

    async def sink(self, ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            assert ctx.message is not None
            self.seen.append((payload, ctx.message.id, ctx.message.resent))

    async def run(self) -> trouper.WorkflowResult:
        return await self.wf.execute(harness=self.faults.harness())


QUIET = [
    ("a0", "source:1", False),
    ("a1", "source:1/relay.2", False),
    ("a2", "source:1/relay.3", False),
    ("b0", "source:2", False),
    ("b1", "source:2/relay.2", False),
    ("b2", "source:2/relay.3", False),
]


@pytest.mark.parametrize("policy", ["repeat", "skip", "hold"])
async def test_without_a_crash_all_are_the_same(policy: str) -> None:
    graph = Graph(Faults(), on_redelivery=policy)
    result = await graph.run()
    assert result.ok
    assert graph.seen == QUIET
    assert result.outputs["relay"] == "b2"


async def test_repeat_sends_again_marked_with_the_same_ids() -> None:
    """DESIGN, Leases: every output has a stable id, the same on every attempt."""
    graph = Graph(Faults().fail("after 1", visits=(1,)), on_redelivery="repeat")
    await graph.run()
    again = [(payload, id, True) for payload, id, _ in QUIET[:2]]
    assert graph.seen == [*QUIET[:2], *again, *QUIET[2:]]


async def test_marks_hold_over_several_attempts() -> None:
    """A short second attempt does not forget what the first one had placed."""
    faults = Faults().fail("after 2").fail("after 0", visits=(2,))
    graph = Graph(faults, on_redelivery="repeat")
    await graph.run()
    marks = [resent for payload, _, resent in graph.seen if payload[0] == "a"]
    assert marks == [False] * 3 + [True] + [True] * 3
    assert [mark for payload, _, mark in graph.seen if payload[0] == "b"] == [False] * 3


async def test_repeated_batches_of_sends_are_marked_too() -> None:
    graph = Graph(Faults().fail("after 2"), many=True)
    await graph.run()
    first, again = graph.seen[:3], graph.seen[3:6]
    assert [payload for payload, *_ in first] == ["a0", "a1", "a2"]
    assert again == [(payload, id, True) for payload, id, _ in first]
    assert len({id for _, id, _ in graph.seen}) == 6


async def test_skip_does_not_place_again_what_was_placed() -> None:
    graph = Graph(Faults().fail("after 1", visits=(1, 2)), on_redelivery="skip")
    result = await graph.run()
    assert result.nodes["relay"].failed == 2
    assert graph.seen == QUIET


@pytest.mark.parametrize("point", ["after 0", "after 1", "after 2"])
async def test_hold_places_nothing_before_the_acknowledgement(point: str) -> None:
    graph = Graph(Faults().fail(point, visits=(1, 2)), on_redelivery="hold")
    result = await graph.run()
    assert result.nodes["relay"].failed == 2
    assert graph.seen == QUIET


async def test_hold_is_bounded() -> None:
    graph = Graph(Faults(), on_redelivery="hold", hold_limit=2)
    result = await graph.run()
    assert result.ok
    assert graph.seen == []
    assert [letter.envelope.payload for letter in result.dead_letters] == ["a", "b"]
    [failure, *_] = result.dead_letters[0].failures
    assert failure.type.endswith("BufferOverflow")
    assert "on_redelivery='hold' of relay" in failure.message


async def test_hold_lets_the_body_catch_its_overflow() -> None:
    wf = trouper.Workflow("w")
    seen: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1

    @wf.actor(depends_on="source", on_redelivery="hold", hold_limit=2)
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for _ in ctx:
            for number in range(3):
                try:
                    yield number
                except BufferOverflow:
                    assert number == 2

    @wf.actor(depends_on="relay")
    async def sink(ctx: trouper.ActorContext) -> None:
        seen.extend([number async for number in ctx])

    result = await wf.execute()
    assert (seen, result.ok) == ([0, 1], True)


async def test_hold_outside_of_any_message_sends_at_once() -> None:
    """A source holds nothing: there is no acknowledgement that it could wait for."""
    wf = trouper.Workflow("w")
    seen: list[int] = []

    @wf.actor(on_redelivery="hold")
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        await wait_all_tasks_blocked()
        assert seen == [1]

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            seen.append(number)  # noqa: PERF401  # looked at meanwhile

    assert (await wf.execute()).ok


async def test_hold_when_nobody_reads_any_more_ends_normally() -> None:
    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(100):
            yield number

    @wf.actor(depends_on="source", on_redelivery="hold")
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            yield number

    @wf.actor(depends_on="relay")
    async def sink(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    result = await wf.execute()
    assert result.ok, result.reason
    assert result.nodes["relay"].failed == 0


async def test_hold_cancelled_while_it_places_is_released() -> None:
    """X12: what was placed by then comes again, marked."""
    wf = trouper.Workflow("w")
    attempts: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1

    @wf.actor(depends_on="source", on_redelivery="hold")
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for _ in ctx:
            assert ctx.message is not None
            attempts.append(ctx.message.attempt)
            for number in range(4):
                yield number

    @wf.actor(depends_on="relay", capacity=1)
    async def sink(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await trio.sleep_forever()

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.cancel()
        result = await run.wait()
    assert result.status == "cancelled"
    assert attempts == [1]
    letters = [(letter.node, letter.reason) for letter in result.dead_letters]
    # What the sink had in hand, and what was queued for it.
    assert sorted(letters) == [("relay", "stopped"), ("sink", "stopped"), ("sink", "stopped")]


async def test_what_a_cancelled_acknowledgement_has_placed_comes_again_marked() -> None:
    """X12: the lease was released while its outputs were being placed."""

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for _ in ctx:
            yield 1
            yield 2

    stage = Stage(body, out_capacity=1, hold=9)
    stage.feed("a")
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    first = [(e.payload, e.id, e.resent) for e in stage.envelopes()]
    assert first == [(1, "up:1", False)]
    stage.child.state = State.WAITING
    stage.end()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        again = [(e.payload, e.id, e.resent) for e in stage.envelopes()]
        await wait_all_tasks_blocked()
        again += [(e.payload, e.id, e.resent) for e in stage.envelopes()]
    assert again == [(1, "up:1", True), (2, "up:1/actor.2", False)]


async def test_outputs_count_over_all_outlets() -> None:
    """Named outputs are part of the same count: the second attempt knows them as placed."""
    wf = trouper.Workflow("w")
    seen: list[tuple[str, bool]] = []
    faults = Faults().fail("end", "relay")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1

    @wf.actor(depends_on="source", outputs={"alerts": str})
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        async for _ in ctx:
            await ctx.send("alert", to="alerts")
            yield "value"
            faults.at("end", "relay")

    async def note(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            assert ctx.message is not None
            seen.append((payload, ctx.message.resent))

    wf.actor(name="values", depends_on="relay")(note)
    wf.actor(name="alerts", depends_on="relay.alerts")(note)
    await wf.execute(harness=faults.harness())
    assert sorted(seen) == [("alert", False), ("alert", True), ("value", False), ("value", True)]
