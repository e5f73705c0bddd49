"""Messages in and out of an actor, in the forms that other tests don't come by."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.faults import Faults, deterministic
from harness.ids import Item, Ledger, assert_edges_closed
from harness.loops import in_loop
from harness.stage import BASE, Stage
from trouper import Backoff, MessageContext, RestartPolicy
from trouper.actors._child import Child
from trouper.actors._mailbox import Mailbox
from trouper.channels._context import message_context
from trouper.channels._lane import Lane

QUICK = RestartPolicy(max_restarts=99, backoff=Backoff(min=0, max=0))


# -- bases ---------------------------------------------------------------------------------------


async def test_the_bases_do_nothing_by_themselves() -> None:
    class MyTask(trouper.Task[None, None, int, int]):
        async def execute(self, ctx: trouper.TaskContext[None, None, int]) -> int:
            # That it does nothing is tested.
            return await super().execute(ctx)  # type: ignore[safe-super]

    class MyActor(trouper.Actor[None, None, int, int]):
        def run(self, ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
            return super().run(ctx)  # type: ignore[safe-super]  # likewise

    with pytest.raises(NotImplementedError):
        await MyTask().execute(trouper.TaskContext[None, None, int](inputs=1))
    with pytest.raises(NotImplementedError):
        MyActor().run(trouper.ActorContext[None, None, int, int](inputs=1))
    with pytest.raises(NotImplementedError):
        nobody: Any = None
        await Child("child", RestartPolicy()).incarnate(nobody)
    assert not Child("child", RestartPolicy()).may_go_on()
    assert Child("child", RestartPolicy()).has_progressed()


async def test_a_context_made_by_hand_refuses_a_named_output_too() -> None:
    context = trouper.ActorContext[None, None, int, int](inputs=1)
    with pytest.raises(NotImplementedError, match="connected to no run"):
        await context.send(1, to="alerts")


# -- outputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
async def test_an_output_that_was_not_declared_is_named(many: bool) -> None:
    caught: list[str] = []
    wf = trouper.Workflow("w")

    @wf.actor(outputs={"alerts": str, "audit": str})
    async def monitor(ctx: trouper.ActorContext) -> None:
        try:
            await (ctx.send_many(["x"], to="alarms") if many else ctx.send("x", to="alarms"))
        except KeyError as error:
            caught.append(str(error.args[0]))

    assert (await wf.execute()).ok
    [text] = caught
    assert text.startswith("'monitor' has no output 'alarms' (declared: alerts, audit)")


async def test_an_actor_without_named_outputs_says_so() -> None:
    stage = Stage(lambda ctx: ctx.send("x", to="alarms"), policy=RestartPolicy(max_restarts=0))
    await stage.live()
    assert "(declared: none)" in str(stage.failed[0][0])


# -- batches from hand to hand -------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
async def test_batches_go_from_hand_to_hand(crash: bool) -> None:
    """X22, P11: a batch taken while its reader waits is settled like any other."""
    ledger, faults = Ledger(), Faults()
    batches: list[int] = []
    if crash:
        faults.fail("batch", "relay", visits=(1, 3))
    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        for start in range(0, 60, 6):
            items = [Item(f"source-{n}", n) for n in range(start, start + 6)]
            ledger.offered.update(item.id for item in items)
            await wait_all_tasks_blocked()
            await ctx.send_many(items)
            ledger.accepted.update(item.id for item in items)

    @wf.actor(depends_on="source", backoff=Backoff(min=0, max=0))
    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(16)
            batches.append(len(batch))
            assert ctx.message is not None
            assert ctx.message.payload is batch[0]
            faults.at("batch", "relay")
            await ctx.send_many(batch)

    wf.actor(depends_on="relay")(ledger.sink())
    result = await wf.execute(harness=faults.harness())
    assert result.ok
    assert max(batches) == 6
    ledger.assert_exactly_once()
    ledger.assert_accounted(result)
    assert result.nodes["relay"].redelivered == (7 if crash else 0)
    assert ledger.sinks["sink"].order == [f"source-{n}" for n in range(60)]


async def test_a_batch_of_one_from_hand_to_hand_counts_its_attempt() -> None:
    seen: list[tuple[list[int], int]] = []
    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await wait_all_tasks_blocked()
        await ctx.send_many([7])

    @wf.actor(depends_on="source")
    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many()
            assert ctx.message is not None
            seen.append((batch, ctx.message.attempt))
            if len(seen) == 1:
                raise ValueError

    assert (await wf.execute()).ok
    assert seen == [([7], 1), ([7], 2)]


@pytest.mark.parametrize("late", [False, True])
async def test_a_batch_from_hand_to_hand_has_its_context(
    late: bool, autojump_clock: MockClock
) -> None:
    """X1, X2: also with a deadline, looked at when it is taken up."""
    seen: list[tuple[list[str], str]] = []

    async def source(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await wait_all_tasks_blocked()
            await ctx.send_many([message, message.upper()])

    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(8)
            seen.append((batch, ctx.custom_context.get("mark", "none")))

    wf = trouper.Workflow("w")
    wf.actor(name="source")(source)
    wf.actor(name="relay", depends_on="source")(relay)
    deadline = trio.current_time() + (0 if late else 60)
    async with wf.open() as run:
        await run.send("a", to="source")
        await wait_all_tasks_blocked()
        context = MessageContext(run="r", custom_context={"mark": "b"}, deadline=deadline)
        token = message_context.set(context)
        await run.send("b", to="source")
        message_context.reset(token)
        result = await run.drain()
    timely = [(["a", "A"], "none")]
    assert seen == (timely if late else [*timely, (["b", "B"], "b")])
    assert_edges_closed(result)


# -- messages that are given up within a chunk ---------------------------------------------------


@pytest.mark.parametrize("style", ["receive", "async for"])
@pytest.mark.parametrize("last", [True, False])
async def test_late_messages_among_others(
    style: str, last: bool, autojump_clock: MockClock
) -> None:
    """X2: the fast path of a chunk sees them too."""
    seen: list[str] = []

    async def receiving(ctx: trouper.ActorContext) -> None:
        while True:
            seen.append(await ctx.receive())
            await trio.sleep(1)

    async def iterating(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(payload)
            await trio.sleep(1)

    stage = Stage(receiving if style == "receive" else iterating)
    late = MessageContext(run="r", deadline=trio.current_time() + 0.5)
    stage.feed("a")
    stage.feed("late", "late too", context=late)
    stage.feed(*([] if last else ["b"]))
    await stage.live()
    assert seen == (["a"] if last else ["a", "b"])
    assert [letter.envelope.payload for letter in stage.dead] == ["late", "late too"]


async def test_a_mailbox_without_an_actor_has_no_scope(autojump_clock: MockClock) -> None:
    """Deadlines bind nothing then; messages still expire."""
    box = Mailbox("box")
    lane = Lane("up", "box", box)
    box.add_lane(lane)
    for number, deadline in enumerate([None, trio.current_time() + 9]):
        lane.place(number, MessageContext(run="r", deadline=deadline), None, False)
    lane.end()
    assert [await box.take_slow(), await box.take_slow()] == [0, 1]
    with pytest.raises(trouper.EndOfInput):
        await box.take_slow()
    assert box.in_hand() == {}
    message_context.set(BASE)


# -- joined messages -----------------------------------------------------------------------------


@pytest.mark.parametrize("fan_in", ["zip", "latest"])
async def test_a_joined_message_is_leased_like_any_other(fan_in: Any) -> None:
    """P16: a crash brings it back; given up, each of its parts is counted."""
    seen: list[tuple[dict[str, int], int]] = []
    wf = trouper.Workflow("w")

    async def numbers(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(3):
            yield number
            await wait_all_tasks_blocked()

    wf.actor(name="a")(numbers)
    wf.actor(name="b")(numbers)

    @wf.actor(depends_on=["a", "b"], fan_in=fan_in, max_attempts=2, backoff=Backoff(min=0, max=0))
    async def join(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            assert ctx.message is not None
            seen.append((dict(message), ctx.message.attempt))
            if message == {"a": 1, "b": 1}:
                raise ValueError("poison")

    result = await wf.execute(harness=deterministic())
    assert result.ok
    assert_edges_closed(result)
    poison = [attempt for message, attempt in seen if message == {"a": 1, "b": 1}]
    assert poison == [1, 2]
    [letter] = result.dead_letters
    assert letter.envelope.payload == {"a": 1, "b": 1}
    dead = {edge.source: edge.dead_lettered for edge in result.edges}
    assert sum(dead.values()) >= 1
    if fan_in == "zip":
        assert dead == {"a": 1, "b": 1}
        assert [message for message, attempt in seen if attempt == 1] == [
            {"a": n, "b": n} for n in range(3)
        ]


# -- one iterator for all loops ------------------------------------------------------------------


async def test_a_loop_of_another_task_is_refused_although_more_is_at_hand() -> None:
    """DESIGN, Leases: the lease belongs to the task that received, in whichever loop."""
    seen: list[int] = []

    async def other(ctx: trouper.ActorContext) -> None:
        with pytest.raises(trio.BusyResourceError):
            await in_loop(ctx)

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            seen.append(payload)
            break
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other, ctx)
        seen.extend([payload async for payload in ctx])

    stage = await Stage(body, policy=QUICK).live(1, 2, 3, 4)
    assert (seen, stage.child.failed) == ([1, 2, 3, 4], 0)


async def test_a_batch_after_a_skipped_message_expects_no_resent_outputs() -> None:
    """A message handled again has outputs that were placed before; the batch after it has none."""
    faults = Faults().fail("sent")

    async def body(ctx: trouper.ActorContext) -> None:
        while True:
            for payload in await ctx.receive_many(4):
                await ctx.send(payload)
                faults.at("sent", "actor")

    stage = Stage(body, policy=QUICK)
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        stage.feed(2, 3)
        stage.end()
    sent = [(envelope.payload, envelope.resent) for envelope in stage.envelopes()]
    assert sent == [(1, False), (1, True), (2, False), (3, False)]


async def test_what_joins_are_waiting_with_is_in_hand() -> None:
    """DESIGN, ledger: a value that `latest` has taken up, but not handed out yet, is leased."""
    wf = trouper.Workflow("w")

    @wf.actor
    async def quick(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1

    @wf.actor
    async def never(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await trio.Event().wait()
        yield 1

    @wf.actor(depends_on=["quick", "never"], fan_in="latest")
    async def join(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        [edge] = [edge for edge in run.status().edges if edge.source == "quick"]
        assert (edge.sent, edge.leased, edge.acknowledged) == (1, 1, 0)
        run.cancel()
        result = await run.wait()
    assert_edges_closed(result)
