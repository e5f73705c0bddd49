"""What a message carries: its context while it is handled, and its deadline."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.faults import Faults, deterministic
from harness.schedules import run_on_mock_clock, schedules
from harness.stage import BASE, Stage
from trouper import Backoff, MessageContext, RestartPolicy
from trouper.channels._context import message_context

QUICK = RestartPolicy(max_restarts=99, backoff=Backoff(min=0, max=0))


def mark(name: str, deadline: float | None = None) -> MessageContext:
    return msgspec.structs.replace(BASE, custom_context={"mark": name}, deadline=deadline)


def marked() -> str:
    return message_context.get().custom_context.get("mark", "base")


# -- context -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["receive", "async for", "batch", "keyed"])
async def test_the_context_is_bound_with_the_message(style: str) -> None:
    """X1, X14: in the handler, in its child tasks, and on what it sends."""
    seen: list[tuple[Any, str, str]] = []

    async def child(into: list[str]) -> None:
        into.append(marked())

    async def handle(ctx: trouper.ActorContext, payload: Any) -> None:
        into: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, into)
        seen.append((payload, marked(), into[0]))
        assert ctx.custom_context == dict(message_context.get().custom_context)
        await ctx.send(payload)

    async def iterating(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            await handle(ctx, payload)

    async def receiving(ctx: trouper.ActorContext) -> None:
        while True:
            await handle(ctx, await ctx.receive())

    async def batching(ctx: trouper.ActorContext) -> None:
        while True:
            [payload] = await ctx.receive_many(1)
            await handle(ctx, payload)

    body = {"receive": receiving, "batch": batching}.get(style, iterating)
    stage = Stage(body, keyed=style == "keyed", sources=("up", "more"))
    for name in ("a", "a", "b", "base", "c"):
        stage.feed(name, context=BASE if name == "base" else mark(name))
    await stage.live()
    payloads = [{"up": n} if style == "keyed" else n for n in ("a", "a", "b", "base", "c")]
    assert seen == [(p, n, n) for p, n in zip(payloads, ["a", "a", "b", "base", "c"], strict=True)]
    sent = [e.context.custom_context.get("mark", "base") for e in stage.envelopes()]
    assert sent == ["a", "a", "b", "base", "c"]


async def test_a_batch_of_several_origins_has_a_merged_context() -> None:
    """X2: first wins, in order."""
    seen: list[tuple[list[str], str]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            seen.append((await ctx.receive_many(10), marked()))

    stage = Stage(body)
    stage.feed("a", context=mark("a"))
    stage.feed("b", context=mark("b"))
    await stage.live()
    assert seen == [(["a", "b"], "a")]


@pytest.mark.parametrize("way_out", ["ok", "error", "retry", "cancel", "expired"])
async def test_the_context_is_gone_on_every_way_out(
    way_out: str, autojump_clock: MockClock
) -> None:
    """X13: the next incarnation, and the next message, never inherit it."""
    bound: list[str] = []
    lives = 0

    async def start(ctx: trouper.ActorContext) -> None:
        nonlocal lives
        lives += 1
        bound.append(f"start:{marked()}")

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            bound.append(f"{payload}:{marked()}")
            if payload == "first":
                match way_out:
                    case "error":
                        raise ValueError
                    case "retry" if lives == 1:
                        raise ValueError
                    case "cancel" if lives == 1:
                        # It runs, so it has one.
                        stage.child.scope.cancel()  # type: ignore[union-attr]
                        await trio.sleep(1)
                    case "expired":
                        await trio.sleep(99)
                    case _:
                        pass

    stage = Stage(body, start=start, policy=QUICK, max_attempts=2)
    stage.feed(
        "first", context=mark("x", trio.current_time() + 5 if way_out == "expired" else None)
    )
    stage.feed("second", context=BASE)
    await stage.live()
    assert set(bound) == {"start:base", "first:x", "second:base"}
    assert bound[-1] == "second:base"
    assert lives == {"ok": 1, "error": 3}.get(way_out, 2)
    assert marked() == "base"


async def test_an_actor_starts_from_the_runs_context_not_its_starters() -> None:
    bound: list[str] = []

    async def body(ctx: trouper.ActorContext) -> None:
        bound.append(marked())

    token = message_context.set(mark("the test's own"))
    try:
        await Stage(body).live()
    finally:
        message_context.reset(token)
    assert bound == ["base"]


@settings(max_examples=40, deadline=None)
@given(schedule=schedules())
def test_messages_of_two_runs_never_mix(schedule: object) -> None:
    """X1: whatever order the tasks run in."""
    run_on_mock_clock(_two_runs)


async def _two_runs() -> None:
    async def one(name: str) -> None:
        seen: list[tuple[str, str]] = []
        wf = trouper.Workflow("w")

        @wf.actor
        async def source(ctx: trouper.ActorContext) -> AsyncIterator[str]:
            for _ in range(5):
                yield name

        @wf.actor(depends_on="source", capacity=2, backoff=Backoff(min=0, max=0))
        async def relay(ctx: trouper.ActorContext) -> AsyncIterator[str]:
            async for message in ctx:
                faults.at("handle", "relay")
                await trio.lowlevel.checkpoint()
                yield message

        @wf.actor(depends_on="relay", capacity=1)
        async def sink(ctx: trouper.ActorContext) -> None:
            async for message in ctx:
                seen.append((message, ctx.custom_context["run"]))
                assert message_context.get().run == name

        faults = Faults().fail("handle", "relay", visits=(2, 4))
        context = trouper.RunContext(run_name=name, custom_context={"run": name})
        await wf.execute(run_context=context, harness=deterministic(operations=2))
        assert seen == [(name, name)] * 5

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "a")
        nursery.start_soon(one, "b")


# -- deadlines -----------------------------------------------------------------------------------


async def forward(ctx: trouper.ActorContext) -> None:
    async for payload in ctx:
        await ctx.send(payload)


@pytest.mark.parametrize("many", [False, True])
async def test_a_message_that_is_late_is_never_handled(
    many: bool, autojump_clock: MockClock
) -> None:
    """X2: it goes to the dead letters as expired; exactly at its deadline it is late."""
    seen: list[str] = []

    async def body(ctx: trouper.ActorContext) -> None:
        await trio.sleep(10)
        while True:
            seen.extend(await ctx.receive_many(9) if many else [await ctx.receive()])

    begun = trio.current_time()
    stage = Stage(body)
    for name, after in {"late": 9.0, "just late": 10.0, "in time": 10.5, "never": None}.items():
        stage.feed(name, context=mark(name, None if after is None else begun + after))
    stage.end()
    await stage.live()
    assert seen == ["in time", "never"]
    letters = [(letter.envelope.payload, letter.reason) for letter in stage.dead]
    assert letters == [("late", "expired"), ("just late", "expired")]
    assert stage.box.settled == {("up", "expired"): 2}


async def test_a_late_message_in_a_turn_among_lanes_is_given_up(
    autojump_clock: MockClock,
) -> None:
    """X2: also between messages of other lanes, which are handed out as if it had not been."""
    seen: list[Any] = []

    async def body(ctx: trouper.ActorContext) -> None:
        seen.extend([dict(message) async for message in ctx])

    stage = Stage(body, keyed=True, sources=("a", "b"))
    stage.feed("a1", "a2")
    stage.feed("late", lane=1, context=mark("late", trio.current_time()))
    await stage.live()
    assert seen == [{"a": "a1"}, {"a": "a2"}]
    assert [(letter.envelope.payload, letter.reason) for letter in stage.dead] == [
        ("late", "expired")
    ]


async def test_a_batch_of_late_messages_only_waits_for_the_next(autojump_clock: MockClock) -> None:
    seen: list[list[str]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        await trio.sleep(10)
        while True:
            seen.append(await ctx.receive_many(2))

    stage = Stage(body)
    stage.feed("a", "b", context=mark("x", trio.current_time() + 1))
    stage.feed("c")
    await stage.live()
    assert seen == [["c"]]
    assert len(stage.dead) == 2


async def test_a_handler_runs_under_its_messages_deadline(autojump_clock: MockClock) -> None:
    """DESIGN, Envelope: the handler is cut, the message expires, the actor goes on."""
    begun = trio.current_time()
    handled: list[tuple[str, float]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            try:
                await trio.sleep(10 if payload == "slow" else 1)
            finally:
                handled.append((payload, trio.current_time() - begun))

    stage = Stage(body)
    stage.feed("slow", context=mark("slow", begun + 3))
    stage.feed("quick", context=mark("quick", begun + 9))
    stage.feed("free")
    await stage.live()
    assert handled == [("slow", 3.0), ("quick", 4.0), ("free", 5.0)]
    assert [(letter.envelope.payload, letter.reason) for letter in stage.dead] == [
        ("slow", "expired")
    ]
    assert (stage.child.failed, stage.child.expired, stage.made) == (0, 1, 2)


async def test_a_deadline_ends_with_its_message(autojump_clock: MockClock) -> None:
    """X13: waiting for the next message, or handling it, is not under the last one's deadline."""
    seen: list[str] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(payload)
            if payload == "free":
                await trio.sleep(50)

    stage = Stage(body)
    stage.feed("quick", context=mark("quick", trio.current_time() + 3))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(10)
        stage.feed("free")
        await trio.sleep(20)
        stage.end()
    assert (seen, stage.made, stage.dead) == (["quick", "free"], 1, [])


async def test_a_batch_whose_deadline_passes_comes_back_one_by_one(
    autojump_clock: MockClock,
) -> None:
    """X2, X22: only those expire whose own deadline has passed; the others are handled."""
    batches: list[list[str]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(9)
            batches.append(batch)
            if len(batch) > 1:
                await trio.sleep(10)

    begun = trio.current_time()
    for order in (("short", "long", "free"), ("free", "long", "short")):
        batches.clear()
        stage = Stage(body)
        for name in order:
            after = {"short": 3.0, "long": 99.0, "free": math.inf}[name]
            deadline = None if after == math.inf else trio.current_time() + after
            stage.feed(name, context=mark(name, deadline))
        await stage.live()
        rest = [[name] for name in order if name != "short"]
        assert batches == [list(order), *rest]
        assert [letter.envelope.payload for letter in stage.dead] == ["short"]
        assert stage.ledger() == {"sent": 3, "queued": 0, "in hand": 0, "given up": 1}
    assert trio.current_time() - begun == 6.0


async def test_a_cancel_from_outside_before_the_deadline_releases(
    autojump_clock: MockClock,
) -> None:
    """X12: a deadline that has not passed makes no message expire."""

    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await trio.sleep_forever()

    stage = Stage(body)
    stage.feed("a", context=mark("a", trio.current_time() + 100))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (stage.ledger()["in hand"], stage.dead) == (1, [])


async def test_what_a_handler_sends_inherits_the_deadline(autojump_clock: MockClock) -> None:
    stage = Stage(forward)
    deadline = trio.current_time() + 7
    stage.feed("a", context=mark("a", deadline))
    stage.feed("b")
    await stage.live()
    assert [envelope.context.deadline for envelope in stage.envelopes()] == [deadline, None]
