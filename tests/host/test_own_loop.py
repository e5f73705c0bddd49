"""The asyncio loop of a run that has no host in asyncio: how it ends, and what it leaves."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sniffio
import trio
import trio.testing

import trouper
from harness.hosts import run_in
from trouper.runtime.host import _own_loop
from trouper.runtime.host._asyncio_job import Job, Terms
from trouper.runtime.host._asyncio_side import LoopClosed


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


def test_anyio_knows_where_it_runs_though_anyio_has_started_trio() -> None:
    async def here() -> str:
        await anyio.lowlevel.checkpoint()
        return sniffio.current_async_library()

    workflow = trouper.Workflow("here")
    workflow.task(trouper.asyncio_bridge(here))
    assert anyio.run(workflow.execute, backend="trio").unwrap() == {"here": "asyncio"}


def stop_it() -> None:
    asyncio.get_running_loop().stop()


def exit_in_a_task() -> None:
    async def leave() -> None:
        raise SystemExit(7)

    task = asyncio.create_task(leave())
    task.add_done_callback(asyncio.Task.exception)  # it is heard of


@pytest.mark.parametrize("end_it", [stop_it, exit_in_a_task])
def test_a_loop_that_is_ended_from_inside_is_told_and_replaced(end_it: Callable[[], None]) -> None:
    """What waited fails, and is restarted: it has another loop then."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def stubborn(number: int) -> int:
        loops.append(asyncio.get_running_loop())
        if len(loops) == 1:
            end_it()
            await asyncio.Event().wait()
        return number

    workflow = trouper.Workflow("stubborn")
    workflow.add(trouper.asyncio_bridge(stubborn), max_attempts=2, max_restarts=1)

    async def use(run: Any) -> None:
        assert await run.ask(5, to="stubborn") == 5

    result = run_in("trio", workflow, use)
    assert loops[0].is_closed()
    assert loops[-1] is not loops[0]
    assert "its loop shuts down" in str(result.nodes["stubborn"].failures[0])


def test_what_comes_while_a_loop_still_ends_has_another_one() -> None:
    """X6: in the old one it would be a task that nobody runs to its end."""
    loops: list[asyncio.AbstractEventLoop] = []
    may_end: list[asyncio.Event] = []
    left: list[asyncio.Task[None]] = []

    async def careful() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_end[0].wait()

    async def stubborn(number: int) -> int:
        loop = asyncio.get_running_loop()
        if not loops:
            loops.append(loop)
            may_end.append(asyncio.Event())
            left.append(asyncio.create_task(careful()))
            await asyncio.sleep(0)
            loop.stop()
            await asyncio.Event().wait()
        assert not loops[0].is_closed()
        loops[0].call_soon_threadsafe(may_end[0].set)
        loops.append(loop)
        return number

    workflow = trouper.Workflow("stubborn")
    workflow.add(trouper.asyncio_bridge(stubborn), max_attempts=2, max_restarts=1)

    async def use(run: Any) -> None:
        assert await run.ask(5, to="stubborn") == 5

    run_in("trio", workflow, use)
    assert [loop.is_closed() for loop in loops] == [True, True]


async def test_what_was_on_its_way_to_a_loop_that_ends_is_told() -> None:
    own, gate = _own_loop.OwnLoop(), threading.Event()
    side = own.side
    job = Job(side, partial(double, 1), copy_context(), Terms("late"))
    side.post(gate.wait)

    async def run() -> None:
        with pytest.raises(LoopClosed, match="runs late is closed"):
            await side.run(job)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        side.is_ending = True
        gate.set()
    side.is_ending = False
    await own.close()


def test_what_is_left_in_the_run_s_own_loop_is_ended_with_it() -> None:
    """X6: tasks that a function has started and left are cancelled, and waited for."""
    seen: list[str] = []
    left: list[asyncio.Task[None]] = []  # asyncio itself holds no task that waits

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    async def start() -> str:
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        return str(left[0].done())

    workflow = trouper.Workflow("left")
    workflow.task(trouper.asyncio_bridge(start))
    assert trouper.run(workflow, workspace=False).unwrap() == {"start": "False"}
    assert seen == ["cleaned up"]


def test_what_is_deaf_in_the_run_s_own_loop_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_own_loop, "BUDGET", 0.01)
    release: list[asyncio.Event] = []

    async def deaf() -> None:
        while True:
            try:
                await release[0].wait()
            except asyncio.CancelledError:
                continue

    async def start() -> None:
        release.append(asyncio.Event())
        task = asyncio.create_task(deaf(), name="the deaf one")
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is the test
        await asyncio.sleep(0)

    workflow = trouper.Workflow("left")
    workflow.task(trouper.asyncio_bridge(start))
    assert trouper.run(workflow, workspace=False).status == "completed"
    assert "the deaf one" in caplog.text
    assert "ignored its cancel for 0.01 s" in caplog.text


def test_a_loop_of_its_own_that_blocks_does_not_hold_up_the_end_of_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_own_loop, "PATIENCE", 0.01)
    released = threading.Event()
    threads: list[threading.Thread] = []

    async def block() -> None:
        threads.append(threading.current_thread())
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(released.wait))  # after this task's end is told

    workflow = trouper.Workflow("blocking")
    workflow.task(trouper.asyncio_bridge(block))
    assert trouper.run(workflow, workspace=False).status == "completed"
    assert "the thread of asyncio blocks for 0.01 s and is abandoned" in caplog.text
    released.set()
    threads[0].join()


def test_a_run_in_a_body_shares_the_loop_of_the_run_around_it() -> None:
    async def loop() -> int:
        return id(asyncio.get_running_loop())

    inner = trouper.Workflow("inner")
    inner.task(trouper.asyncio_bridge(loop))
    outer = trouper.Workflow("outer")

    @outer.task
    async def body() -> list[int]:
        first = await trouper.asyncio_bridge(loop)()
        result = await inner.execute()
        again = await trouper.asyncio_bridge(loop)()
        return [first, result.unwrap()["loop"], again]

    assert len(set(trouper.run(outer, workspace=False).unwrap()["body"])) == 1


env = trouper.TaskEnvironment("bridged")


@env.task
async def inner_task(number: int) -> int:
    return await trouper.asyncio_bridge(double)(number)


@env.task
def sync_task(number: int) -> int:
    return trio.from_thread.run(trouper.asyncio_bridge(double), number)


@env.task
async def outer_task() -> tuple[int, int, int, int]:
    async def loop(ctx: trouper.TaskContext | None) -> tuple[int, int]:
        assert ctx is not None
        return id(asyncio.get_running_loop()), ctx.attempt

    one, other = await trouper.gather(inner_task(1), sync_task.aio(2))
    return one, other, *await trouper.asyncio_bridge(loop)(trouper.ctx())


def test_tasks_that_call_tasks_may_call_it() -> None:
    run = trouper.with_runcontext(workspace=False).run(outer_task)
    assert tuple(run.outputs())[:2] == (2, 4)
    assert run.outputs()[3] == 1

    async def go() -> tuple[int, int]:
        run = await trouper.with_runcontext(workspace=False).run.aio(outer_task)
        return run.outputs()[2], id(asyncio.get_running_loop())

    there, here = asyncio.run(go())
    assert there == here
