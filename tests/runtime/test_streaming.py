"""Actors of a graph: inputs, outputs, fan-in, edges, ends."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts, sleeps
from harness.ids import assert_edges_closed


async def test_an_actor_runs_at_all() -> None:
    """F1: a generator is iterated, `receive` receives, `send` sends."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(300))

    @wf.actor(depends_on="numbers")
    async def double(ctx: trouper.ActorContext) -> None:
        while True:
            await ctx.send(2 * await ctx.receive())

    wf.actor(name="sink", depends_on="double")(collects(got))
    result = await wf.execute()
    assert result.unwrap() == {"numbers": 299, "double": 598}
    assert got == [2 * n for n in range(300)]
    assert_edges_closed(result)


async def test_an_actor_with_batch_upstreams_only_receives_them_once() -> None:
    wf = trouper.Workflow()
    got: list[Any] = []
    wf.task(name="one")(sleeps(0, 1))
    wf.task(name="two")(sleeps(0, 2))
    wf.actor(name="bare", depends_on="one")(collects(got))

    @wf.actor(depends_on=["two", "one"])
    async def keyed(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        message = await ctx.receive()
        assert message == ctx.inputs
        assert isinstance(message, MappingProxyType)
        yield dict(message)
        with pytest.raises(trouper.EndOfInput):
            await ctx.receive()

    assert (await wf.execute()).unwrap()["keyed"] == {"two": 2, "one": 1}
    assert got == [1]


async def test_a_mixed_input_is_keyed_and_batch_values_stand_first(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()
    wf.task(name="limit")(sleeps(5, 10))
    wf.actor(name="numbers")(counts(3))

    @wf.actor(depends_on=["numbers", "limit"])
    async def check(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        assert dict(ctx.inputs) == {"limit": 10}
        async for message in ctx:
            assert isinstance(message, MappingProxyType)
            yield dict(message), ctx.inputs["limit"]

    result = await wf.execute()
    assert result.unwrap()["check"] == ({"numbers": 2}, 10)
    assert result.seconds == pytest.approx(5)


async def test_plain_parameters_of_an_actor_are_its_batch_inputs() -> None:
    wf = trouper.Workflow()
    wf.task(name="n")(sleeps(0, 3))

    @wf.actor(depends_on="n")
    async def upto(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    @wf.actor(depends_on="n")
    async def with_ctx(ctx: trouper.ActorContext, n: int) -> AsyncIterator[str]:
        yield ctx.action.name * n

    @wf.actor
    async def alone() -> AsyncIterator[int]:
        yield 1

    assert (await wf.execute()).unwrap() == {
        "n": 3,
        "upto": 2,
        "with_ctx": "with_ctx" * 3,
        "alone": 1,
    }


async def test_named_outputs_go_where_they_are_asked_for() -> None:
    wf = trouper.Workflow()
    alerts: list[str] = []
    values: list[int] = []

    @wf.actor(outputs={"alerts": str, "unread": str})
    async def monitor(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(6):
            if number % 3 == 0:
                await ctx.send(f"alert {number}", to="alerts")
            await ctx.send("nobody minds", to="unread")
            yield number
        with pytest.raises(trouper.UnknownOutput) as found:
            await ctx.send("?", to="alert")
        assert str(found.value) == (
            "'monitor' has no output 'alert' (declared: alerts, unread); did you mean 'alerts'? "
            "Else declare it with outputs={'alert': Type}"
        )
        with pytest.raises(KeyError, match=r"unread\); declare it with outputs={'x': Type}"):
            await ctx.send("?", to="x")

    wf.actor(name="alarm", depends_on=["monitor.alerts"])(collects(alerts))
    wf.actor(name="plot", depends_on="monitor")(collects(values))
    wf.task(name="last", depends_on="monitor.alerts")(lambda text: text)

    @wf.actor(depends_on=["monitor", "monitor.alerts"])
    async def both(ctx: trouper.ActorContext) -> AsyncIterator[set[str]]:
        yield {key for message in [m async for m in ctx] for key in message}

    outputs = (await wf.execute()).unwrap()
    assert alerts == ["alert 0", "alert 3"]
    assert values == list(range(6))
    assert outputs["last"] == "alert 3"
    assert outputs["both"] == {"monitor", "monitor.alerts"}


def fan_in(kind: Any, got: list[Any], **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.actor(name="slow")(counts(3, every=10))
    wf.actor(name="fast")(counts(6, every=4))
    wf.actor(name="sink", depends_on=["fast", "slow"], fan_in=kind, **options)(collects(got))
    return wf


async def test_merge_hands_out_each_message_with_its_key(autojump_clock: MockClock) -> None:
    got: list[Mapping[str, int]] = []
    result = await fan_in("merge", got).execute()
    assert all(isinstance(message, MappingProxyType) for message in got)
    assert [m["fast"] for m in got if "fast" in m] == list(range(6))
    assert [m["slow"] for m in got if "slow" in m] == list(range(3))
    assert all(len(message) == 1 for message in got)
    assert_edges_closed(result)


async def test_zip_makes_one_of_each_and_ends_with_the_shortest(
    autojump_clock: MockClock,
) -> None:
    """P16"""
    got: list[Mapping[str, int]] = []
    result = await fan_in("zip", got).execute()
    assert [list(message.items()) for message in got] == [
        [("fast", number), ("slow", number)] for number in range(3)
    ]
    edges = {edge.source: edge for edge in result.edges}
    assert (edges["fast"].acknowledged, edges["fast"].dropped) == (3, {"reader_ended": 3})
    assert_edges_closed(result)


async def test_latest_has_all_keys_and_at_least_one_is_new(autojump_clock: MockClock) -> None:
    """P16"""
    got: list[Mapping[str, int]] = []
    result = await fan_in("latest", got).execute()
    pairs = [(message["fast"], message["slow"]) for message in got]
    assert len(set(pairs)) == len(pairs)
    assert pairs == sorted(pairs)
    assert pairs[0] == (0, 0)
    assert pairs[-1] == (5, 2)
    assert_edges_closed(result)


async def test_latest_counts_what_nothing_came_of(autojump_clock: MockClock) -> None:
    """A message that waits for a stream which never has a value is dropped, not acknowledged."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="some")(counts(3, every=1))
    wf.actor(name="never")(counts(0))
    wf.actor(name="sink", depends_on=["some", "never"], fan_in="latest")(collects(got))
    result = await wf.execute()
    some = next(edge for edge in result.edges if edge.source == "some")
    assert got == []
    assert (some.sent, some.acknowledged) == (3, 0)
    assert some.dropped == {"superseded": 2, "reader_ended": 1}
    assert_edges_closed(result)


@pytest.mark.parametrize(("kind", "dead"), [("zip", {"a": 1, "b": 1}), ("latest", {"b": 1})])
async def test_a_joined_message_is_given_up_on_every_edge_it_came_from(
    kind: Any, dead: dict[str, int], autojump_clock: MockClock
) -> None:
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(2 if kind == "zip" else 1))
    wf.actor(name="b")(counts(2, every=5))

    @wf.actor(depends_on=["a", "b"], fan_in=kind, max_attempts=2)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            if message["b"] == 1:
                # In hand.
                raise OSError(f"attempt {ctx.message.attempt}")  # type: ignore[union-attr]

    result = await wf.execute()
    assert {e.source: e.dead_lettered for e in result.edges if e.dead_lettered} == dead
    (letter,) = result.dead_letters
    assert letter.envelope.payload["b"] == 1
    assert [each.message for each in letter.failures] == ["attempt 1", "attempt 2"]
    assert_edges_closed(result)


async def test_each_edge_has_settings_of_its_own(autojump_clock: MockClock) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(20))
    wf.actor(name="b")(counts(20))
    wf.actor(name="c")(counts(20))
    edges = {
        "a": trouper.Edge(capacity=4, overflow="drop_oldest", keep_dropped=True),
        "b": trouper.Edge(overflow="latest"),
        "c": trouper.Edge(),
    }
    wf.actor(name="sink", depends_on=edges, capacity=2)(collects(got, seconds=1))
    result = await wf.execute()
    found = {edge.source: (edge.capacity, edge.overflow) for edge in result.edges}
    assert found == {"a": (4, "drop_oldest"), "b": (1, "latest"), "c": (2, "block")}
    by_key = {key: [m[key] for m in got if key in m] for key in edges}
    assert by_key["c"] == list(range(20))
    assert by_key["a"][-4:] == [16, 17, 18, 19]
    assert by_key["b"][-1] == 19
    kept = [letter.envelope.payload for letter in result.dead_letters]
    assert sorted(kept + by_key["a"]) == list(range(20))
    assert {letter.reason for letter in result.dead_letters} == {"drop_oldest"}
    assert_edges_closed(result)


async def test_fail_refuses_and_nothing_is_lost(autojump_clock: MockClock) -> None:
    refused: list[int] = []
    got: list[int] = []
    wf = trouper.Workflow()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        for number in range(20):
            try:
                await ctx.send(number)
            except trouper.BufferOverflow:
                refused.append(number)

    wf.actor(name="sink", depends_on="source", capacity=3, overflow="fail")(
        collects(got, seconds=1)
    )
    (await wf.execute()).unwrap()
    assert refused
    assert sorted(got + refused) == list(range(20))


async def test_validation_dead_letters_what_does_not_fit() -> None:
    got: list[int] = []
    wf = trouper.Workflow()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        for item in (1, "two", 3):
            yield item

    @wf.actor(depends_on="source", validate=True)
    async def sink(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
        got.extend([number async for number in ctx])

    result = await wf.execute()
    assert got == [1, 3]
    (letter,) = result.dead_letters
    assert (letter.reason, letter.envelope.payload) == ("invalid", "two")
    assert "'sink' takes int, not 'two'" in letter.failures[0].message
    assert result.nodes["sink"].failed == 0
    assert_edges_closed(result)


async def test_validation_of_joined_messages_looks_at_each_part() -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(2))

    @wf.actor
    async def b(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        yield "zero"
        yield 1

    @wf.actor(depends_on=["a", "b"], fan_in="zip", validate=True)
    async def sink(ctx: trouper.ActorContext[Any, Any, Mapping[str, int], Any]) -> None:
        got.extend([message async for message in ctx])

    result = await wf.execute()
    assert got == [{"a": 1, "b": 1}]
    with pytest.raises(TypeError):
        got[0]["a"] = 2  # immutable, DESIGN, Fan-in
    assert {edge.source: edge.dead_lettered for edge in result.edges} == {"a": 1, "b": 1}
