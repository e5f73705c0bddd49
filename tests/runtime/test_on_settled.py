"""`ctx.on_settled`: a source is told what became of each of its messages, once."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.faults import deterministic
from harness.ids import assert_edges_closed
from trouper import ActorContext, Backoff, Settled, Workflow

QUICK = trouper.RestartPolicy(max_restarts=1000, backoff=Backoff(min=0, max=0))


def add_source(
    wf: Workflow, told: list[Settled], *xs: Any, name: str = "source", **options: Any
) -> None:
    """Add a source that sends these and lets `told` hear of each."""

    async def source(ctx: ActorContext) -> AsyncIterator[Any]:
        ctx.on_settled(told.append)
        for x in xs:
            yield x

    wf.actor(name=name, **options)(source)


def add_sink(wf: Workflow, bad: set[Any], depends_on: Any = "source", **options: Any) -> None:
    """Add a sink that fails over what is bad."""

    async def sink(ctx: ActorContext) -> None:
        async for x in ctx:
            if x in bad:
                raise ValueError(f"{x} is bad")

    wf.actor(name=options.pop("name", "sink"), depends_on=depends_on, restart=QUICK, **options)(
        sink
    )


def outcomes(told: list[Settled]) -> dict[Any, str]:
    assert max(Counter(each.id for each in told).values()) == 1, "told twice"
    return {each.payload: each.outcome for each in told}


async def test_each_message_is_told_once_with_its_id() -> None:
    """B3t: whatever number of readers; failed ones among the others."""
    wf, told = Workflow("three"), list[Settled]()
    add_source(wf, told, 1, 2, 3)
    for name, bad in (("one", set[int]()), ("two", {2}), ("three", {2, 3})):
        add_sink(wf, bad, name=name, max_attempts=2)
    result = await wf.execute()
    assert outcomes(told) == {1: "acknowledged", 2: "dead_lettered", 3: "dead_lettered"}
    by_payload = {each.payload: each for each in told}
    assert by_payload[2].id == "source:2"
    assert sorted(by_payload[2].reasons) == ["three: max_attempts", "two: max_attempts"]
    assert [by_payload[n].is_delivered for n in (1, 2, 3)] == [True, False, False]
    assert_edges_closed(result)


async def test_a_function_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """B2t: it is logged and counted; the others are told, and the nodes live."""
    wf, told = Workflow("raises"), list[int]()

    def tell(settled: Settled) -> None:
        told.append(settled.payload)
        if settled.payload == 2:
            raise OSError("no broker")

    @wf.actor
    async def source(ctx: ActorContext) -> AsyncIterator[int]:
        ctx.on_settled(tell)
        for n in (1, 2, 3):
            yield n

    add_sink(wf, set())
    with caplog.at_level(logging.ERROR, "trouper"):
        result = await wf.execute()
    assert (result.status, told) == ("completed", [1, 2, 3])
    assert [result.nodes[name].failed for name in ("source", "sink")] == [0, 0]
    assert [result.nodes[name].unheard for name in ("source", "sink")] == [1, 0]
    [line] = [record.getMessage() for record in caplog.records]
    assert "on_settled function of 'source' failed over source:2: OSError: no broker, at" in line
    assert_edges_closed(result)


async def ends(ctx: ActorContext) -> None:
    await ctx.receive()


async def crashes(ctx: ActorContext) -> None:
    async for _ in ctx:
        raise ValueError("no")


async def rejects(ctx: ActorContext) -> None:
    async for _ in ctx:
        ctx.reject("no")


async def has_a_helper_that_crashes(ctx: ActorContext) -> None:
    async def helper() -> None:
        raise ValueError("no")

    async for _ in ctx:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper)


async def returns_rubbish(ctx: ActorContext) -> Any:
    async for _ in ctx:
        pass
    return object()


async def rejects_batches(ctx: ActorContext) -> None:
    while True:
        await ctx.receive_many(8)
        ctx.reject("no")


BODIES: list[tuple[Callable[[ActorContext], Any], set[str]]] = [
    (ends, {"acknowledged", "dropped"}),
    (crashes, {"dead_lettered"}),
    (rejects, {"dead_lettered"}),
    (rejects_batches, {"dead_lettered"}),
    (has_a_helper_that_crashes, {"dead_lettered"}),
    (returns_rubbish, {"acknowledged"}),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=[body.__name__ for body, _ in BODIES])
async def test_whatever_a_handler_does_each_message_is_settled_once(
    body: Callable[[ActorContext], Any], expected: set[str]
) -> None:
    """B1t: and the run goes on."""
    wf, told = Workflow("bodies"), list[Settled]()
    add_source(wf, told, *range(4))
    wf.actor(name="sink", depends_on="source", max_attempts=2, restart=QUICK)(body)
    # However slow the machine is, all four are sent before a body may end.
    result = await wf.execute(harness=deterministic(operations=1000))
    assert set(outcomes(told).values()) == expected
    assert len(told) == 4
    assert result.status == "completed"
    assert_edges_closed(result)


async def test_a_failure_in_the_stop_hook_changes_nothing() -> None:
    """B4t: the message has failed all the same, once."""
    wf, told = Workflow("stop"), list[Settled]()
    add_source(wf, told, 1)

    class Sink:
        async def stop(self, ctx: ActorContext, reason: str) -> None:
            if reason == "failed":
                raise KeyError("in the hook")

        async def run(self, ctx: ActorContext) -> None:
            async for _ in ctx:
                raise ValueError("no")

    wf.add(Sink(), name="sink", depends_on="source", max_attempts=1)
    result = await wf.execute()
    assert outcomes(told) == {1: "dead_lettered"}
    assert result.status == "completed"


async def test_sends_of_every_kind_and_of_every_output_are_told() -> None:
    wf, told = Workflow("sends"), list[Settled]()

    @wf.actor(outputs={"more": int})
    async def source(ctx: ActorContext) -> AsyncIterator[int]:
        yield 0
        ctx.on_settled(told.append)
        yield 1
        await ctx.send(2)
        await ctx.send_many([3, 4])
        await ctx.send(5, to="more")
        await ctx.send_many((6, 7), to="more")
        ctx.on_settled(None)
        yield 8

    add_sink(wf, set())
    add_sink(wf, set(), "source.more", name="more")
    await wf.execute()
    assert {each.payload: each.id for each in told} == {
        **{n: f"source:{n + 1}" for n in (1, 2, 3, 4)},
        **{n: f"source.more:{n - 4}" for n in (5, 6, 7)},
    }


async def test_what_nobody_reads_is_settled_at_once() -> None:
    wf, told = Workflow("unread"), list[Settled]()
    add_source(wf, told, 1, 2)
    await wf.execute()
    assert [(each.payload, each.id, each.outcome) for each in told] == [
        (1, "source:0", "acknowledged"),
        (2, "source:0", "acknowledged"),
    ]


@pytest.mark.parametrize("fan_out", ["balance", trouper.Partition(lambda n: n)])
async def test_routed_messages_are_told(fan_out: Any) -> None:
    """V2: of each message there is one copy."""
    wf, told = Workflow("routed"), list[Settled]()
    add_source(wf, told, *range(6), fan_out=fan_out)
    for name in ("one", "two"):
        add_sink(wf, {4}, name=name, max_attempts=1)
    result = await wf.execute()
    assert outcomes(told) == {n: "dead_lettered" if n == 4 else "acknowledged" for n in range(6)}
    assert_edges_closed(result)


async def test_several_bodies_settle_each_its_own() -> None:
    """P22, V2: with concurrency, what each body makes descends from its own message."""
    wf, told = Workflow("workers"), list[Settled]()
    add_source(wf, told, *range(6))

    @wf.actor(depends_on="source", concurrency=3, max_attempts=1, restart=QUICK)
    async def work(ctx: ActorContext) -> AsyncIterator[int]:
        async for n in ctx:
            await trio.lowlevel.checkpoint()
            if n == 3:
                ctx.reject("bad")
            else:
                yield n

    add_sink(wf, {5}, "work", max_attempts=1)
    result = await wf.execute()
    assert outcomes(told) == {
        n: "dead_lettered" if n in (3, 5) else "acknowledged" for n in range(6)
    }
    assert_edges_closed(result)


async def test_a_source_that_begins_again_is_told_by_its_new_function() -> None:
    """What it had sent before is told to the function of that time."""
    wf = Workflow("again")
    told: list[tuple[int, int]] = []
    go_on = trio.Event()
    lives: list[int] = []

    @wf.actor(restart=QUICK)
    async def source(ctx: ActorContext) -> AsyncIterator[int]:
        life = len(lives)
        lives.append(life)
        if life < 2:
            ctx.on_settled(lambda settled: told.append((life, settled.payload)))
        yield 10 + life
        if life < 2:
            raise ValueError("again")

    @wf.actor(depends_on="source")
    async def sink(ctx: ActorContext) -> None:
        await go_on.wait()
        async for _ in ctx:
            pass

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        assert told == []
        go_on.set()
        await run.wait()
    assert told == [(0, 10), (1, 11)]  # the third life has not asked


async def test_a_drain_settles_everything_that_was_accepted(autojump_clock: MockClock) -> None:
    """B6t: what is queued, in a batch that is not full, or made while it drains; nothing later."""
    wf, told = Workflow("drain"), list[Settled]()
    sent: list[int] = []

    @wf.actor
    async def source(ctx: ActorContext) -> AsyncIterator[int]:
        ctx.on_settled(told.append)
        async for n in ctx.every(1):
            sent.append(n)
            yield n

    @wf.actor(depends_on="source")
    async def batches(ctx: ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(10)
            await trio.sleep(3)
            await ctx.send(sum(batch))

    @wf.actor(depends_on="batches")
    async def slow(ctx: ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep(5)

    async with wf.open() as run:
        await trio.sleep(10.5)
        before = len(told)
        result = await run.drain(60)
    assert before < len(sent) == len(told)
    assert set(outcomes(told).values()) == {"acknowledged"}
    assert result.status == "completed"
    assert_edges_closed(result)


async def test_what_a_drain_cannot_finish_is_abandoned(autojump_clock: MockClock) -> None:
    """X25, X12, B6t: acknowledged while it drains counts; the rest is given up when time is up."""
    wf, told = Workflow("budget"), list[Settled]()
    add_source(wf, told, *range(5))

    @wf.actor(depends_on="source")
    async def slow(ctx: ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep(4)

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        result = await run.drain(10)
    assert result.seconds == pytest.approx(10)
    assert outcomes(told) == dict(enumerate(["acknowledged"] * 2 + ["abandoned"] * 3))
    assert [letter.envelope.payload for letter in result.dead_letters] == [2, 3, 4]
    assert {letter.envelope.attempt for letter in result.dead_letters} == {1}
    assert_edges_closed(result)


async def test_one_that_waits_for_its_time_is_not_settled_yet(autojump_clock: MockClock) -> None:
    wf = Workflow("later")
    told: list[tuple[float, str]] = []
    start = trio.current_time()

    @wf.actor
    async def source(ctx: ActorContext) -> AsyncIterator[str]:
        ctx.on_settled(lambda s: told.append((trio.current_time() - start, s.payload)))
        yield "bad"
        yield "good"

    add_sink(wf, {"bad"}, max_attempts=2, redelivery_delay=30)
    await wf.execute()
    assert told == [(0, "good"), (30, "bad")]


MISUSE: list[tuple[Any, str]] = [
    (5, "takes a function of one Settled, or None, got 5"),
    (test_what_nobody_reads_is_settled_at_once, "takes a plain function, got the async"),
]


@pytest.mark.parametrize(("fn", "text"), MISUSE)
async def test_what_can_not_be_told_is_refused(fn: Any, text: str) -> None:
    wf = Workflow("refused")

    @wf.actor(restart="temporary")
    async def source(ctx: ActorContext) -> None:
        ctx.on_settled(fn)

    result = await wf.execute()
    assert isinstance(result.error, TypeError)
    assert text in str(result.error)
