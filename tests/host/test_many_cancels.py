"""A wait for another thread that is cancelled in each round of the loop, as an anyio scope does."""

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Literal

import anyio
import pytest
import trio

import trouper
from harness.hosts import in_asyncio, opened, relaying, until
from trouper.runtime.host import _give_way, _session
from trouper.runtime.host._far import Queue
from trouper.runtime.host._outlast import outlast

Host = Literal["thread", "guest"]
HOSTS = pytest.mark.parametrize("host", ["thread", "guest"])
MANY = 1_000


async def cancel_many(task: "asyncio.Task[Any]", what: str = "") -> None:
    """Cancel a task, in as many rounds of the loop."""
    for number in range(MANY):
        task.cancel(f"{what} {number}")
        await asyncio.sleep(0)


def test_a_queue_does_what_waits_and_then_lets_its_loop_get_on() -> None:
    """It never ended while another thread handed over more, all the time."""
    wakes: list[Callable[[], None]] = []
    queue, done = Queue(wakes.append), list[int]()

    def again() -> None:
        done.append(1)
        queue.post(again)

    queue.post(again)
    queue.post(again)
    for rounds in range(1, 4):
        wakes.pop()()
        assert len(done) == 2 * rounds
        assert len(wakes) == 1  # for what was handed over meanwhile


@pytest.mark.parametrize("gives_way", [True, False])
def test_the_other_thread_is_told_once_and_has_its_turn(
    monkeypatch: pytest.MonkeyPatch, gives_way: bool
) -> None:
    told: list[None] = []
    pauses: list[float] = []

    class Time:
        perf_counter = count(1.0).__next__

        @staticmethod
        def sleep(seconds: float) -> None:
            pauses.append(seconds)

    monkeypatch.setattr(_give_way, "time", Time)

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        wait = outlast(future, lambda: told.append(None), gives_way=gives_way)
        waiting = asyncio.create_task(wait)
        await asyncio.sleep(0)
        await cancel_many(waiting, "cancel")
        assert not waiting.done()
        future.set_result(None)
        with pytest.raises(asyncio.CancelledError, match=r"^cancel 0$"):
            await waiting

    in_asyncio(main)
    assert told == [None]
    assert pauses == [_give_way.PAUSE] * (MANY if gives_way else 0)


@HOSTS
def test_a_run_that_is_left_so_is_cancelled_once(
    monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    """X6: and ends, though the clean-up there takes longer than all these cancels."""
    asked: list[str] = []
    cleaned_up: list[str] = []
    leave, clean_up = _session.Session.leave, trio.Event()
    workflow = trouper.Workflow("careful")

    def counted(session: _session.Session, why_cancelled: str = "") -> None:
        asked.append(why_cancelled)
        leave(session, why_cancelled)

    monkeypatch.setattr(_session.Session, "leave", counted)

    @workflow.actor
    async def careful(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        try:
            async for _ in ctx:
                await ctx.reply("here")
                await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await clean_up.wait()
            cleaned_up.append("careful")

    async def main() -> None:
        run = opened(workflow, host)

        async def use() -> None:
            async with run:
                assert await run.ask(1, to="careful") == "here"

        using = asyncio.create_task(use())
        await until(lambda: asked)
        await cancel_many(using)
        assert not cleaned_up
        run._far.post(clean_up.set)
        with pytest.raises(asyncio.CancelledError):
            await using

    in_asyncio(main)
    assert cleaned_up == ["careful"]
    assert asked == ["", "the task that drained it was cancelled"]


@HOSTS
def test_a_call_that_is_cancelled_so_is_waited_for(host: Host) -> None:
    begun, clean_up, ended = asyncio.Event(), trio.Event(), list[str]()

    async def careful(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await clean_up.wait()
            ended.append("careful")

    async def main() -> None:
        async with opened(relaying(), host) as run:
            calling = asyncio.create_task(run.call_there(careful, asyncio.get_running_loop()))
            await begun.wait()
            await cancel_many(calling)
            assert not ended
            run._far.post(clean_up.set)
            with pytest.raises(asyncio.CancelledError):
                await calling
            assert ended == ["careful"]
            assert await run.ask(1, to="relay") == 1

    in_asyncio(main)


def test_a_task_that_is_awaited_so_is_waited_for() -> None:
    begun, clean_up, ended = threading.Event(), threading.Event(), list[str]()

    @trouper.TaskEnvironment("careful").task
    async def careful() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            clean_up.wait()
            ended.append("careful")

    async def main() -> None:
        waiting = asyncio.ensure_future(trouper.with_runcontext().run.aio(careful))
        await asyncio.to_thread(begun.wait)
        await cancel_many(waiting)
        assert not ended
        clean_up.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended == ["careful"]

    in_asyncio(main)


def test_the_end_of_the_loop_waits_for_a_task_too() -> None:
    """`asyncio.run()` cancels what is left, and so nothing outlives it."""
    begun, ended = threading.Event(), list[str]()

    @trouper.TaskEnvironment("careful").task
    async def careful() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            ended.append("careful")

    waiting: list[asyncio.Future[Any]] = []

    async def main() -> None:
        waiting.append(asyncio.ensure_future(trouper.with_runcontext().run.aio(careful)))
        await asyncio.to_thread(begun.wait)

    in_asyncio(main)
    assert ended == ["careful"]
    assert waiting[0].cancelled()


@HOSTS
def test_an_anyio_scope_takes_what_it_has_cancelled(host: Host) -> None:
    async def main() -> None:
        async with opened(relaying(), host) as run:
            with anyio.CancelScope() as scope:
                asyncio.get_running_loop().call_soon(scope.cancel)
                await run.call_there(trio.sleep_forever)
            assert scope.cancelled_caught
            assert await run.ask(1, to="relay") == 1

    in_asyncio(main)
