"""`trouper.asyncio_bridge`: nodes whose work is done in asyncio, in each kind of host."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

import trouper
from harness.hosts import HOSTS, Host, run_in, side_by_side, until

pytestmark = pytest.mark.parametrize("host", HOSTS)

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


async def numbers() -> AsyncIterator[int]:
    for number in range(1_000):
        if number % 100 == 0:
            await asyncio.sleep(0)
        yield number


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


def test_a_source_a_call_and_a_sink(host: Host) -> None:
    """Each yield is a message, each message a call, and each call is done before the next."""
    written: list[int] = []

    async def write(number: int) -> None:
        await asyncio.sleep(0)
        written.append(number)

    workflow = trouper.Workflow("etl")
    source = workflow.actor(trouper.asyncio_bridge(numbers))
    call = workflow.add(trouper.asyncio_bridge(double), depends_on=[source])
    workflow.add(trouper.asyncio_bridge(write), depends_on=[call])
    result = run_in(host, workflow)
    assert result.status == "completed"
    assert written == [number * 2 for number in range(1_000)]
    assert list(result.nodes) == ["numbers", "double", "write"]
    assert result.outputs == {"numbers": 999, "double": 1998}  # a sink sends nothing


def test_it_runs_in_the_loop_of_the_host(host: Host) -> None:
    """Of an asyncio program it is that one's; elsewhere all of a run share one of their own."""
    seen: list[tuple[asyncio.AbstractEventLoop, int]] = []

    async def look(_: object) -> None:
        seen.append((asyncio.get_running_loop(), threading.get_ident()))

    workflow = trouper.Workflow("look")
    workflow.add(trouper.asyncio_bridge(look), name="one")
    workflow.add(trouper.asyncio_bridge(look), name="other")

    async def use(run: Any) -> None:
        if host != "trio":
            await look(None)
        await run.ask(1, to="one")
        await run.ask(2, to="other")

    run_in(host, workflow, use)
    assert len(set(seen)) == 1
    here = seen[0][1] == threading.get_ident()
    assert here == (host != "trio")
    assert seen[0][0].is_closed()  # with the host, or with the run


def test_a_question_is_answered_by_what_the_function_returns(host: Host) -> None:
    workflow = trouper.Workflow("ask")
    workflow.add(trouper.asyncio_bridge(double), concurrency=4)

    async def use(run: Any) -> None:
        assert await run.ask(21, to="double") == 42

    assert run_in(host, workflow, use).status == "completed"


def test_it_is_called_in_any_body_and_mapped(host: Host) -> None:
    workflow = trouper.Workflow("calls")

    @workflow.actor
    async def body(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        yield await trouper.asyncio_bridge(double)(1)
        async with trouper.asyncio_bridge(numbers)() as given:
            async for number in given:
                if number == 3:
                    break
                yield number

    workflow.map(trouper.asyncio_bridge(double), over=body, concurrency=2)
    workflow.task(name="last", depends_on=["double"])(trouper.asyncio_bridge(double))
    result = run_in(host, workflow)
    assert result.unwrap()["last"] == 8
    assert result.nodes["double"].received == 4


def test_a_failure_is_the_actors_with_its_traceback_and_counts_as_an_attempt(host: Host) -> None:
    """The message comes again, and is a dead letter in the end; the actor goes on."""

    async def fetch(number: int) -> int:
        if number == 13:
            try:
                int("x")
            except ValueError as error:
                raise LookupError("no such row") from error
        return number

    workflow = trouper.Workflow("fetching")
    workflow.actor(trouper.asyncio_bridge(fetch))

    async def use(run: Any) -> None:
        with pytest.raises(trouper.AskFailed, match="no such row"):
            await run.ask(13, to="fetch")
        assert await run.ask(14, to="fetch") == 14

    result = run_in(host, workflow, use)
    (letter,) = result.dead_letters
    assert [each.number for each in letter.attempts] == [1, 2, 3]
    failure = letter.attempts[-1].failure
    assert failure is not None
    assert failure.cause is not None
    assert failure.cause.type == "ValueError"
    assert "test_asyncio_bridge.py" in failure.where
    assert failure.where.endswith("fetch")
    assert result.nodes["fetch"].failed == 3


def test_a_source_that_fails_is_restarted_and_loses_nothing_that_it_had_yielded(
    host: Host,
) -> None:
    starts = 0

    async def flaky() -> AsyncIterator[int]:
        nonlocal starts
        starts += 1
        for number in range(100):
            yield starts * 1_000 + number
        if starts < 3:
            raise ConnectionError("gone")

    workflow = trouper.Workflow("flaky")
    workflow.actor(trouper.asyncio_bridge(flaky))
    got: list[int] = []

    @workflow.actor(depends_on=["flaky"], capacity=2)
    async def collect(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        got.extend([number async for number in ctx])

    result = run_in(host, workflow)
    assert result.status == "completed"
    assert got == [start * 1_000 + n for start in (1, 2, 3) for n in range(100)]
    assert result.nodes["flaky"].failed == 2


def test_a_slow_reader_slows_the_source(host: Host) -> None:
    """Back-pressure crosses: the generator is ahead by its buffer and the edges, no more."""
    made = 0
    ahead: list[int] = []

    async def eager() -> AsyncIterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    workflow = trouper.Workflow("eager")
    workflow.actor(trouper.asyncio_bridge(eager, buffer=16))

    @workflow.actor(depends_on=["eager"], capacity=4)
    async def slow(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            ahead.append(made - number)
            ctx.set_result("seen", number)

    async def use(run: Any) -> None:
        await until(lambda: run.results.get("seen", 0) >= 2_000)

    result = run_in(host, workflow, use)
    assert result.status == "completed"
    assert max(ahead) <= 16 + 4 + 64 + 2
    # What was yielded before the drain has come through to the last one.
    assert result.nodes["slow"].received == made


def test_context_variables_and_the_node_s_context_are_seen_there(host: Host) -> None:
    """X1: those of the message in hand; the context is the node's, without what waits."""
    seen: list[Any] = []

    async def look(ctx: trouper.TaskContext[None, list[str], int], number: int) -> int:
        seen.append((number, ctx.deps, ctx.custom_context, ctx.action.name))
        assert trouper.ctx() is ctx
        with pytest.raises(RuntimeError, match="return the reply"):
            await ctx.reply(1)
        with pytest.raises(RuntimeError, match="is trio's"):
            await ctx.ask(1, to="look")
        color.set("changed there")
        return number

    workflow = trouper.Workflow("look")
    workflow.actor(trouper.asyncio_bridge(look))

    @workflow.actor
    async def caller(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async def of_color() -> str:
            return color.get()

        async for _ in ctx:
            color.set("red")
            found = await trouper.asyncio_bridge(of_color)()
            await ctx.reply((found, color.get()))

    async def use(run: Any) -> None:
        assert await run.ask(1, to="look", custom_context={"user": "a"}) == 1
        assert await run.ask(2, to="look", custom_context={"user": "b"}) == 2
        assert await run.ask(3, to="caller") == ("red", "red")

    assert run_in(host, workflow, use, deps=["pool"]).status == "completed"
    assert seen == [
        (1, ["pool"], {"user": "a"}, "look"),
        (2, ["pool"], {"user": "b"}, "look"),
    ]


def test_interleaved_messages_of_two_runs_never_mix(host: Host) -> None:
    """X1: each call sees the context of its own message, in a bridge that two runs share."""
    workflow = trouper.Workflow("shared")

    async def who(ctx: trouper.TaskContext, name: str) -> tuple[str, str, str]:
        before = ctx.custom_context["user"]
        await asyncio.sleep(0)
        current = trouper.ctx()
        assert current is not None
        return name, before, current.custom_context["user"]

    workflow.add(trouper.asyncio_bridge(who), concurrency=4)
    answers: list[tuple[str, str, str]] = []

    async def use_both(run: Any) -> None:
        # There is one guest in a thread at most.
        async with trouper.open(workflow, host=None if host == "trio" else "thread") as other:
            runs: list[Any] = [run, other]

            async def ask(number: int) -> None:
                user = {"user": f"u{number}"}
                asked = runs[number % 2].ask(f"u{number}", to="who", custom_context=user)
                answers.append(await asked)

            await side_by_side(*(partial(ask, number) for number in range(40)))

    run_in(host, workflow, use_both)
    assert sorted(answers) == sorted((f"u{n}", f"u{n}", f"u{n}") for n in range(40))
