"""The handle of a run of tasks: looked at, waited for, aborted, cancelled."""

import asyncio
import threading
from typing import Any

import pytest
import trio
import trio.testing

import trouper
from trouper.runtime.tasks._runner import run_prepared

env = trouper.TaskEnvironment("handles")


async def test_a_live_run_tells_how_it_goes() -> None:
    """F33: the returned run was hollow."""
    begun, go_on = trio.Event(), trio.Event()

    @trouper.TaskEnvironment("live").task
    async def waits(n: int) -> int:
        begun.set()
        await go_on.wait()
        return n

    async with trouper.with_runcontext(name="live").open(waits, 3) as run:
        await begun.wait()
        assert (run.name, run.phase, run.done()) == ("live", "running", False)
        assert run.actions().phase == "running"
        assert run.actions().seconds == 0.0
        with pytest.raises(RuntimeError, match="goes on"):
            run.outputs()
        with pytest.raises(RuntimeError, match=r"await run\.wait\.aio\(\)"):
            run.wait()
        go_on.set()
        await run.wait.aio()
        assert (run.phase, run.done()) == ("completed", True)
    await run.wait.aio()
    assert run.outputs() == (3,)
    assert run.actions().seconds >= 0.0
    assert run.actions().started > 0.0


async def test_a_run_is_waited_for_from_other_threads() -> None:
    go_on = trio.Event()

    @trouper.TaskEnvironment("waited").task
    async def waits() -> None:
        await go_on.wait()

    async with trouper.with_runcontext().open(waits) as run:
        assert await trio.to_thread.run_sync(run.wait, 0.0) is False

        def wait_in_another_loop() -> bool:
            token.run_sync_soon(go_on.set)
            trio.run(run.wait.aio)
            return run.wait()

        token = trio.lowlevel.current_trio_token()
        assert await trio.to_thread.run_sync(wait_in_another_loop)


def waiting(go_on: threading.Event) -> Any:
    """Return a run that goes on in a thread, and that thread."""

    @trouper.TaskEnvironment("elsewhere").task
    async def waits() -> None:
        await trio.to_thread.run_sync(go_on.wait)

    run = trouper.with_runcontext().prepare(waits, (), {})
    thread = threading.Thread(target=run_prepared, args=(run,))
    thread.start()
    return run, thread


async def test_waits_that_are_given_up_leave_the_loop_its_threads() -> None:
    """X6: each kept one of trio's 40 until the run ended, which then hung what ends it, too."""
    go_on = threading.Event()
    run, thread = waiting(go_on)
    for _ in range(50):
        with trio.CancelScope() as scope:
            scope.cancel()
            await run.wait.aio()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(run.wait.aio)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(go_on.set)
    assert run.phase == "completed"
    await trio.to_thread.run_sync(thread.join)


def test_a_run_is_waited_for_in_asyncio() -> None:
    go_on = threading.Event()
    run, thread = waiting(go_on)

    async def wait() -> None:
        ended = asyncio.create_task(run.wait.aio())
        given_up = asyncio.create_task(run.wait.aio())
        await asyncio.sleep(0)
        given_up.cancel()
        go_on.set()
        await ended

    asyncio.run(wait())
    assert run.done()
    thread.join()


def test_the_end_of_a_run_survives_a_loop_that_waited_for_it() -> None:
    go_on = threading.Event()
    run, thread = waiting(go_on)
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(run.wait.aio())
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    go_on.set()
    thread.join()
    assert run.phase == "completed"
    waiter._log_destroy_pending = False  # type: ignore[attr-defined]  # that is the test


async def test_abort_runs_the_finally_blocks_of_every_task() -> None:
    """F36"""
    ended: list[str] = []

    @env.task(name="child_waits")
    async def child_waits() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("child")

    @env.task(name="parent_waits")
    async def parent_waits() -> None:
        try:
            await trouper.gather(child_waits(), child_waits())
        finally:
            ended.append("parent")

    async with trouper.with_runcontext().open(parent_waits) as run:
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(run.abort, "from a thread")
        run.abort("again")
    run.abort("too late")
    assert ended == ["child", "child", "parent"]
    assert [each.phase for each in run.actions().walk()] == ["cancelled"] * 3
    with pytest.raises(trouper.RunCancelled, match="from a thread"):
        run.outputs()


async def test_an_aborted_run_raises_where_it_is_awaited() -> None:
    with pytest.raises(trouper.RunCancelled, match=r"run\.abort"):
        await trouper.with_runcontext(name="suicide").run.aio(aborts_itself)


@env.task
async def aborts_itself() -> None:
    context = trouper.ctx()
    assert context is not None
    (run,) = (each for each in LIVE if each.name == context.action.run_name)
    run.abort()
    await trio.sleep_forever()


LIVE: list[Any] = []


@pytest.fixture(autouse=True)
def live_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from trouper.runtime.tasks._run import TaskRun

    original = TaskRun.go

    async def go(self: TaskRun) -> None:
        LIVE.append(self)
        await original(self)
        LIVE.remove(self)

    monkeypatch.setattr(TaskRun, "go", go)


async def test_an_exception_in_the_block_cancels_the_run() -> None:
    @env.task(name="cut_off")
    async def cut_off() -> None:
        await trio.sleep_forever()

    opened: list[Any] = []
    with pytest.raises(OSError, match="in the block"):
        async with trouper.with_runcontext().open(cut_off) as run:
            opened.append(run)
            raise OSError("in the block")
    assert opened[0].phase == "cancelled"


async def test_a_cancel_from_outside_is_told() -> None:
    @env.task(name="cut_from_outside")
    async def cut_from_outside() -> None:
        await trio.sleep_forever()

    opened: list[Any] = []
    with trio.CancelScope() as scope:
        async with trouper.with_runcontext().open(cut_from_outside) as run:
            opened.append(run)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert (opened[0].phase, opened[0].reason) == ("cancelled", "cancelled from outside")
