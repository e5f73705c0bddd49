"""Cycles end when they have run dry, and never before (case P19)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts, relays
from harness.faults import Faults
from harness.ids import assert_edges_closed
from harness.schedules import run_on_mock_clock, schedules

BACK = trouper.Edge(feedback=True)
ON = trouper.Edge()


def steps(rounds: int, done: list[Any], *, seconds: float = 0, faults: Any = None) -> Any:
    """A body that sends (number, lap) round until the lap is `rounds`."""

    async def step(ctx: trouper.ActorContext) -> AsyncIterator[tuple[Any, int]]:
        async for message in ctx:
            ((_, value),) = message.items()
            number, lap = value if isinstance(value, tuple) else (value, 0)
            if faults is not None:
                faults.at("handle", ctx.action.name)
            if seconds:
                await trio.sleep(seconds)
            if lap == rounds:
                done.append(number)
            else:
                yield number, lap + 1

    return step


def loop(n: int, rounds: int, done: list[Any], **options: Any) -> trouper.Workflow:
    """source -> head -> relay -> head."""
    wf = trouper.Workflow("loop")
    every, seconds = options.pop("every", 0), options.pop("seconds", 0)
    wf.actor(name="source")(counts(n, every=every))
    back = options.pop("back", BACK)
    wf.actor(name="head", depends_on={"source": ON, "relay": back}, **options)(steps(rounds, done))
    wf.actor(name="relay", depends_on="head")(relays(seconds=seconds))
    return wf


@pytest.mark.parametrize("rounds", [0, 1, 20])
@pytest.mark.parametrize("capacity", [1, 64])
async def test_a_cycle_ends_when_it_is_dry(
    rounds: int, capacity: int, autojump_clock: MockClock
) -> None:
    """P19: every message has made all of its laps."""
    done: list[int] = []
    with trio.fail_after(100):
        result = await loop(30, rounds, done, capacity=capacity).execute()
    assert result.status == "completed"
    assert sorted(done) == list(range(30))
    assert_edges_closed(result)


@pytest.mark.parametrize(("every", "seconds"), [(5, 0), (0, 5), (3, 7), (7, 3)])
async def test_slow_members_are_waited_for(
    every: float, seconds: float, autojump_clock: MockClock
) -> None:
    """P19: a message in hand keeps the cycle alive, and so does a source that is slow."""
    done: list[int] = []
    with trio.fail_after(1000):
        result = await loop(5, 3, done, every=every, seconds=seconds).execute()
    assert sorted(done) == list(range(5))
    assert result.seconds >= 3 * seconds
    assert_edges_closed(result)


async def test_a_feedback_edge_that_drops(autojump_clock: MockClock) -> None:
    done: list[int] = []
    back = trouper.Edge(feedback=True, capacity=2, overflow="drop_oldest", keep_dropped=True)
    with trio.fail_after(1000):
        result = await loop(40, 5, done, back=back).execute()
    lost = [letter.envelope.payload[0] for letter in result.dead_letters]
    assert sorted(done + lost) == list(range(40))
    assert_edges_closed(result)


@pytest.mark.parametrize("seed", range(5))
async def test_a_crash_in_a_cycle_loses_nothing(seed: int, autojump_clock: MockClock) -> None:
    """B5t: a message that comes again keeps the cycle alive."""
    faults = Faults(seed).fail_randomly("handle", "head", chance=0.15)
    done: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(20))
    wf.actor(
        name="head",
        depends_on={"source": ON, "relay": BACK},
        max_attempts=None,
        max_restarts=1000,
        backoff=trouper.Backoff(min=0.5),
    )(steps(3, done, faults=faults))
    wf.actor(name="relay", depends_on="head")(relays())
    with trio.fail_after(10_000):
        result = await wf.execute(harness=faults.harness())
    assert faults.injected
    assert set(done) == set(range(20))
    assert_edges_closed(result)


async def test_a_node_that_feeds_itself(autojump_clock: MockClock) -> None:
    done: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(5))
    wf.actor(name="self", depends_on={"source": ON, "self": BACK})(steps(4, done))
    with trio.fail_after(100):
        result = await wf.execute()
    assert sorted(done) == list(range(5))
    assert_edges_closed(result)


@pytest.mark.parametrize("rounds", [1, 6])
async def test_two_cycles_that_share_nodes(rounds: int, autojump_clock: MockClock) -> None:
    """P19: neither ends while the other may still feed it."""
    done: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(6, every=1))
    wf.actor(name="head", depends_on={"source": ON, "near": BACK, "far": BACK})(steps(rounds, done))
    wf.actor(name="near", depends_on="head")(relays(seconds=0.5))
    wf.actor(name="far", depends_on="head")(relays(seconds=4))
    with trio.fail_after(5000):
        result = await wf.execute()
    # Each lap doubles: both ways lead back.
    assert sorted(done) == sorted(list(range(6)) * 2**rounds)
    assert_edges_closed(result)


async def test_a_cycle_behind_a_cycle(autojump_clock: MockClock) -> None:
    done: list[Any] = []
    first: list[int] = []
    wf = loop(4, 2, first, seconds=3)
    wf.actor(name="second", depends_on={"relay": ON, "tail": BACK})(steps(3, done))
    wf.actor(name="tail", depends_on="second")(relays(seconds=2))
    with trio.fail_after(1000):
        result = await wf.execute()
    assert sorted(first) == list(range(4))
    # What the first cycle's relay passes on is (n, 1) and (n, 2).
    assert sorted(done) == sorted(list(range(4)) * 2)
    assert_edges_closed(result)


async def test_a_member_that_leaves_early_does_not_hold_up_the_others(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(5, every=1))

    @wf.actor(depends_on={"source": ON, "leaves": BACK, "stays": BACK})
    async def head(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for message in ctx:
            if "source" in message:
                yield message["source"]

    @wf.actor(depends_on="head")
    async def leaves(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield await ctx.receive()

    wf.actor(name="stays", depends_on="head")(relays())
    with trio.fail_after(100):
        result = await wf.execute()
    assert result.status == "completed"
    assert_edges_closed(result)


async def test_a_join_that_keeps_half_a_message_does_not_hold_up_the_end(
    autojump_clock: MockClock,
) -> None:
    """P19: its other half can't come any more."""
    done: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(3))
    wf.actor(name="extra")(counts(10, every=1))
    wf.actor(name="head", depends_on={"source": ON, "pair": BACK})(steps(0, done))
    wf.actor(name="pair", depends_on=["head", "extra"], fan_in="zip")(relays())
    with trio.fail_after(100):
        result = await wf.execute()
    assert sorted(done) == list(range(3))
    assert_edges_closed(result)


async def test_a_drained_cycle_finishes_its_laps(autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with loop(1000, 5, done, every=1, seconds=1).open() as run:
        await trio.sleep(10.5)
        result = await run.drain(200)
    assert result.status == "completed"
    assert len(done) >= 11
    assert sorted(done) == list(range(len(done)))
    assert_edges_closed(result)


@pytest.mark.parametrize("when", [0, 3.5])
async def test_what_comes_from_outside_enters_a_cycle(
    when: float, autojump_clock: MockClock
) -> None:
    done: list[Any] = []
    async with loop(4, 2, done, every=1).open() as run:
        await trio.sleep(when)
        await run.send("outside", to="head")
        result = await run.wait()
    assert set(done) == {0, 1, 2, 3, "outside"}
    assert_edges_closed(result)


def closed_loop(rounds: int, done: list[Any]) -> trouper.Workflow:
    """head -> relay -> head: no stream leads into it."""
    wf = trouper.Workflow("closed-loop")

    @wf.actor(depends_on={"relay": BACK})
    async def head(ctx: trouper.ActorContext) -> AsyncIterator[tuple[Any, int]]:
        async for message in ctx:
            number, lap = message if isinstance(message, tuple) else (message, 0)
            if lap == rounds:
                done.append(number)
            else:
                yield number, lap + 1

    wf.actor(name="relay", depends_on="head")(relays())
    return wf


@pytest.mark.parametrize("to", ["head", "relay"])
async def test_a_loop_fed_only_from_outside_stays_until_the_drain(
    to: str, autojump_clock: MockClock
) -> None:
    """P19: in an open run, messages from outside are the upstream of a loop without another."""
    done: list[Any] = []
    with trio.fail_after(1000):
        async with closed_loop(3, done).open() as run:
            for n in range(3):
                await trio.testing.wait_all_tasks_blocked()
                assert run.status().status == "running"
                assert done == list(range(n))
                await run.send(n, to=to)
            result = await run.drain()
    assert result.status == "completed"
    assert done == [0, 1, 2]
    assert_edges_closed(result)


async def test_a_loop_fed_from_outside_before_it_begins(autojump_clock: MockClock) -> None:
    """P19: the first message may come before any node has started."""
    done: list[Any] = []
    with trio.fail_after(1000):
        async with closed_loop(1, done).open() as run:
            await run.send("early", to="head")
            await trio.testing.wait_all_tasks_blocked()
            await run.send("late", to="head")
    assert done == ["early", "late"]


async def test_a_loop_drained_before_it_begins_ends(autojump_clock: MockClock) -> None:
    with trio.fail_after(1000):
        async with closed_loop(1, []).open() as run:
            result = await run.drain()
    assert result.status == "completed"
    assert result.seconds == 0


async def test_a_loop_that_nothing_can_feed_ends_at_once(autojump_clock: MockClock) -> None:
    with trio.fail_after(1000):
        result = await closed_loop(1, []).execute()
    assert result.status == "completed"


@settings(max_examples=25, deadline=None)
@given(
    schedule=schedules(),
    n=st.integers(0, 6),
    rounds=st.integers(0, 3),
    paces=st.tuples(*[st.sampled_from([0.0, 0.7, 2.0])] * 4),
    capacity=st.integers(1, 3),
)
def test_no_schedule_ends_a_cycle_early_or_never(
    schedule: Any, n: int, rounds: int, paces: tuple[float, ...], capacity: int
) -> None:
    """P19"""

    async def example() -> None:
        done: list[int] = []
        sink: list[Any] = []
        wf = trouper.Workflow()
        wf.actor(name="source")(counts(n, every=paces[0]))
        wf.actor(name="head", depends_on={"source": ON, "b": BACK, "c": BACK}, capacity=capacity)(
            steps(rounds, done, seconds=paces[1])
        )
        wf.actor(name="a", depends_on="head", capacity=capacity)(relays(seconds=paces[2]))
        wf.actor(name="b", depends_on="a", capacity=capacity)(relays())
        wf.actor(name="c", depends_on="a", capacity=capacity)(relays(seconds=paces[3]))
        wf.actor(name="sink", depends_on="c")(collects(sink))
        with trio.fail_after(10_000):
            result = await wf.execute()
        assert result.status == "completed"
        assert sorted(done) == sorted(list(range(n)) * 2**rounds)
        assert_edges_closed(result)

    run_on_mock_clock(example)
