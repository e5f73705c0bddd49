"""`ctx.ack`, `ctx.reject`, `ctx.release`: settled before the next message is asked for."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.stage import Stage
from trouper import ActorContext, Backoff, Envelope, RestartPolicy
from trouper.actors._later import Later

QUICK = RestartPolicy(max_restarts=1000, backoff=Backoff(min=0, max=0))
Body = Callable[[ActorContext], Awaitable[None]]


def message(ctx: ActorContext) -> Envelope[Any]:
    assert ctx.message is not None
    return ctx.message


@pytest.mark.parametrize("style", ["receive", "async for", "receive_many"])
async def test_an_acknowledged_message_is_settled_once(style: str) -> None:
    """B1t: neither the next ask nor a crash settles it again, and it is not in hand any more."""
    seen: list[int] = []

    def handle(ctx: ActorContext, n: int) -> None:
        seen.append(n)
        assert [*ctx.messages] == [message(ctx)]
        ctx.ack()
        assert not ctx.messages
        assert stage.ledger()["in hand"] == 0
        if n == 2:
            raise ValueError("over no message")

    async def body(ctx: ActorContext) -> None:
        if style == "async for":
            async for n in ctx:
                handle(ctx, n)
        while True:
            got = [await ctx.receive()] if style == "receive" else await ctx.receive_many(1)
            handle(ctx, got[0])

    stage = Stage(body, policy=QUICK)
    await stage.live(1, 2, 3)
    assert seen == [1, 2, 3]
    assert stage.dead == []
    assert stage.child.failed == 1
    assert stage.box.redelivered == 0


async def test_outputs_after_an_early_acknowledgement_are_messages_of_their_own() -> None:
    async def body(ctx: ActorContext) -> None:
        async for n in ctx:
            await ctx.send(n)
            ctx.ack()
            await ctx.send(-n)

    stage = await Stage(body).live(1, 2)
    assert [(each.payload, each.id) for each in stage.envelopes()] == [
        (1, "up:1"),
        (-1, "actor:2"),
        (2, "up:2"),
        (-2, "actor:4"),
    ]


async def test_a_rejected_message_comes_next_and_is_a_dead_letter_in_the_end() -> None:
    """B1t, D1: as after a crash, without one; the reasons stand in its history."""
    seen: list[tuple[str, int]] = []

    async def body(ctx: ActorContext) -> None:
        async for x in ctx:
            seen.append((x, message(ctx).attempt))
            if x == "bad":
                ctx.reject(f"attempt {message(ctx).attempt}")
                assert ctx.message is None
            elif x == "worse":
                ctx.reject(KeyError("worse"))

    stage = await Stage(body, max_attempts=2).live("a", "bad", "b", "worse")
    assert seen == [("a", 1), ("bad", 1), ("bad", 2), ("b", 1), ("worse", 1), ("worse", 2)]
    bad, worse = stage.dead
    assert [str(failure) for failure in bad.failures] == [
        "Rejected: attempt 1",
        "Rejected: attempt 2",
    ]
    assert [(each.number, each.node) for each in bad.attempts] == [(1, "actor"), (2, "actor")]
    assert 0 < bad.attempts[0].at <= bad.attempts[1].at <= bad.at
    assert worse.failures[0].type == "KeyError"
    assert (bad.id, bad.reason, stage.box.rejected) == ("up:2", "max_attempts", 4)
    assert (stage.child.failed, stage.child.incarnation) == (0, 1)


async def test_released_is_not_rejected() -> None:
    """X26, X12: it comes again with the same attempt, and is counted apart."""
    seen: list[tuple[int, int]] = []

    async def body(ctx: ActorContext) -> None:
        async for n in ctx:
            seen.append((n, message(ctx).attempt))
            if len(seen) < 6:
                ctx.release()

    stage = await Stage(body, max_attempts=1).live(1, 2)
    assert seen == [(1, 1)] * 6 + [(2, 1)]
    assert (stage.box.released, stage.box.rejected, stage.box.redelivered) == (5, 0, 5)
    assert stage.dead == []


async def test_a_batch_is_settled_envelope_by_envelope() -> None:
    """V3: rejected out of order, they come again in that order; none is lost."""
    seen: list[tuple[str, int]] = []
    acknowledged: list[str] = []

    async def body(ctx: ActorContext) -> None:
        while True:
            await ctx.receive_many(10)
            batch = ctx.messages
            seen.extend((each.payload, each.attempt) for each in batch)
            if len(batch) == 1:
                acknowledged.append(batch[0].payload)
                ctx.ack(batch[0])
                continue
            foo, bar, ok, baz = batch
            for each in (baz, bar, foo):
                ctx.reject("not now", each)
            assert ctx.messages == (ok,)
            assert message(ctx) == ok
            ctx.ack(ok)
            acknowledged.append(ok.payload)
            assert not ctx.messages

    stage = await Stage(body).live("foo", "bar", "ok", "baz")
    assert seen[4:] == [("baz", 2), ("bar", 2), ("foo", 2)]
    assert acknowledged == ["ok", "baz", "bar", "foo"]
    assert stage.ledger() == {"sent": 4, "queued": 0, "in hand": 0, "given up": 0}


@pytest.mark.parametrize("how", ["reject", "release", "crash"])
async def test_a_batch_that_is_given_back_whole_comes_again_one_by_one(how: str) -> None:
    """X22: nobody knows which one was at fault, so no attempt counts yet."""
    seen: list[tuple[tuple[int, ...], int]] = []

    async def body(ctx: ActorContext) -> None:
        while True:
            got = await ctx.receive_many(10)
            seen.append((tuple(got), message(ctx).attempt))
            if len(got) == 1:
                continue
            if how == "reject":
                ctx.reject("all of it")
            elif how == "release":
                ctx.release()
            else:
                raise ValueError("all of it")

    await Stage(body, policy=QUICK).live(1, 2, 3)
    assert seen == [((1, 2, 3), 1), ((1,), 1), ((2,), 1), ((3,), 1)]


async def test_after_the_first_of_a_batch_outputs_descend_from_the_next() -> None:
    async def body(ctx: ActorContext) -> None:
        while True:
            await ctx.receive_many(10)
            for envelope in ctx.messages:
                await ctx.send(envelope.payload)
                await ctx.send(-envelope.payload)
                ctx.ack(envelope)

    for keyed in (False, True):
        stage = await Stage(body, keyed=keyed).live(1, 2)
        ids = [each.id for each in stage.envelopes()]
        via = "up>actor" if keyed else "actor"
        first = "/up>actor.1" if keyed else ""
        assert ids == [f"up:1{first}", f"up:1/{via}.2", f"up:2{first}", f"up:2/{via}.2"]


async def test_what_is_left_of_a_batch_comes_again_after_a_crash() -> None:
    """X22: what was acknowledged does not."""
    seen: list[list[int]] = []

    async def body(ctx: ActorContext) -> None:
        while True:
            seen.append(await ctx.receive_many(10))
            if len(seen) == 1:
                ctx.ack(ctx.messages[1])
                raise ValueError("between")

    await Stage(body, policy=QUICK).live(1, 2, 3)
    assert seen == [[1, 2, 3], [1], [3]]


MISUSE: list[tuple[str, Callable[[ActorContext], None], type[Exception], str]] = [
    ("nothing yet", lambda ctx: ctx.ack(), RuntimeError, r"ctx\.ack\(\): 'actor' has no message"),
    ("nothing yet", lambda ctx: ctx.reject("x"), RuntimeError, "has no message in hand"),
    ("nothing yet", lambda ctx: ctx.release(), RuntimeError, "settled once"),
    ("in hand", lambda ctx: ctx.ack(Envelope(9, "up", 9)), ValueError, "have message 'up:9' in"),
    ("in hand", lambda ctx: ctx.release(Envelope(9, "up", 9)), ValueError, "it has 'up:1'"),
    ("in hand", lambda ctx: ctx.ack("x"), TypeError, "takes an envelope, such as ctx.message"),  # type: ignore[arg-type]  # misuse
    ("in hand", lambda ctx: ctx.reject(""), TypeError, "takes the reason, a text or an exception"),
    ("in hand", lambda ctx: ctx.reject(None), TypeError, "got None"),  # type: ignore[arg-type]  # misuse
    ("settled", lambda ctx: ctx.ack(), RuntimeError, "has no message in hand"),
]


@pytest.mark.parametrize(("when", "call", "error", "text"), MISUSE)
async def test_misuse_is_told(
    when: str, call: Callable[[ActorContext], None], error: type[Exception], text: str
) -> None:
    """What is refused changes nothing."""
    told: list[str] = []

    async def body(ctx: ActorContext) -> None:
        if when != "nothing yet":
            await ctx.receive()
        if when == "settled":
            ctx.release()
        with pytest.raises(error, match=text) as caught:
            call(ctx)
        told.append(str(caught.value))
        with pytest.raises(trouper.EndOfInput):
            while True:
                await ctx.receive()

    stage = await Stage(body).live(1)
    assert len(told) == 1
    assert stage.ledger() == {"sent": 1, "queued": 0, "in hand": 0, "given up": 0}


async def test_held_outputs_need_the_next_ask() -> None:
    """An early acknowledgement places nothing, for that may have to wait."""
    refused: list[str] = []

    async def body(ctx: ActorContext) -> None:
        async for n in ctx:
            if n == 1:
                ctx.ack()
                continue
            await ctx.send(n)
            with pytest.raises(RuntimeError) as caught:
                ctx.ack()
            refused.append(str(caught.value))

    stage = await Stage(body, hold=8).live(1, 2)
    assert stage.sent() == [2]
    assert "can't place the outputs that 'actor' holds back" in refused[0]


def test_a_context_made_by_hand_has_nothing_in_hand() -> None:
    context: ActorContext = ActorContext()
    with pytest.raises(RuntimeError, match="no message in hand"):
        context.ack()
    with pytest.raises(NotImplementedError, match="connected to no run"):
        context.on_settled(print)
    assert context.messages == ()


# -- later -----------------------------------------------------------------------------------


def later_stage(body: Body, delay: float = 10, most: float = 64, **options: Any) -> Stage:
    stage = Stage(body, policy=QUICK, **options)
    stage.box.later = Later(lambda failed: delay * failed, most)
    return stage


@pytest.mark.parametrize("style", ["receive", "async for", "receive_many"])
@pytest.mark.parametrize("how", ["reject", "crash"])
async def test_others_go_on_while_a_message_waits(
    autojump_clock: MockClock, how: str, style: str
) -> None:
    """X21: it comes again when its time has come, before new ones."""
    seen: list[tuple[float, int]] = []
    start = trio.current_time()

    def handle(ctx: ActorContext, n: int) -> None:
        seen.append((trio.current_time() - start, n))
        if n == 1 and message(ctx).attempt < 3:
            if how == "crash":
                raise ValueError("not yet")
            ctx.reject("not yet")

    async def body(ctx: ActorContext) -> None:
        if style == "async for":
            async for n in ctx:
                handle(ctx, n)
        while True:
            got = [await ctx.receive()] if style == "receive" else await ctx.receive_many(1)
            handle(ctx, got[0])

    stage = later_stage(body)
    stage.feed(1, 2)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(15)
        stage.feed(3)
        assert stage.ledger()["in hand"] == 1  # it waits out its second delay
        stage.end()
    assert seen == [(0, 1), (0, 2), (10, 1), (15, 3), (30, 1)]
    assert stage.ledger() == {"sent": 3, "queued": 0, "in hand": 0, "given up": 0}


async def test_no_delay_is_none_at_all(autojump_clock: MockClock) -> None:
    """V3: as without the option, it comes before new messages."""
    seen: list[int] = []

    async def body(ctx: ActorContext) -> None:
        async for n in ctx:
            seen.append(n)
            if message(ctx).attempt == 1:
                ctx.reject("again")

    await later_stage(body, delay=0).live(1, 2)
    assert seen == [1, 1, 2, 2]


async def test_a_released_message_waits_too(autojump_clock: MockClock) -> None:
    """X26: as after a first failure; else "not now" would be asked again at once."""
    seen: list[float] = []

    async def body(ctx: ActorContext) -> None:
        async for _ in ctx:
            seen.append(trio.current_time() - start)
            if len(seen) < 4:
                ctx.release()

    start = trio.current_time()
    stage = await later_stage(body).live("x")
    assert seen == [0, 10, 20, 30]
    assert stage.box.released == 3


async def test_no_new_message_is_taken_while_too_many_wait(autojump_clock: MockClock) -> None:
    """X21: messages that wait do not go round the bound of the edge."""
    seen: list[tuple[float, int]] = []
    start = trio.current_time()

    async def body(ctx: ActorContext) -> None:
        async for n in ctx:
            seen.append((trio.current_time() - start, n))
            if message(ctx).attempt == 1:
                ctx.reject("not yet")

    await later_stage(body, most=2).live(1, 2, 3)
    assert seen == [(0, 1), (0, 2), (10, 1), (10, 2), (10, 3), (20, 3)]


async def test_what_waits_at_the_end_is_a_dead_letter(autojump_clock: MockClock) -> None:
    """K2, X12: abandoned with its history."""

    async def body(ctx: ActorContext) -> None:
        async for _ in ctx:
            ctx.reject("no")

    stage = later_stage(body)
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        stage.child.retire()
    [letter] = stage.dead
    assert (letter.reason, letter.envelope.attempt) == ("stopped", 2)
    assert [each.number for each in letter.attempts] == [1]


async def test_only_one_task_waits_for_what_comes_later(autojump_clock: MockClock) -> None:
    async def body(ctx: ActorContext) -> None:
        await ctx.receive()
        ctx.release()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.receive)
            await trio.sleep(1)
            with pytest.raises(trio.BusyResourceError):
                await ctx.receive()

    stage = await later_stage(body, most=1).live("x")
    assert stage.child.state.value == "done"
    assert stage.child.failed == 0


def test_due_messages_keep_their_order() -> None:
    later = Later[str](lambda failed: failed, 2)
    assert not later.add("at once", failed=0, now=0)
    for name, failed in (("c", 2), ("a", 1), ("b", 1)):
        assert later.add(name, failed=failed, now=0)
    assert later.is_full()
    assert later.waiting() == ["a", "b", "c"]
    assert later.next_at == 1
    assert later.take_due(0.5) == []
    assert later.take_due(1) == ["a", "b"]
    assert not later.is_full()
    assert len(later) == 1
