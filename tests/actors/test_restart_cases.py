"""Restarts, as other people's bugs have taught them."""

import gc
import weakref
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.faults import Faults
from harness.ids import Ledger
from harness.stage import Stage
from trouper import Backoff, RestartPolicy

QUICK = RestartPolicy(max_restarts=1_000_000, backoff=Backoff(min=0, max=0))


async def test_the_mailbox_survives_a_restart() -> None:
    """K1: a panic, then two messages, in order, 100 times."""
    for _ in range(100):
        seen: list[str] = []

        async def body(ctx: trouper.ActorContext, seen: list[str] = seen) -> None:
            async for payload in ctx:
                if payload == "panic":
                    raise ValueError("panic")
                seen.append(payload)

        stage = Stage(body, policy=QUICK, max_attempts=1, operations=2)
        async with trio.open_nursery() as nursery:
            stage.begin(nursery)
            stage.feed("panic", "0", "1")
            await wait_all_tasks_blocked()
            assert seen == ["0", "1"]
            stage.end()
        assert stage.made == 2


@pytest.mark.parametrize("queued", [0, 1, 2, 63, 200])
async def test_leftovers_survive_in_order(queued: int) -> None:
    """X10: crash with k messages queued: exactly those k, in order."""
    seen: list[int] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            if payload == -1:
                raise ValueError("crash")
            seen.append(payload)

    stage = Stage(body, policy=QUICK, max_attempts=1)
    await stage.live(-1, *range(queued))
    assert seen == list(range(queued))


@pytest.mark.parametrize("where", ["before receive", "after receive", "after yield"])
async def test_a_restarted_stream_reads_again(where: str) -> None:
    """X11: also when the crash came between `receive` and `yield`, or with nothing in hand."""
    faults = Faults().fail(where)

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        faults.at("before receive", "actor")
        async for payload in ctx:
            faults.at("after receive", "actor")
            yield payload
            faults.at("after yield", "actor")

    stage = await Stage(body, policy=QUICK).live(1, 2, 3)
    assert stage.made == 2
    doubled = [1] if where == "after yield" else []
    assert stage.sent() == [*doubled, 1, 2, 3]


async def test_a_timed_batch_with_nothing_in_it_restarts_too(autojump_clock: object) -> None:
    """X11."""
    faults = Faults().fail("empty")

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[list[int]]:
        while True:
            batch: list[int] = []
            with trio.move_on_after(1):
                batch = await ctx.receive_many(10)
            if not batch:
                faults.at("empty", "actor")
            yield batch

    stage = Stage(body, policy=QUICK)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(2.5)
        stage.feed(1, 2)
        await trio.sleep(1)
        stage.end()
    assert stage.made == 2
    assert [batch for batch in stage.sent() if batch] == [[1, 2]]


@pytest.mark.parametrize("style", ["raises", "exits the group", "helper crashes", "rubbish"])
async def test_a_bad_message_is_given_up_exactly_once(style: str) -> None:
    """B1t: however the handler goes down, that message alone fails, and the actor lives."""
    handled: list[int] = []

    async def crash() -> None:
        raise OSError("helper")

    async def body(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            handled.append(payload)
            if payload == 2:
                match style:
                    case "raises":
                        raise ValueError
                    case "exits the group":
                        raise ExceptionGroup(
                            "many", [ValueError(), ExceptionGroup("x", [OSError()])]
                        )
                    case "helper crashes":
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(crash)
                            nursery.start_soon(trio.sleep_forever)
                    case _:
                        {}[payload]

    stage = await Stage(body, policy=QUICK, max_attempts=2).live(1, 2, 3)
    assert handled == [1, 2, 2, 3]
    assert [letter.envelope.payload for letter in stage.dead] == [2]
    assert len(stage.dead[0].failures) == 2
    assert stage.child.state.value == "done"


async def test_a_crash_restarts_only_who_crashed_and_loses_nothing() -> None:
    """B5t: producer, relay and sink crash in turn; zero lost, redelivered with attempt 2."""
    ledger, faults = Ledger(), Faults()
    faults.fail("yield", "source", visits=(5, 11)).fail("handle", "relay", visits=(3, 9))
    faults.fail("handle", "sink", visits=(7,))
    wf = trouper.Workflow("w")
    quick = Backoff(min=0, max=0)
    wf.actor(backoff=quick)(ledger.source(30, faults=faults))
    wf.actor(depends_on="source", capacity=3, backoff=quick)(ledger.relay(faults=faults))
    wf.actor(depends_on="relay", capacity=2, backoff=quick)(ledger.sink(faults=faults))
    result = await wf.execute(harness=faults.harness(operations=4))
    assert result.ok
    incarnations = {name: node.incarnation for name, node in result.nodes.items()}
    assert incarnations == {"source": 3, "relay": 3, "sink": 2}
    ledger.assert_at_least_once()
    ledger.assert_accounted(result)
    assert ledger.sinks["sink"].seen.total() == 31, (
        "only what the sink itself had in hand comes twice"
    )


class Crash(Exception):
    """A failure that can be watched; a built-in one can't."""


class Large:
    """A local variable worth noticing."""

    alive = 0

    def __init__(self) -> None:
        self.data = bytearray(100_000)
        Large.alive += 1
        weakref.finalize(self, Large._gone)

    @staticmethod
    def _gone() -> None:
        Large.alive -= 1


async def test_crashes_keep_no_memory(mock_clock: MockClock) -> None:
    """X17: 10,000 crashes with a large local; text is kept, never frames.

    On a clock that stands there is one line in the log, which pytest keeps, however slow it goes.
    """
    crashes = 10_000
    most_alive = 0
    objects: list[int] = []

    async def body(ctx: trouper.ActorContext) -> None:
        nonlocal most_alive
        async for payload in ctx:
            large = Large()
            most_alive = max(most_alive, Large.alive)
            if payload in (crashes // 10, crashes - 1):
                gc.collect()
                objects.append(len(gc.get_objects()))
            raise ValueError(f"crash {payload} with {len(large.data)} bytes")

    stage = Stage(body, policy=QUICK, max_attempts=1)
    stage.box.on_dead = None
    await stage.live(*range(crashes))
    assert stage.child.failed == crashes
    assert most_alive <= 3
    assert len(stage.child.failures) == 5
    assert objects[1] < objects[0] + 100


async def test_the_failure_that_ends_it_stays_alive_and_only_that() -> None:
    """X17."""
    errors: list[weakref.ref[BaseException]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        error = Crash("crash")
        errors.append(weakref.ref(error))
        raise error

    policy = RestartPolicy(max_restarts=3, backoff=Backoff(min=0, max=0))
    stage = await Stage(body, policy=policy).live()
    gc.collect()
    alive = [reference() for reference in errors if reference() is not None]
    assert alive == [stage.failed[0][0]]
    assert [failure.message for failure in stage.child.failures] == ["crash"] * 4


@pytest.mark.parametrize("style", ["yield", "send", "send_many"])
async def test_what_is_sent_with_nothing_in_hand_has_an_id_of_its_own(
    style: str, autojump_clock: object
) -> None:
    """X11: after a receive that timed out the last message is settled, and no parent."""

    async def generating(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        yield await ctx.receive()
        with trio.move_on_after(1):
            await ctx.receive()
        assert ctx.message is None
        yield "own"

    async def sending(ctx: trouper.ActorContext) -> None:
        await ctx.send(await ctx.receive())
        with trio.move_on_after(1):
            await ctx.receive()
        if style == "send":
            await ctx.send("own")
        else:
            await ctx.send_many(["own", "own"])

    stage = Stage(generating if style == "yield" else sending)
    stage.feed("a")
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(2)
        stage.end()
    assert stage.child.failed == 0
    ids = [envelope.id for envelope in stage.envelopes()]
    assert ids == ["up:1", "actor:2", "actor:3"][: len(ids)]
    assert len(ids) == (3 if style == "send_many" else 2)


@pytest.mark.parametrize(("poison", "max_restarts"), [(1, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize("one_less", [False, True])
async def test_a_poison_message_of_a_batch_counts_once(
    poison: int, max_restarts: int, one_less: bool, autojump_clock: object
) -> None:
    """DESIGN: crashes that hold the same envelope count once, the batch's crash included."""
    workflow = trouper.Workflow()

    @workflow.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many(range(10))

    @workflow.actor(
        depends_on="source", max_restarts=max_restarts - one_less, period=1e6, capacity=100
    )
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(10)
            if min(batch) < poison:
                raise ValueError(batch)

    result = await workflow.execute()
    assert result.status == ("failed" if one_less else "completed")
    if not one_less:
        assert [letter.envelope.payload for letter in result.dead_letters] == [*range(poison)]
        assert result.nodes["sink"].failed == 1 + 3 * poison
