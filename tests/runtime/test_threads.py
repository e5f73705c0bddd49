"""Blocking bodies: in worker threads, beside everything else, and told when they are cancelled."""

import logging
import threading
from collections.abc import Awaitable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.runtime._threads import call_in_thread

PATIENCE = 200.0
"""Seconds: only what hangs takes them."""


async def test_a_blocking_body_stalls_nobody() -> None:
    """F22: it may be sync at all, and its siblings go on meanwhile."""
    release = threading.Event()
    wf = trouper.Workflow()

    @wf.task
    def blocking(ctx: trouper.TaskContext) -> str:
        assert release.wait(PATIENCE)
        return threading.current_thread().name

    @wf.task
    async def sibling(ctx: trouper.TaskContext) -> str:
        await trio.lowlevel.checkpoint()
        release.set()
        return threading.current_thread().name

    outputs = (await wf.execute()).unwrap()
    assert outputs["sibling"] == threading.current_thread().name
    assert outputs["blocking"] != outputs["sibling"]


async def test_sixty_bodies_may_block_at_once() -> None:
    """F22: not under trio's limiter of 40, where bodies that wait for each other would hang."""
    all_here = threading.Barrier(60, timeout=PATIENCE)
    wf = trouper.Workflow()
    for number in range(60):

        @wf.task(name=f"t{number}")
        def meet(ctx: trouper.TaskContext) -> int:
            return all_here.wait()

    outputs = (await wf.execute()).unwrap()
    assert sorted(outputs.values()) == list(range(60))


async def test_a_thread_has_the_context_of_its_task() -> None:
    wf = trouper.Workflow()

    @wf.task
    def sync(ctx: trouper.TaskContext) -> bool:
        ctx.set_result("name", ctx.action.name)
        return trouper.ctx() is ctx

    result = await wf.execute()
    assert result.outputs == {"sync": True}
    assert result.results == {"name": "sync"}


async def test_an_awaitable_from_a_sync_body_is_awaited() -> None:
    wf = trouper.Workflow()

    async def later() -> int:
        await trio.lowlevel.checkpoint()
        return 3

    @wf.task
    def early(ctx: trouper.TaskContext) -> Any:
        found: Awaitable[int] = later()
        return found

    assert (await wf.execute()).unwrap() == {"early": 3}


async def test_an_error_of_a_thread_arrives_bare() -> None:
    wf = trouper.Workflow()
    error = ZeroDivisionError("in a thread")

    @wf.task
    def divide(ctx: trouper.TaskContext) -> None:
        raise error

    assert (await wf.execute()).error is error


class Body:
    """A blocking body that ends when it hears of its cancel, or only when it is let go."""

    def __init__(self, *, listens: bool) -> None:
        self.listens = listens
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        try:
            while not self.let_go.wait(0.002):
                if self.listens:
                    trio.from_thread.check_cancelled()
        finally:
            self.ended.set()

    async def wait_begun(self) -> None:
        await trio.to_thread.run_sync(self.begun.wait, PATIENCE)


async def test_a_thread_that_listens_ends_within_its_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """X6: nothing of it is left, and nothing is said."""
    body = Body(listens=True)
    wf = trouper.Workflow()
    # A budget that the test could not wait for.
    wf.task(name="listener", shutdown=1e6)(lambda: body())
    async with wf.open() as run:
        await body.wait_begun()
        run.cancel()
        result = await run.wait()
    assert body.ended.is_set()
    assert result.status == "cancelled"
    assert caplog.records == []


async def test_a_thread_that_ignores_its_cancel_is_abandoned_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """X6: the only thing that may outlive a run, and it is said which."""
    body = Body(listens=False)
    wf = trouper.Workflow()
    wf.task(name="stubborn", shutdown=0.05)(lambda: body())
    with caplog.at_level(logging.WARNING, "trouper"):
        async with wf.open() as run:
            await body.wait_begun()
            run.cancel()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["thread of stubborn ignored its cancel for 0.05 s and is abandoned"]
    assert not body.ended.is_set()
    body.let_go.set()
    assert body.ended.wait(PATIENCE)


async def test_a_thread_that_ends_in_time_by_itself_is_not_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = Body(listens=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: call_in_thread(body, name="short", budget=1e6))
        await body.wait_begun()
        threading.Timer(0.02, body.let_go.set).start()
        nursery.cancel_scope.cancel()
    assert body.ended.is_set()
    assert caplog.records == []


async def test_a_cancelled_call_starts_no_thread(autojump_clock: MockClock) -> None:
    called: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await call_in_thread(called.append, 1, name="never", budget=100.0)
    assert scope.cancelled_caught
    assert called == []
    assert trio.current_time() == pytest.approx(0)
