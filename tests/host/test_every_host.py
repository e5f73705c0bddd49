"""What holds in every host alike: trio, asyncio (thread and guest), and synchronous code."""

import asyncio
import inspect
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal

import pytest
import trio

import trouper
from harness.hosts import LIMIT

Host = Literal["trio", "thread", "guest", "blocking"]
pytestmark = pytest.mark.parametrize("host", ["trio", "thread", "guest", "blocking"])

Use = Callable[[Any], Awaitable[Any]]
Calls = list[Callable[[], Awaitable[Any]]]


class Awaited:
    """A handle for synchronous code, as one that is awaited."""

    def __init__(self, run: trouper.BlockingRun) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._run, name)
        if not callable(found) or name in ("status", "dead_letters", "cancel", "stream", "result"):
            return found

        async def call(*args: Any, **named: Any) -> Any:
            return found(*args, **named)

        return call


def in_host(host: Host, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function in the loop of a host; for "blocking", in none."""

    async def in_trio() -> Any:
        with trio.fail_after(LIMIT):
            return await main()

    async def in_asyncio() -> Any:
        async with asyncio.timeout(LIMIT):
            return await main()

    if host == "trio":
        return trio.run(in_trio)
    if host != "blocking":
        return asyncio.run(in_asyncio())
    with pytest.raises(StopIteration) as caught:
        main().send(None)  # nothing in it waits for a loop
    return caught.value.value


async def opened(host: Host, workflow: trouper.Workflow, use: Use) -> trouper.WorkflowResult:
    """Open a run, use it, and return how it ended."""
    if host == "blocking":
        with trouper.open_blocking(workflow) as blocking:
            await use(Awaited(blocking))
        return blocking.wait()
    named: dict[str, Any] = {} if host == "trio" else {"host": host}
    async with trouper.open(workflow, **named) as run:
        await use(run)
    return await run.wait()


async def side_by_side(host: Host, calls: Calls) -> list[Any]:
    """Await them at the same time, and return what they gave, in their order."""
    found: list[Any] = [None] * len(calls)

    async def call(number: int) -> None:
        found[number] = await calls[number]()

    if host == "trio":
        async with trio.open_nursery() as nursery:
            for number in range(len(calls)):
                nursery.start_soon(call, number)
    elif host == "blocking":
        threads = [
            threading.Thread(target=lambda n=number: _drive(call(n)))
            for number in range(len(calls))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
    else:
        await asyncio.gather(*(call(number) for number in range(len(calls))))
    return found


def _drive(coroutine: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def maybe(given: Any) -> Any:
    """Await what trio's handle does at once, and the others have to wait for."""
    return await given if inspect.isawaitable(given) else given


async def until(host: Host, condition: Callable[[], bool]) -> None:
    """Wait, with turns of the host's loop, for what the other loop does."""
    while not condition():
        if host == "trio":
            await trio.lowlevel.checkpoint()
        elif host != "blocking":
            await asyncio.sleep(0)


class Injected(Exception):
    """A crash on purpose."""


def crashing() -> trouper.Workflow:
    """Crashes over each tenth message, the first time."""
    workflow = trouper.Workflow("crashing")

    @workflow.actor(max_restarts=1_000, backoff=trouper.Backoff(min=0.0, max=0.0))
    async def work(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for number in ctx:
            assert ctx.message is not None
            if number % 10 == 0 and ctx.message.attempt == 1:
                raise Injected
            if number < 100:
                await ctx.reply(number)
            yield number

    return workflow


def test_actors_that_crash_under_load_answer_everybody(host: Host) -> None:
    async def use(run: Any) -> None:
        asks: Calls = [partial(run.ask, number, to="work") for number in range(100)]
        assert await side_by_side(host, asks) == list(range(100))
        sends: Calls = [partial(run.send, number, to="work") for number in range(100, 150)]
        await side_by_side(host, sends)

    result: trouper.WorkflowResult = in_host(host, lambda: opened(host, crashing(), use))
    assert result.status == "completed"
    assert (result.nodes["work"].failed, result.nodes["work"].redelivered) == (15, 15)
    (edge,) = result.edges
    assert (edge.sent, edge.acknowledged) == (150, 150)
    assert result.dead_letters == ()


def test_a_failure_arrives_with_its_cause_and_its_place(host: Host) -> None:
    workflow = trouper.Workflow("failing")

    @workflow.actor(max_restarts=0)
    async def failing(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            try:
                {}[number]  # type: ignore[index]  # on purpose
            except KeyError as error:
                raise Injected("no such number") from error

    async def use(run: Any) -> None:
        await run.send(7, to="failing")
        result = await run.wait()
        assert isinstance(result.error, Injected)
        assert isinstance(result.error.__cause__, KeyError)
        assert "{}[number]" in "".join(traceback.format_exception(result.error))

    result: trouper.WorkflowResult = in_host(host, lambda: opened(host, workflow, use))
    assert (result.status, result.failed_node) == ("failed", "failing")


def test_what_can_not_start_says_why(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """X6: a graph that can't run, or a run that can't begin; no thread is left."""
    broken = trouper.Workflow("broken")
    broken.task(name="t", depends_on=["nobody"])(print)

    async def use(run: Any) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(trouper.GraphError, match="nobody"):
        in_host(host, lambda: opened(host, broken, use))

    async def begin(self: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(trouper.LiveRun, "__aenter__", begin)
    with pytest.raises(OSError, match="the disk is full"):
        in_host(host, lambda: opened(host, crashing(), use))


def test_messages_of_two_runs_never_mix(host: Host) -> None:
    """X1: each handler, and what it sends on, has its message's context; the caller keeps his."""

    def tracing(name: str) -> trouper.Workflow:
        workflow = trouper.Workflow(name)

        @workflow.actor
        async def first(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
            async for number in ctx:
                await trio.lowlevel.checkpoint()
                yield number

        @workflow.actor(depends_on=[first])
        async def second(ctx: trouper.ActorContext[None, None, int, None]) -> None:
            async for number in ctx:
                assert ctx.message is not None
                ident = ctx.message.context.correlation_id
                await ctx.reply((name, number, ctx.custom_context["who"], ident))

        return workflow

    async def both(one: Any, two: Any) -> None:
        def ask(run: Any, name: str, number: int) -> Callable[[], Awaitable[Any]]:
            context = {"who": f"{name}-{number}"}
            named: dict[str, Any] = {"correlation_id": context["who"], "custom_context": context}
            return lambda: run.ask(number, to="first", **named)

        runs = (("one", one), ("two", two))
        calls = [ask(run, name, number) for number in range(25) for name, run in runs]
        expected = [
            (name, number, f"{name}-{number}", f"{name}-{number}")
            for number in range(25)
            for name, _ in runs
        ]
        assert await side_by_side(host, calls) == expected
        assert trouper.ctx() is None

    async def main() -> None:
        # A thread has one guest.
        other: Host = "thread" if host == "guest" else host
        await opened(
            host,
            tracing("one"),
            lambda one: opened(other, tracing("two"), lambda two: both(one, two)),
        )

    in_host(host, main)


def test_actors_see_the_variables_of_whoever_opens_the_run(host: Host) -> None:
    """X1: those of a caller are seen by what he calls there, and by no actor."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    workflow = trouper.Workflow("seeing")

    @workflow.actor
    async def seeing(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            await ctx.reply(variable.get())
            variable.set("by an actor")

    async def use(run: Any) -> None:
        token = variable.set("caller")
        assert [await run.ask(n, to="seeing") for n in range(2)] == ["opener", "by an actor"]
        assert variable.get() == "caller"
        variable.reset(token)

    async def main() -> None:
        token = variable.set("opener")
        await opened(host, workflow, use)
        variable.reset(token)

    in_host(host, main)


def test_a_question_is_answered_while_the_run_drains(host: Host) -> None:
    """X25: what is in hand is handled, its reply crosses, and its acknowledgement counts."""
    workflow = trouper.Workflow("late")

    @workflow.actor
    async def late(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            await ctx.stopping.wait()
            await ctx.reply(number)

    async def use(run: Any) -> None:
        async def drain() -> Any:
            await until(host, lambda: run.status().edges[0].leased == 1)
            return await run.drain()

        reply, result = await side_by_side(host, [partial(run.ask, 7, to="late"), drain])
        assert reply == 7
        assert (result.drain.acknowledged, result.drain.abandoned) == (1, 0)

    in_host(host, lambda: opened(host, workflow, use))


def test_a_run_that_has_ended_takes_nothing_and_says_so(host: Host) -> None:
    """What only looks still does; what ends a run has nothing to do."""
    kept: list[Any] = []

    async def use(run: Any) -> None:
        kept.append(run)
        await run.ask(1, to="work")

    async def main() -> None:
        await opened(host, crashing(), use)
        (run,) = kept
        for late in (partial(run.send, 1, to="work"), partial(run.ask, 1, to="work")):
            with pytest.raises(trouper.NodeEnded) as caught:
                await late()
            assert caught.value.payload == 1
        controls: dict[str, Any] = {"pause": {}, "reconfigure": {"timeout": 1}}
        for control, changes in controls.items():
            with pytest.raises(trouper.NotRunning, match=rf"{control}\(\) of .* has ended"):
                await maybe(getattr(run, control)("work", **changes))
        for control in ("stop", "resume", "kill"):  # it does not run, as was wanted
            await maybe(getattr(run, control)("work"))
        run.cancel()
        assert (await run.drain()).status == (await run.wait()).status == "completed"
        assert run.result().status == run.status().status == "completed"
        assert run.status().nodes["work"].received == 1
        assert run.dead_letters() == ()
        if host != "trio":
            with pytest.raises(trouper.NotRunning, match=r"redeliver\(\) of run"):
                await maybe(run.redeliver(()))
            with pytest.raises(RuntimeError, match="the run has ended"):
                await maybe(run.call_there(trio.lowlevel.checkpoint))

    in_host(host, main)


def test_a_block_that_raises_gives_up_what_is_in_hand(host: Host) -> None:
    """X6, X12: cancelled is not failed: no attempt counts, and nothing is left of the run."""
    workflow = trouper.Workflow("busy")
    cleaned: list[str] = []

    @workflow.actor
    async def busy(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            try:
                await trio.sleep_forever()
            finally:
                cleaned.append("up")

    kept: list[Any] = []

    async def use(run: Any) -> None:
        kept.append(run)
        await run.send(1, to="busy")
        await until(host, lambda: run.status().edges[0].leased == 1)
        raise Injected

    async def main() -> trouper.WorkflowResult:
        with pytest.raises(Injected):
            await opened(host, workflow, use)
        assert host in ("trio", "blocking") or len(asyncio.all_tasks()) == 1
        assert not [each for each in threading.enumerate() if each.name == "trouper"]
        result: trouper.WorkflowResult = await kept[0].wait()
        return result

    result: trouper.WorkflowResult = in_host(host, main)
    assert (cleaned, result.status, result.nodes["busy"].failed) == (["up"], "cancelled", 0)
    (letter,) = result.dead_letters
    assert (letter.reason, letter.attempts) == ("stopped", ())
