"""Rules of demand and cancel, R1xx to R3xx, as they read where readers pull and nobody calls back.

A request is a `receive`; a subscription is a lane, or `run.stream`; a cancel is closing that
stream, or the end of the actor; a completion is `EndOfInput`; an error ends the run, and stands in
its result. Two rules read otherwise here: to ask after one's own cancel (R306) and to ask for less
than one (R309) are errors that change nothing, not silence.
"""

import random
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays
from harness.ids import assert_edges_closed


async def test_signals_to_one_reader_never_overlap(autojump_clock: MockClock) -> None:
    """R103: start, messages, failures and stop, over restarts too, with eight senders at once."""
    wf = trouper.Workflow("serial")
    running: list[str] = []
    seen: list[str] = []

    async def signal(what: str) -> None:
        assert not running, f"{what} overlaps {running}"
        running.append(what)
        await trio.sleep(random.random())
        running.clear()
        seen.append(what)

    class Reader:
        async def start(self, ctx: trouper.ActorContext) -> None:
            await signal("start")

        async def run(self, ctx: trouper.ActorContext) -> None:
            async for _ in ctx:
                await signal("message")
                if len(seen) % 7 == 0:
                    raise ValueError("now and then")
            await signal("end")

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            await signal("stop")

    names = [f"source{n}" for n in range(8)]
    for name in names:
        wf.actor(name=name)(counts(5, every=0.3))
    wf.add(Reader, depends_on=names, max_restarts=1000, max_attempts=None)
    result = await wf.execute()
    assert result.ok
    assert result.nodes["reader"].failed > 0
    assert seen.count("start") == seen.count("stop") == result.nodes["reader"].incarnation
    assert seen[-2:] == ["end", "stop"]
    assert seen.count("end") == 1
    assert_edges_closed(result)


@pytest.mark.parametrize("before", [0, 2])
async def test_a_reader_of_a_source_that_fails_is_subscribed_first(before: int) -> None:
    """R109: it gets what was sent, then the end; the failure is told once, by the result."""
    wf = trouper.Workflow("fails")
    error = OSError("no such device")

    @wf.actor(restart="temporary")
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(before):
            yield number
        raise error

    async with wf.open() as run:
        async with run.stream("source") as xs:
            got = [x async for x in xs]
        result = await run.wait()
    assert got == list(range(before))
    assert (result.status, result.error) == ("failed", error)
    assert len(result.nodes["source"].failures) == 1


async def test_a_reader_at_its_end_does_not_reach_back_to_its_sender() -> None:
    """R203: a stop hook that asks for more is told of the end again; its sender hears nothing."""
    wf = trouper.Workflow("ended")
    wf.actor(name="source")(counts(3))
    told: list[str] = []

    class Reader:
        async def run(self, ctx: trouper.ActorContext) -> None:
            async for _ in ctx:
                pass

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            for _ in range(2):
                with pytest.raises(trouper.EndOfInput):
                    await ctx.receive()
                told.append(reason)

    wf.add(Reader, depends_on="source")
    result = await wf.execute()
    assert told == ["normal", "normal"]
    assert (result.nodes["source"].incarnation, result.nodes["source"].sent) == (1, 3)
    [edge] = result.edges
    assert (edge.sent, edge.acknowledged) == (3, 3)


async def test_a_second_subscription_of_an_active_stream_is_refused(
    autojump_clock: MockClock,
) -> None:
    """R205: entering it again is refused, and the first reader misses nothing by that."""
    wf = trouper.Workflow("twice")
    wf.actor(name="numbers")(counts(6, every=1))
    async with wf.open() as run, run.stream("numbers") as xs:
        assert [await anext(aiter(xs)) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RuntimeError, match=r"call run\.stream\(\) again for another"):
            async with xs:
                pass
        assert [x async for x in xs] == [3, 4, 5]


@pytest.mark.parametrize("in_flight", [0, 1, 7, 64])
async def test_what_is_in_flight_when_a_reader_leaves_harms_nobody(in_flight: int) -> None:
    """R208: it is counted; the sender and the other reader go on."""
    wf = trouper.Workflow("leaves")
    left = trio.Event()
    got: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many(range(in_flight + 1))
        await left.wait()
        await ctx.send_many(range(in_flight + 1, 100))

    @wf.actor(depends_on={"source": trouper.Edge(capacity=100)})
    async def leaves(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await wait_all_tasks_blocked()
        left.set()

    wf.actor(name="stays", depends_on={"source": trouper.Edge(capacity=100)})(collects(got))
    result = await wf.execute()
    assert result.ok
    assert got == list(range(100))
    edges = {edge.target: edge for edge in result.edges}
    assert edges["leaves"].acknowledged == 1
    assert edges["leaves"].dropped == {"reader_ended": 99}
    assert edges["stays"].acknowledged == 100


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("asks_first", [False, True])
async def test_an_end_comes_with_or_without_a_request_before(asks_first: bool, fails: bool) -> None:
    """R209, R210: to a reader that waits already, and to one that asks only afterwards."""
    wf = trouper.Workflow("ends")
    asked = trio.Event()

    @wf.actor(restart="temporary")
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        if asks_first:
            await asked.wait()
        if fails:
            raise OSError("no data")
        for number in range(0):  # it is a generator, and yields nothing
            yield number

    async with wf.open() as run:
        async with run.stream("source") as xs, trio.open_nursery() as nursery:
            if asks_first:

                async def read() -> None:
                    with pytest.raises(StopAsyncIteration):
                        await anext(aiter(xs))

                nursery.start_soon(read)
                await wait_all_tasks_blocked()
                asked.set()
            else:
                await run.wait()
                with pytest.raises(StopAsyncIteration):
                    await anext(aiter(xs))
        assert (await run.wait()).status == ("failed" if fails else "completed")


async def test_leaving_twice_is_once_and_asking_after_it_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    """R306, R307: who asks on is told in trio's words, `ClosedResourceError`."""
    got: list[int] = []
    wf = trouper.Workflow("left")
    wf.actor(name="numbers")(counts(10, every=1))
    wf.actor(name="sink", depends_on="numbers")(collects(got))
    async with wf.open() as run:
        async with run.stream("numbers", capacity=1) as xs:
            assert await anext(aiter(xs)) == 0
            for _ in range(3):
                xs.close()
                with pytest.raises(trio.ClosedResourceError):
                    await anext(aiter(xs))
        result = await run.wait()
    assert result.ok
    assert got == list(range(10))
    assert [edge.dropped for edge in result.edges if edge.target == "sink"] == [{}]


@pytest.mark.parametrize("seed", range(10))
async def test_requests_add_up(seed: int) -> None:
    """R308, R101: one by one or many at once, the reader gets as many as it has asked for."""
    rng = random.Random(seed)
    wf = trouper.Workflow("adds-up")
    sent: list[int] = []
    asked = 0
    got: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        for number in range(300):
            await ctx.send(number)
            sent.append(number)

    @wf.actor(depends_on="source", capacity=rng.choice([1, 5, 64]))
    async def reader(ctx: trouper.ActorContext) -> None:
        nonlocal asked
        while True:
            await wait_all_tasks_blocked()  # as many as there is room for are there
            there = len(sent) - len(got)
            most = rng.choice([1, 1, 2, 3, 10])
            asked += min(most, max(1, there))
            got.extend([await ctx.receive()] if most == 1 else await ctx.receive_many(most))
            assert len(got) == asked

    harness = trouper.Harness(meter=partial(trouper.OperationMeter, 1_000_000))
    with trio.fail_after(60):
        result = await wf.execute(harness=harness)
    assert result.ok
    assert got == list(range(300))


async def test_a_stream_has_what_the_libraries_actors_never_had(autojump_clock: MockClock) -> None:
    """F2: back-pressure, buffer sizes, a strategy for drops, ends of channels, and going on in the
    middle of the stream after a crash. (Reconfiguring one that runs: docs/limits.md.)
    """
    wf = trouper.Workflow("f2")
    handled: list[int] = []
    newest: list[int] = []
    wf.actor(name="numbers")(counts(20))
    wf.actor(name="relay", depends_on="numbers", capacity=2)(relays())

    @wf.actor(depends_on={"relay": trouper.Edge(capacity=3)})
    async def slow(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            await trio.sleep(1)
            assert ctx.message is not None
            if number == 10 and ctx.message.attempt == 1:
                raise ConnectionError("in the middle")
            handled.append(number)

    edge = trouper.Edge(overflow="latest")
    wf.actor(name="screen", depends_on={"numbers": edge})(collects(newest, seconds=5))
    harness = trouper.Harness(meter=partial(trouper.OperationMeter, 8))
    result = await wf.execute(harness=harness)
    edges = {f"{edge.source}>{edge.target}": edge for edge in result.edges}
    assert result.ok
    assert handled == list(range(20))  # the crash lost nothing, and nothing began anew
    assert (edges["numbers>relay"].peak, edges["relay>slow"].peak) == (2, 3)
    assert edges["numbers>relay"].blocked > 10
    assert edges["numbers>screen"].dropped["latest"] > 0
    assert newest[-1] == 19
    assert {node.state for node in result.nodes.values()} == {"done"}
    assert_edges_closed(result)


@pytest.mark.parametrize("most", [0, -1])
async def test_a_request_for_less_than_one_is_an_error(most: int) -> None:
    """R309: it names the value, and takes nothing."""
    wf = trouper.Workflow("less")
    got: list[int] = []
    wf.actor(name="source")(counts(3))

    @wf.actor(depends_on="source")
    async def reader(ctx: trouper.ActorContext) -> None:
        with pytest.raises(ValueError, match=f"max >= 1, got {most}"):
            await ctx.receive_many(most)
        got.extend([number async for number in ctx])

    assert (await wf.execute()).ok
    assert got == [0, 1, 2]
