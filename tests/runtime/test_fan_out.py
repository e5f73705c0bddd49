"""Balance and partition in a run: counts, redelivery, failures, ends."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays
from trouper import Backoff, Edge, Partition, Workflow

BY_NAME = Partition(to=lambda message: message[0])


def spread(workers: Sequence[str], fan_out: Any, source: Any, **options: Any) -> Workflow:
    """Return a graph of a source and workers; what each has got stands in `state`, by name."""
    wf = Workflow("spread")
    wf.actor(name="source", fan_out=fan_out)(source)
    for name in workers:

        @wf.actor(name=name, depends_on="source", **options)
        async def work(ctx: trouper.ActorContext) -> None:
            got = ctx.state.setdefault(ctx.action.name, [])
            async for message in ctx:
                got.append(message)

    return wf


async def test_each_message_has_one_reader_and_the_ledger_closes() -> None:
    got: dict[str, list[int]] = {}
    wf = spread(["a", "b", "c"], "balance", counts(300))
    result = await wf.execute(state=got)
    assert result.ok
    assert sorted(number for numbers in got.values() for number in numbers) == list(range(300))
    assert result.nodes["source"].sent == 300
    assert [edge.sent for edge in result.edges] == [len(got[name]) for name in "abc"]
    assert all(edge.is_closed and edge.acknowledged == edge.sent for edge in result.edges)
    assert result.outputs["source"] == 299


async def test_a_slow_reader_gets_fewer_and_holds_nobody_up() -> None:
    """G6, V1: once its own buffer is full, the others get the rest."""
    got: list[int] = []
    released = trio.Event()
    wf = Workflow("slow")
    wf.actor(name="source", fan_out="balance")(counts(50))

    @wf.actor(depends_on="source", capacity=3)
    async def slow(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await released.wait()

    wf.actor(name="quick", depends_on="source", capacity=3)(collects(got))
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        assert run.status().nodes["source"].state == "done"
        assert len(got) == 46
        released.set()
    assert (await run.wait()).ok


async def test_order_per_key_holds_through_several_stages() -> None:
    """B8t: partition, a relay that is slower for some, then batches."""
    wf = Workflow("keys")
    seen: dict[str, list[int]] = {}

    @wf.actor(fan_out=Partition(lambda message: message[0]))
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many([(f"k{n % 9}", n) for n in range(400)])
        for n in range(400, 600):
            await ctx.send((f"k{n % 9}", n))

    for name in "abc":
        relay = relays()
        wf.actor(name=name, depends_on="source", capacity=4)(relay)

    @wf.actor(depends_on=["a", "b", "c"])
    async def sink(ctx: trouper.ActorContext) -> None:
        while True:
            for message in await ctx.receive_many(7):
                [(key, number)] = message.values()
                seen.setdefault(key, []).append(number)

    assert (await wf.execute()).ok
    assert len(seen) == 9
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert sum(map(len, seen.values())) == 600


async def test_ids_of_messages_that_part_and_meet_again_are_all_different() -> None:
    wf = Workflow("meet")
    ids: list[str] = []

    @wf.actor(fan_out="balance")
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many(list(range(20)))
        for n in range(20, 30):
            await ctx.send(n)

    wf.actor(name="a", depends_on="source")(relays())
    wf.actor(name="b", depends_on="source")(relays())

    @wf.actor(depends_on=["a", "b"])
    async def sink(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            ids.append(ctx.message.id)

    assert (await wf.execute()).ok
    assert len(set(ids)) == 30


async def test_a_reader_that_returns_early_is_passed_over() -> None:
    got: dict[str, list[int]] = {}
    wf = spread(["a", "b"], "balance", counts(200))

    @wf.actor(depends_on="source", capacity=1)
    async def brief(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    result = await wf.execute(state=got)
    assert result.ok
    [edge] = [edge for edge in result.edges if edge.target == "brief"]
    assert edge.acknowledged == 1
    assert edge.dropped == ({"reader_ended": edge.sent - 1} if edge.sent > 1 else {})
    assert len(got["a"]) + len(got["b"]) + edge.sent == 200


async def test_when_all_readers_have_returned_the_source_ends() -> None:
    wf = Workflow("brief")
    wf.actor(name="source", fan_out="balance")(counts(10_000))
    for name in "ab":

        @wf.actor(name=name, depends_on="source", capacity=1)
        async def brief(ctx: trouper.ActorContext) -> None:
            await ctx.receive()

    result = await wf.execute()
    assert result.ok
    assert result.nodes["source"].sent < 10


@pytest.mark.parametrize("fan_out", ["balance", Partition(lambda n: n)])
@pytest.mark.parametrize("on_redelivery", ["repeat", "skip", "hold"])
@pytest.mark.parametrize("options", [{}, {"concurrency": 3}, {"redelivery_delay": 1.0}])
async def test_a_relay_that_fails_repeats_its_outputs_to_the_same_readers(
    fan_out: Any, on_redelivery: Any, options: Any, autojump_clock: MockClock
) -> None:
    """B5t: an output placed twice meets the reader that has seen it."""
    got: dict[str, list[tuple[int, bool]]] = {"a": [], "b": [], "c": []}
    wf = Workflow("again")
    failed: set[int] = set()
    wf.actor(name="source")(counts(30))

    @wf.actor(
        depends_on="source",
        fan_out=fan_out,
        on_redelivery=on_redelivery,
        max_restarts=100,
        backoff=Backoff(min=0),
        **options,
    )
    async def relay(ctx: trouper.ActorContext) -> None:
        async for n in ctx:
            for output in range(3):
                await trio.sleep(n % 3)
                await ctx.send(10 * n + output)
                if n % 5 == 0 and output == 1 and n not in failed:
                    failed.add(n)
                    raise OSError("once")

    for name in got:

        @wf.actor(name=name, depends_on="relay")
        async def sink(ctx: trouper.ActorContext) -> None:
            async for n in ctx:
                assert ctx.message is not None
                got[ctx.action.name].append((n, ctx.message.resent))

    result = await wf.execute()
    assert result.ok, result.reason
    assert len(failed) == 6
    owners: dict[int, set[str]] = {}
    for name, messages in got.items():
        for number, _ in messages:
            owners.setdefault(number, set()).add(name)
    assert sorted(owners) == sorted(10 * n + output for n in range(30) for output in range(3))
    assert all(len(names) == 1 for names in owners.values())
    resent = [number for messages in got.values() for number, is_resent in messages if is_resent]
    if on_redelivery != "repeat":
        assert not resent
    elif "concurrency" in options:  # messages beside one that fails may be cut off, too
        assert len(resent) >= 12
    else:
        assert len(resent) == 12


async def test_a_message_without_a_usable_key_is_poison_for_its_relay_only() -> None:
    """G6, D1: it goes to the dead letters with the reason, and the others go on."""
    got: dict[str, list[Any]] = {}
    wf = Workflow("poison")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many([("a", 1), ("nobody", 2), ("b", 3)])

    wf.actor(name="relay", depends_on="source", fan_out=BY_NAME, max_attempts=2)(relays())
    for name in "ab":
        wf.actor(name=name, depends_on="relay")(collects(got.setdefault(name, [])))
    result = await wf.execute()
    assert result.ok
    assert got == {"a": [("a", 1)], "b": [("b", 3)]}
    [letter] = result.dead_letters
    assert letter.envelope.payload == ("nobody", 2)
    assert letter.node == "relay"
    assert "'nobody', but no reader of it is called so" in str(letter)


async def test_a_source_that_gives_no_usable_key_fails_with_the_reason() -> None:
    """G6"""
    wf = spread(["a", "b"], Partition(lambda n: [n]), counts(5))
    result = await wf.execute(state={})
    assert result.status == "failed"
    assert isinstance(result.error, trouper.PartitionError)
    assert "the key function of fan_out=Partition(...) of 'source' gave [0]" in result.reason


async def test_a_stream_looks_on_and_takes_nothing_away() -> None:
    got: dict[str, list[int]] = {}
    wf = spread(["a", "b"], "balance", counts(100))
    async with wf.open(state=got) as run, run.stream("source") as numbers:
        seen = [number async for number in numbers]
    assert seen == list(range(100))
    assert sorted(got["a"] + got["b"]) == list(range(100))


async def test_a_drain_accepts_one_more_and_handles_what_was_sent() -> None:
    """A3"""
    got: dict[str, list[int]] = {}
    wf = spread(["a", "b"], "balance", counts(10**9), capacity=5)
    async with wf.open(state=got) as run:
        await sent_some(run)
        result = await run.drain()
    assert result.ok
    assert not result.cut_short
    assert len(got["a"]) + len(got["b"]) == result.nodes["source"].sent > 0
    assert all(edge.is_closed for edge in result.edges)


async def sent_some(run: trouper.LiveRun) -> None:
    while run.status().nodes["source"].sent < 100:
        await trio.lowlevel.checkpoint()


async def test_batch_tasks_take_their_share() -> None:
    wf = Workflow("halves")
    wf.actor(name="source", fan_out=Partition(to=lambda n: "even" if n % 2 == 0 else "odd"))(
        counts(10)
    )

    @wf.task(depends_on="source", collect="all")
    async def even(numbers: list[int]) -> int:
        return sum(numbers)

    @wf.task(depends_on="source", collect="all")
    async def odd(numbers: list[int]) -> int:
        return sum(numbers)

    outputs = (await wf.execute()).unwrap()
    assert (outputs["even"], outputs["odd"]) == (20, 25)


async def test_it_holds_for_each_output_with_several_readers() -> None:
    got: dict[str, list[int]] = {"a": [], "b": [], "all": []}
    wf = Workflow("outputs")

    @wf.actor(fan_out="balance", outputs={"shared": int, "own": int})
    async def source(ctx: trouper.ActorContext) -> None:
        for n in range(10):
            await ctx.send(n, to="shared")
            await ctx.send(n, to="own")

    wf.actor(name="a", depends_on="source.shared")(collects(got["a"]))
    wf.actor(name="b", depends_on="source.shared")(collects(got["b"]))
    wf.actor(name="all", depends_on="source.own")(collects(got["all"]))
    result = await wf.execute()
    assert (got["a"], got["b"], got["all"]) == ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9], [*range(10)])
    assert result.nodes["source"].sent == 20


async def test_a_cycle_may_be_balanced() -> None:
    """P19"""
    wf = Workflow("retry")
    done: list[int] = []
    wf.actor(name="source")(counts(20))

    @wf.actor(
        depends_on={"source": Edge(), "a": Edge(feedback=True), "b": Edge(feedback=True)},
        fan_out="balance",
    )
    async def deal(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            for n in message.values():
                if n > 100:
                    done.append(n)
                else:
                    await ctx.send(n + 50)

    wf.actor(name="a", depends_on="deal")(relays())
    wf.actor(name="b", depends_on="deal")(relays())
    assert (await wf.execute()).ok
    assert sorted(done) == sorted(n + 50 * (2 + (n == 0)) for n in range(20))
