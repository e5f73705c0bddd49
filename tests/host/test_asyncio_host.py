"""A run inside of an asyncio program: `async with trouper.open(wf) as run:`."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import trio

import trouper
from harness.hosts import in_asyncio, until

Host = Literal["thread", "guest"]
pytestmark = pytest.mark.parametrize("host", ["thread", "guest"])

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


def doubling() -> trouper.Workflow:
    workflow = trouper.Workflow("doubling")

    @workflow.actor
    async def double(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for number in ctx:
            if number < 0:
                raise ValueError(f"{number} is negative")
            yield number * 2

    @workflow.actor
    async def echo(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            await ctx.reply((number, color.get(), threading.get_ident()))

    return workflow


def test_messages_in_and_out(host: Host) -> None:
    async def main() -> None:
        async with trouper.open(doubling(), host=host) as run:
            assert isinstance(run, trouper.AsyncioRun)
            async with run.stream("double") as numbers:
                for number in range(5):
                    await run.send(number, to="double")
                assert [await anext(numbers) for _ in range(5)] == [0, 2, 4, 6, 8]
            assert run.status().nodes["double"].received == 5
            result = await run.drain()
        assert (result.status, result.outputs["double"]) == ("completed", 8)
        assert run.has_ended
        assert (await run.wait()).status == "completed"
        assert run.dead_letters() == ()

    in_asyncio(main)


def test_a_question_is_answered_in_trio(host: Host) -> None:
    async def main() -> None:
        async with trouper.open(doubling(), host=host) as run:
            _, _, thread = await run.ask(1, to="echo")
            assert (thread == threading.get_ident()) == (host == "guest")
            answers = await asyncio.gather(*(run.ask(n, to="echo") for n in range(64)))
            assert [number for number, _, _ in answers] == list(range(64))

    in_asyncio(main)


def test_errors_arrive_with_their_causes(host: Host) -> None:
    async def main() -> None:
        async with trouper.open(doubling(), host=host) as run:
            with pytest.raises(trouper.AskFailed) as caught:
                await run.ask(-1, to="double")
            assert "-1 is negative" in str(caught.value)
            with pytest.raises(ValueError, match="there is no node 'duoble'; did you mean"):
                await run.ask(1, to="duoble")
            with pytest.raises(TypeError, match="double"):
                await run.send("one", to="double")

    in_asyncio(main)


def test_a_full_mailbox_makes_send_wait_and_a_cancel_crosses(host: Host) -> None:
    workflow = trouper.Workflow("slow")

    @workflow.actor(capacity=1)
    async def slow(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async def main() -> None:
        async with trouper.open(workflow, host=host) as run:
            # One is in hand, one in the buffer; the third waits.
            await run.send(1)
            await until(lambda: not run.status().nodes["slow"].depth)
            await run.send(2)
            third = asyncio.create_task(run.send(3))
            await until(lambda: bool(run.status().edges[0].blocked))
            third.cancel()
            with pytest.raises(asyncio.CancelledError):
                await third
            edge = run.status().edges[0]
            assert (edge.sent, edge.queued, edge.leased) == (2, 1, 1)
            run.cancel("enough")
            assert (await run.wait()).reason == "enough"

    in_asyncio(main)


def test_a_cancel_waits_for_the_clean_up_of_actors(host: Host) -> None:
    """X12: what the host cancels is cancelled in order, and its `finally` blocks have run."""
    seen: list[str] = []
    workflow = trouper.Workflow("careful")

    @workflow.actor
    async def careful(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            seen.append("cleaned up")

    async def use(opened: asyncio.Event) -> None:
        async with trouper.open(workflow, host=host) as run:
            await until(lambda: run.status().nodes["careful"].state == "running")
            opened.set()
            await asyncio.Event().wait()

    async def main() -> None:
        opened = asyncio.Event()
        task = asyncio.create_task(use(opened))
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cleaned up"]

    in_asyncio(main)


def test_context_variables_are_carried_across(host: Host) -> None:
    """X1: a call has the caller's; the actors keep their own."""
    seen: list[str] = []

    async def main() -> None:
        async with trouper.open(doubling(), host=host) as run:
            with pytest.raises(trouper.AskFailed):
                await run.ask(-1, to="double")
            token = color.set("red")
            assert await run.redeliver(lambda _letter: seen.append(color.get())) == 0
            _, in_actor, _ = await run.ask(1, to="echo")
            color.reset(token)
        assert (seen, in_actor) == (["red"], "none")

    in_asyncio(main)


def test_functions_of_trio_can_be_called_there(host: Host) -> None:
    async def there(text: str, *, ending: str) -> str:
        await trio.lowlevel.checkpoint()
        return text + ending

    async def main() -> None:
        run = trouper.open(doubling(), host=host)
        assert isinstance(run, trouper.AsyncioRun)
        async with run:
            assert await run.call_there(there, "in trio", ending="!") == "in trio!"
        with pytest.raises(RuntimeError, match="the run has ended"):
            await run.call_there(there, "late", ending="!")

    in_asyncio(main)


def test_a_slow_reader_slows_the_actors(host: Host) -> None:
    """Back-pressure crosses: no more is made than the way and the buffers hold."""
    made = 0
    workflow = trouper.Workflow("eager")

    @workflow.actor
    async def eager(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        nonlocal made
        while not ctx.stopping:
            made += 1
            yield made

    async def main() -> None:
        nonlocal made
        async with trouper.open(workflow, host=host) as run:
            async with run.stream("eager", capacity=8) as numbers:
                first = await anext(numbers)
                last = first + 5_000
                assert [await anext(numbers) for _ in range(5_000)] == [*range(first + 1, last + 1)]
                assert made <= last + 1_024 + 8 + 2
            run.cancel()

    in_asyncio(main)


def test_what_is_not_legal_is_refused(host: Host) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="choose 'thread' or 'guest'"):
            trouper.open(doubling(), host="process")  # type: ignore[arg-type]  # on purpose
        with pytest.raises(TypeError, match=r"takes a trouper\.Workflow"):
            trouper.open("doubling", host=host)  # type: ignore[arg-type]  # on purpose
        run = trouper.open(doubling(), host=host)
        with pytest.raises(RuntimeError, match="has not begun"):
            await run.send(1, to="double")
        async with run:
            with pytest.raises(RuntimeError, match="open another one"):
                await run.__aenter__()
        with pytest.raises(trouper.NodeEnded) as caught:
            await run.send(7, to="double")
        assert caught.value.payload == 7

    in_asyncio(main)
    with pytest.raises(RuntimeError, match="open_blocking"):
        trouper.open(doubling(), host=host)


def test_a_block_that_raises_cancels_the_run(host: Host) -> None:
    async def main() -> None:
        run = trouper.open(doubling(), host=host)
        with pytest.raises(KeyError):
            async with run:
                raise KeyError("mine")
        assert "KeyError('mine')" in (await run.wait()).reason

    in_asyncio(main)


def test_a_workflow_that_fails_in_the_middle_says_why(host: Host) -> None:
    workflow = trouper.Workflow("failing")

    @workflow.actor(max_restarts=0)
    async def failing(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            raise ZeroDivisionError(str(number))

    async def main() -> None:
        async with trouper.open(workflow, host=host) as run:
            await run.send(1)
            result = await run.wait()
            assert isinstance(result.error, ZeroDivisionError)
            with pytest.raises(trouper.NodeEnded):
                await run.send(2)

    in_asyncio(main)


def test_calls_share_tasks_but_no_context(host: Host) -> None:
    """A task that awaits call after call begins from its caller's variables, and keeps none."""

    async def seen(reading: str) -> tuple[str, trio.lowlevel.Task]:
        before = color.get()
        color.set(reading)
        await trio.lowlevel.checkpoint()
        return before, trio.lowlevel.current_task()

    async def main() -> None:
        run = trouper.open(doubling(), host=host)
        assert isinstance(run, trouper.AsyncioRun)
        async with run:
            color.set("red")
            first, task = await run.call_there(seen, "there")
            color.set("green")
            second, again = await run.call_there(seen, "there")
            assert (first, second, again is task) == ("red", "green", True)
            together = await asyncio.gather(*(run.call_there(seen, "there") for _ in range(100)))
            assert {before for before, _ in together} == {"green"}
            assert len({id(each) for _, each in together}) > 1

    in_asyncio(main)


def test_a_cancelled_call_costs_no_other_its_task(host: Host) -> None:
    async def main() -> None:
        run = trouper.open(doubling(), host=host)
        assert isinstance(run, trouper.AsyncioRun)
        async with run:
            for _ in range(3):
                waiting = asyncio.ensure_future(run.call_there(trio.sleep_forever))
                await run.call_there(trio.lowlevel.checkpoint)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert (await run.ask(1, to="echo"))[0] == 1

    in_asyncio(main)
