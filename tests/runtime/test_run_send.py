"""Messages from outside: converted or refused, kept or handed back, never lost."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays, sleeps
from harness.ids import assert_edges_closed
from harness.schedules import run_on_mock_clock, schedules


class Point(msgspec.Struct):
    x: int


def typed(got: list[Any]) -> trouper.Workflow:
    wf = trouper.Workflow()

    @wf.actor
    async def points(ctx: trouper.ActorContext[Any, Any, Point, Any]) -> None:
        got.extend([point async for point in ctx])

    return wf


async def test_what_is_sent_is_converted() -> None:
    got: list[Any] = []
    async with typed(got).open() as run:
        await run.send({"x": 1})
        await run.send(Point(2), to="points")
    assert got == [Point(1), Point(2)]


# Wrong on purpose.
@pytest.mark.parametrize("wrong", [{"x": "1"}, {}, 5, None, Point("3")])  # type: ignore[arg-type]
async def test_a_wrong_type_is_refused_and_costs_nothing(wrong: Any) -> None:
    got: list[Any] = []
    async with typed(got).open() as run:
        await run.send({"x": 1})
        with pytest.raises(TypeError, match=r"'points' takes .*Point, not "):
            await run.send(wrong)
        await run.send({"x": 2})
    result = await run.wait()
    assert got == [Point(1), Point(2)]
    assert [(edge.source, edge.sent) for edge in result.edges] == [("@run", 2)]


async def test_a_node_is_named_by_name_or_by_object() -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    body = wf.actor(name="one")(collects(got))
    wf.actor(name="two")(collects(got))
    async with wf.open() as run:
        await run.send(1, to=body)
        await run.send(2, to="two")
        with pytest.raises(ValueError, match=r"name the node: .* without an upstream are \['one',"):
            await run.send(3)
        with pytest.raises(ValueError, match="there is no node 'tow'; did you mean 'two'"):
            await run.send(3, to="tow")
        with pytest.raises(ValueError, match="there is no node"):
            await run.send(3, to=object())
    assert sorted(got) == [1, 2]


async def test_a_batch_task_takes_no_messages() -> None:
    wf = trouper.Workflow()
    wf.task(name="batch")(sleeps(0))
    async with wf.open() as run:
        with pytest.raises(ValueError, match="'batch' is a batch task, which takes no messages"):
            await run.send(1, to="batch")
        with pytest.raises(ValueError, match="without an upstream are none"):
            await run.send(1)


@pytest.mark.parametrize("streams", [1, 2])
async def test_a_node_with_upstreams_takes_messages_too(
    streams: int, autojump_clock: MockClock
) -> None:
    """Keyed where the shape is keyed, then under `@run`; bare otherwise."""
    got: list[Any] = []
    wf = trouper.Workflow()
    names = [f"s{number}" for number in range(streams)]
    for name in names:
        wf.actor(name=name)(counts(1, every=5))
    wf.actor(name="sink", depends_on=names)(collects(got))
    async with wf.open() as run:
        await run.send("hello", to="sink")
        result = await run.wait()
    if streams == 1:
        assert sorted(got, key=str) == [0, "hello"]
    else:
        assert {key: value for each in got for key, value in each.items()} == {
            "s0": 0,
            "s1": 0,
            "@run": "hello",
        }
    assert_edges_closed(result)


async def test_a_join_checks_what_comes_from_outside_by_the_type_of_its_values(
    autojump_clock: MockClock,
) -> None:
    """No message of a wrong type gets in under `@run` either."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(1))
    wf.actor(name="b")(counts(1))

    @wf.actor(depends_on=["a", "b"])
    async def sink(ctx: trouper.ActorContext[Any, Any, Mapping[str, int], Any]) -> None:
        got.extend([message["@run"] async for message in ctx if "@run" in message])

    async with wf.open() as run:
        with pytest.raises(TypeError, match="'sink' takes int, not 'x'"):
            await run.send("x", to=sink)
        await run.send(7, to=sink)
        result = await run.wait()
    assert got == [7]
    assert result.dead_letters == ()
    assert_edges_closed(result)


async def test_batch_inputs_are_not_forgotten_for_a_message_from_outside(
    autojump_clock: MockClock,
) -> None:
    """Also if that came first."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(5, "inputs"))
    wf.actor(name="sink", depends_on="slow")(collects(got))
    async with wf.open() as run:
        await run.send("early", to="sink")
        await run.wait()
    assert sorted(got) == ["early", "inputs"]


@pytest.mark.parametrize("kind", ["zip", "latest"])
async def test_a_joining_node_needs_to_know_whom_a_message_stands_for(
    kind: Any, autojump_clock: MockClock
) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(1, every=100))
    wf.actor(name="b")(counts(0))
    wf.actor(name="c")(relays())

    @wf.actor(depends_on=["a", "c"], fan_in=kind)
    async def join(ctx: trouper.ActorContext[Any, Any, Mapping[str, int], Any]) -> None:
        while True:
            got.append(dict(await ctx.receive()))

    async with wf.open() as run:
        with pytest.raises(ValueError, match=r"source=\.\.\.\), one of 'a', 'c'"):
            await run.send(1, to="join")
        with pytest.raises(ValueError, match="'join' has no stream upstream 'd'"):
            await run.send(1, to="join", source="d")
        with pytest.raises(TypeError, match="'join' takes int, not 'x'"):
            await run.send("x", to="join", source="c")
        await run.send(7, to="join", source="c")
        await wait_all_tasks_blocked()
        assert got == [{"a": 0, "c": 7}]
    assert_edges_closed(await run.wait())


async def test_a_message_in_place_of_a_stream_that_has_ended_is_refused() -> None:
    wf = trouper.Workflow()

    @wf.actor
    async def short(ctx: trouper.ActorContext) -> None: ...

    got: list[Any] = []
    wf.actor(name="long")(relays())
    wf.actor(name="join", depends_on=["short", "long"])(collects(got))
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        with pytest.raises(trouper.NodeEnded, match="'join' takes nothing more"):
            await run.send(1, to="join", source="short")
        await run.send(2, to="join", source="long")
    assert got == [{"long": 2}]


async def test_a_full_inlet_makes_the_sender_wait(autojump_clock: MockClock) -> None:
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="slow", capacity=2)(collects(got, seconds=1))
    sent: list[float] = []
    async with wf.open() as run:
        for number in range(10):
            await run.send(number)
            sent.append(trio.current_time())
        assert run.status().edges[0].blocked > 5
    assert got == list(range(10))
    assert sent[-1] - sent[0] >= 6


async def test_as_many_may_stand_for_a_stream_as_like(autojump_clock: MockClock) -> None:
    """Back-pressure holds for `source=` too, for several senders at once."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(relays())
    wf.actor(name="b")(counts(0))
    wf.actor(name="sink", depends_on=["a", "b"], capacity=1)(collects(got, seconds=1))
    async with wf.open() as run, trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(partial(run.send, number, to="sink", source="a"))
    assert sorted(message["a"] for message in got) == list(range(8))
    assert_edges_closed(await run.wait())


async def test_an_inlet_that_may_fail_tells_the_sender() -> None:
    wf = trouper.Workflow()
    wf.actor(name="stuck", capacity=1, overflow="fail")(sleeps(1000))
    async with wf.open() as run:
        await run.send(1)
        with pytest.raises(trouper.BufferOverflow, match="edge @run -> stuck is full with 1"):
            await run.send(2)
        run.cancel()


async def test_a_node_that_has_ended_refuses(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    got: list[int] = []

    @wf.actor
    async def one(ctx: trouper.ActorContext) -> None:
        got.append(await ctx.receive())

    wf.actor(name="other")(relays())
    async with wf.open() as run:
        await run.send(1, to="one")
        await wait_all_tasks_blocked()
        with pytest.raises(trouper.NodeEnded, match=r"'one' takes nothing more \(it is done, the"):
            await run.send(2, to="one")
        await run.drain()
        with pytest.raises(trouper.NodeEnded, match="the run is draining"):
            await run.send(3, to="other")
    assert got == [1]
    assert issubclass(trouper.NodeEnded, trio.BrokenResourceError)


async def test_a_sender_that_waits_hears_that_the_node_has_ended(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()

    @wf.actor(capacity=1)
    async def one(ctx: trouper.ActorContext) -> None:
        await trio.sleep(1)

    accepted: list[int] = []
    async with wf.open() as run:
        with pytest.raises(trouper.NodeEnded):
            for number in range(3):
                await run.send(number)
                accepted.append(number)
    assert accepted == [0]


@settings(max_examples=40, deadline=None)
@given(
    schedule=schedules(),
    capacity=st.integers(0, 3),
    pace=st.sampled_from([0.0, 0.5, 1.0]),
    stop_at=st.sampled_from([0.0, 0.4, 1.0, 2.5]),
    beside=st.booleans(),
)
def test_what_was_accepted_is_handled_whatever_comes(
    schedule: Any, capacity: int, pace: float, stop_at: float, beside: bool
) -> None:
    """Senders that race with a drain: each is told the truth."""

    async def example() -> None:
        got: list[Any] = []
        accepted: list[int] = []
        wf = trouper.Workflow()
        depends_on: Mapping[str, trouper.Edge] = {"ticks": trouper.Edge()} if beside else {}

        @wf.actor
        async def ticks(ctx: trouper.ActorContext) -> AsyncIterator[str]:
            async for _ in ctx.every(0.7):
                yield "tick"

        wf.actor(name="sink", depends_on=depends_on, capacity=capacity)(collects(got, seconds=pace))

        async def send(run: trouper.LiveRun, number: int) -> None:
            try:
                await run.send(number, to="sink")
            except trouper.NodeEnded:
                return
            accepted.append(number)

        async with wf.open() as run, trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(send, run, number)
            await trio.sleep(stop_at)
            await run.drain(100)
        assert sorted(n for n in got if n != "tick") == sorted(accepted)
        assert_edges_closed(await run.wait())

    run_on_mock_clock(example)


async def test_cancelled_sends_leave_nothing_behind(autojump_clock: MockClock) -> None:
    """C5"""
    got: list[int] = []
    accepted: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="slow", capacity=1)(collects(got, seconds=1))
    async with wf.open() as run:
        for number in range(20):
            with trio.move_on_after(0.4):
                await run.send(number)
                accepted.append(number)
    assert got == accepted
    assert 5 < len(accepted) < 20
