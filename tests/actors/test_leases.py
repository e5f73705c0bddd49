"""Leases: which message is in hand, and what becomes of it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.loops import in_loop
from harness.stage import Stage
from trouper import Backoff, RestartPolicy
from trouper.actors._mailbox import InvalidMessage

QUICK = RestartPolicy(max_restarts=1000, backoff=Backoff(min=0, max=0))

Seen = list[tuple[Any, int]]


def in_hand(ctx: trouper.ActorContext, payload: Any) -> tuple[Any, int]:
    assert ctx.message is not None
    assert ctx.message.payload == payload
    return payload, ctx.message.attempt


async def test_asking_for_the_next_acknowledges_the_last() -> None:
    states: list[tuple[int, int]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        def note() -> None:
            ledger = stage.ledger()
            states.append((ledger["queued"], ledger["in hand"]))

        note()
        assert ctx.message is None
        for _ in range(3):
            await ctx.receive()
            note()

    stage = Stage(body)
    await stage.live(1, 2, 3)
    assert states == [(3, 0), (2, 1), (1, 1), (0, 1)]
    assert stage.ledger() == {"sent": 3, "queued": 0, "in hand": 0, "given up": 0}


@pytest.mark.parametrize("style", ["receive", "async for", "yield"])
async def test_a_crash_brings_the_message_back_first(style: str) -> None:
    """X10, B5t: the leased one comes first, attempt + 1; the queued ones follow in order."""
    seen: Seen = []

    def handle(ctx: trouper.ActorContext, payload: int) -> None:
        seen.append(in_hand(ctx, payload))
        if payload == 2 and seen[-1][1] == 1:
            raise ValueError("crash")

    async def receiving(ctx: trouper.ActorContext) -> None:
        while True:
            handle(ctx, await ctx.receive())

    async def iterating(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            handle(ctx, payload)

    async def yielding(ctx: trouper.ActorContext) -> Any:
        async for payload in ctx:
            handle(ctx, payload)
            yield payload

    bodies = {"receive": receiving, "async for": iterating, "yield": yielding}
    stage = await Stage(bodies[style], policy=QUICK).live(1, 2, 3)
    assert seen == [(1, 1), (2, 1), (2, 2), (3, 1)]
    assert stage.box.redelivered == 1
    assert stage.child.state.value == "done"


async def test_a_poison_message_goes_to_the_dead_letters_with_its_history() -> None:
    """D1: after max_attempts, and the actor goes on."""
    seen: Seen = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(in_hand(ctx, payload))
            if payload == "bad":
                raise ValueError(f"attempt {seen[-1][1]}")

    stage = await Stage(body, policy=QUICK, max_attempts=3).live("a", "bad", "b")
    assert seen == [("a", 1), ("bad", 1), ("bad", 2), ("bad", 3), ("b", 1)]
    [letter] = stage.dead
    assert (letter.node, letter.reason, letter.envelope.payload) == ("actor", "max_attempts", "bad")
    assert [failure.message for failure in letter.failures] == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]
    assert all("test_leases" in failure.where for failure in letter.failures)
    assert stage.ledger()["given up"] == 1
    assert not stage.failed


async def test_crashes_over_one_message_count_once() -> None:
    """DESIGN, Supervision: a poison message must not use up the restart intensity."""

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            if payload < 2:
                raise ValueError("poison")

    policy = RestartPolicy(max_restarts=2, backoff=Backoff(min=0, max=0))
    stage = await Stage(body, policy=policy, max_attempts=4).live(0, 1, 2)
    assert (stage.child.failed, len(stage.dead), stage.failed) == (8, 2, [])
    stage = await Stage(body, policy=RestartPolicy(max_restarts=1)).live(0, 1, 2)
    assert len(stage.failed) == 1


async def test_history_is_of_one_message_only() -> None:
    """The failures of an earlier message are forgotten with its acknowledgement."""

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            _, attempt = in_hand(ctx, payload)
            if attempt <= payload:
                raise ValueError(f"{payload}.{attempt}")

    stage = await Stage(body, policy=QUICK).live(2, 3)
    [letter] = stage.dead
    assert [failure.message for failure in letter.failures] == ["3.1", "3.2", "3.3"]


async def test_a_failed_batch_comes_back_one_by_one() -> None:
    """X22: only the message in hand counts; its innocent neighbours don't."""
    batches: list[list[int]] = []
    attempts: Seen = []

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(10)
            batches.append(batch)
            attempts.append(in_hand(ctx, batch[0]))
            if 3 in batch:
                raise ValueError("3 is bad")

    stage = await Stage(body, policy=QUICK).live(1, 2, 3, 4, 5)
    assert batches == [[1, 2, 3, 4, 5], [1], [2], [3], [3], [3], [4], [5]]
    assert attempts[1:] == [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (4, 1), (5, 1)]
    assert [letter.envelope.payload for letter in stage.dead] == [3]
    assert [failure.message for failure in stage.dead[0].failures] == ["3 is bad"] * 3


async def test_a_batch_is_at_most_so_long_and_in_order() -> None:
    batches: list[list[int]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        batches.extend([await ctx.receive_many(most) for most in (2, 1, 100)])
        with pytest.raises(ValueError, match="max >= 1, got 0"):
            await ctx.receive_many(0)

    stage = await Stage(body).live(*range(6))
    assert batches == [[0, 1], [2], [3, 4, 5]]
    assert stage.ledger()["in hand"] == 0


async def test_batches_of_several_upstreams_are_keyed() -> None:
    batches: list[dict[str, int]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            batches.extend(await ctx.receive_many(4))

    stage = Stage(body, sources=("a", "b"), keyed=True)
    stage.feed(1, 2, lane=0)
    stage.feed(3, 4, lane=1)
    await stage.live()
    assert sorted(next(iter(each.items())) for each in batches) == [
        ("a", 1),
        ("a", 2),
        ("b", 3),
        ("b", 4),
    ]


@pytest.mark.parametrize("many", [False, True])
async def test_cancellation_is_not_a_failure(many: bool) -> None:
    """X12: what was in hand is released: the same attempt comes again, in order."""
    seen: Seen = []

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(2) if many else [await ctx.receive()]
            seen.append(in_hand(ctx, batch[0]))
            if len(seen) == 1:
                await trio.sleep_forever()

    stage = Stage(body)
    stage.feed(1, 2, 3)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stage.ledger()["in hand"] == (2 if many else 1)
    assert (stage.child.failed, stage.dead) == (0, [])
    # The mailbox outlives the incarnation: another one takes over where it was cut.
    stage.child.state = type(stage.child.state).WAITING
    await stage.live()
    firsts = [payload for payload, _ in seen]
    assert seen[0] == seen[1] == (1, 1)
    assert firsts == [1, 1, 2, 3]


async def test_a_cancelled_nursery_of_the_body_releases_too() -> None:
    """X12: trio may raise a group of Cancelled."""

    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    stage = Stage(body)
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stage.ledger()["in hand"] == 1
    assert stage.child.failed == 0


async def test_a_group_from_the_body_rejects() -> None:
    seen: Seen = []

    async def fail() -> None:
        raise ValueError("inside")

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(in_hand(ctx, payload))
            if len(seen) == 1:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail)
                    nursery.start_soon(trio.sleep_forever)

    await Stage(body, policy=QUICK).live(1)
    assert seen == [(1, 1), (1, 2)]


async def test_a_cancelled_receive_takes_nothing(autojump_clock: MockClock) -> None:
    seen: list[int] = []

    async def body(ctx: trouper.ActorContext) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()
        with trio.move_on_after(0.01):
            await ctx.receive()
        stage.feed(1, 2)
        stage.end()
        seen.extend([payload async for payload in ctx])

    stage = Stage(body)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
    assert seen == [1, 2]


async def test_another_task_may_not_receive_meanwhile() -> None:
    """DESIGN, Leases: the lease belongs to the task that received."""
    refused: list[str] = []

    tried = trio.Event()

    async def other(ctx: trouper.ActorContext, scope: trio.CancelScope | None = None) -> None:
        for take in (ctx.receive, ctx.receive_many, aiter(ctx).__anext__, lambda: in_loop(ctx)):
            try:
                await take()
            except trio.BusyResourceError as error:
                refused.append(str(error))
        if scope is not None:
            scope.cancel()

    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other, ctx)
        await ctx.receive()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(other, ctx, scope)
                await ctx.receive()
        tried.set()

    stage = Stage(body)
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await tried.wait()
        stage.end()
    assert len(refused) == 8
    assert all("another task of 'actor'" in text for text in refused)
    assert stage.ledger() == {"sent": 2, "queued": 0, "in hand": 0, "given up": 0}


async def test_another_task_may_receive_when_nothing_is_in_hand(
    autojump_clock: MockClock,
) -> None:
    seen: list[int] = []

    async def other(ctx: trouper.ActorContext) -> None:
        seen.append(await ctx.receive())
        seen.append(await ctx.receive())

    async def body(ctx: trouper.ActorContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other, ctx)

    stage = await Stage(body).live(1, 2, 3)
    assert seen == [1, 2]
    assert stage.lanes[0].dropped == {"reader_ended": 1}


async def test_invalid_messages_go_to_the_dead_letters() -> None:
    """DESIGN, Typing: `validate`. They are no crash, and count no attempt."""

    def check(payload: Any, source: str) -> Any:
        if not isinstance(payload, int):
            raise InvalidMessage(f"{payload!r} of {source} is no int")
        return payload * 10

    seen: list[int] = []

    async def body(ctx: trouper.ActorContext) -> None:
        seen.append(await ctx.receive())
        seen.extend([payload async for payload in ctx])

    stage = await Stage(body, transform=check).live("x", 1, "y", 2, 3, "z")
    assert seen == [10, 20, 30]
    assert [letter.envelope.payload for letter in stage.dead] == ["x", "y", "z"]
    assert {letter.reason for letter in stage.dead} == {"invalid"}
    assert stage.dead[0].failures[0].message == "'x' of up is no int"
    assert stage.child.failed == 0


async def test_a_transform_that_crashes_is_a_crash() -> None:
    """`copy=True` of what can't be copied: the message must not vanish."""

    def copy(payload: Any, source: str) -> Any:
        if payload == "lock":
            raise TypeError("cannot pickle '_thread.lock' object")
        return payload

    seen: list[str] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(payload)  # noqa: PERF401  # what a crash interrupts must be noted by then

    stage = await Stage(body, transform=copy, policy=QUICK).live("a", "lock", "b")
    assert [letter.envelope.payload for letter in stage.dead] == ["lock"]
    assert stage.dead[0].failures[0].message == "cannot pickle '_thread.lock' object"
    assert seen == ["a", "b"]


async def test_what_is_left_at_the_end_is_accounted_for() -> None:
    """K2, X6: what was in hand and what is queued are dead letters, and counted."""

    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await trio.sleep_forever()

    stage = Stage(body)
    stage.feed(1, 2, 3)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        stage.child.retire()
    assert [(letter.envelope.payload, letter.reason) for letter in stage.dead] == [
        (1, "stopped"),
        (2, "stopped"),
        (3, "stopped"),
    ]
    assert stage.lanes[0].dropped == {"reader_ended": 2}
    assert stage.ledger() == {"sent": 3, "queued": 0, "in hand": 0, "given up": 1}
