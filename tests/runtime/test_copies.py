"""`copy=True`: what a consumer does to a message is nobody else's business (case V5)."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import trouper
from harness.bodies import collects, counts, relays, sleeps
from harness.ids import assert_edges_closed

Nested = dict[str, list[int]]


def fan_out(source: list[Nested], seen: dict[str, list[Nested]], **options: Any) -> Any:
    """A source that keeps what it sends, a sink that changes it, and one that only looks."""
    wf = trouper.Workflow()

    @wf.actor
    async def origin(ctx: trouper.ActorContext) -> AsyncIterator[Nested]:
        for number in range(3):
            source.append({"n": [number]})
            yield source[-1]

    @wf.actor(depends_on="origin", **options)
    async def vandal(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            message["n"].append(-1)
            message["mine"] = []
            seen["vandal"].append(message)

    wf.actor(name="looker", depends_on="origin")(collects(seen["looker"]))
    return wf


async def test_a_sink_that_changes_its_view_changes_nobody_elses() -> None:
    """V5"""
    source: list[Nested] = []
    seen: dict[str, list[Nested]] = {"vandal": [], "looker": []}
    result = await fan_out(source, seen, copy=True).execute()
    original = [{"n": [number]} for number in range(3)]
    assert source == seen["looker"] == original
    assert seen["vandal"] == [{"n": [number, -1], "mine": []} for number in range(3)]
    assert result.outputs["origin"] == {"n": [2]}


async def test_without_copy_messages_go_by_reference() -> None:
    source: list[Nested] = []
    seen: dict[str, list[Nested]] = {"vandal": [], "looker": []}
    await fan_out(source, seen).execute()
    assert [id(each) for each in seen["looker"]] == [id(each) for each in source]
    assert all("mine" in each for each in source)


async def test_each_attempt_gets_a_fresh_copy() -> None:
    """V5"""
    views: list[list[int]] = []
    wf = trouper.Workflow()

    @wf.actor
    async def origin(ctx: trouper.ActorContext) -> AsyncIterator[list[int]]:
        yield [0]

    @wf.actor(depends_on="origin", copy=True, max_attempts=3)
    async def clumsy(ctx: trouper.ActorContext) -> None:
        view = await ctx.receive()
        views.append(list(view))
        view.append(99)
        raise OSError

    result = await wf.execute()
    assert views == [[0], [0], [0]]
    assert result.dead_letters[0].envelope.payload == [0]
    assert result.outputs["origin"] == [0]


@pytest.mark.parametrize("kind", ["merge", "zip", "latest"])
async def test_joined_and_keyed_messages_are_copied_too(kind: Any) -> None:
    """V5"""
    kept: dict[str, list[int]] = {"a": [1], "b": [2]}
    got: list[Any] = []
    wf = trouper.Workflow()
    for name, value in kept.items():

        @wf.actor(name=name)
        async def origin(
            ctx: trouper.ActorContext, value: list[int] = value
        ) -> AsyncIterator[list[int]]:
            yield value

    @wf.actor(depends_on=["a", "b"], fan_in=kind, copy=True)
    async def vandal(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            for part in message.values():
                part.append(0)
            got.append({key: list(part) for key, part in message.items()})

    result = await wf.execute()
    assert kept == {"a": [1], "b": [2]}
    assert {key: part for message in got for key, part in message.items()} == {
        "a": [1, 0],
        "b": [2, 0],
    }
    assert_edges_closed(result)


async def test_batch_inputs_of_an_actor_are_copied_when_received() -> None:
    wf = trouper.Workflow()
    value = [1]
    wf.task(name="a")(sleeps(0, value))
    wf.task(name="b")(sleeps(0, value))

    @wf.actor(depends_on=["a", "b"], copy=True)
    async def vandal(ctx: trouper.ActorContext) -> AsyncIterator[list[int]]:
        message = await ctx.receive()
        message["a"].append(2)
        yield message["a"]

    assert (await wf.execute()).unwrap()["vandal"] == [1, 2]
    assert value == [1]


async def test_what_a_fan_in_gave_is_copied_when_it_was_sent_on() -> None:
    """Its mappings are read-only, and may lie in one another."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(1))
    wf.actor(name="b")(counts(1))
    wf.actor(name="first", depends_on=["a", "b"], fan_in="zip")(relays())
    wf.actor(name="second", depends_on=["first", "a"], fan_in="zip")(relays())
    wf.actor(name="sink", depends_on="second", copy=True)(collects(got))
    result = await wf.execute()
    assert got == [{"first": {"a": 0, "b": 0}, "a": 0}]
    assert result.dead_letters == ()


async def test_what_can_not_be_copied_is_dead_lettered_with_the_fix() -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    lock = threading.Lock()

    @wf.actor
    async def origin(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        for item in (1, lock, 2):
            yield item

    wf.actor(name="sink", depends_on="origin", copy=True)(collects(got))
    result = await wf.execute()
    assert got == [1, 2]
    (letter,) = result.dead_letters
    assert letter.envelope.payload is lock
    assert letter.reason == "invalid"
    assert letter.failures[0].message.startswith("a lock of 'origin' can't be copied (TypeError(")
    assert letter.failures[0].message.endswith("copy=True, or give its class a __deepcopy__")
    assert_edges_closed(result)
