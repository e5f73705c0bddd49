"""Sync tasks: worker threads, calls from within them, and their cancel."""

import threading
import time
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("sync")
runner = trouper.with_runcontext(name="sync")


async def run(task: Any, *args: Any) -> Any:
    (value,) = (await runner.run.aio(task, *args)).outputs()
    return value


@env.task
def thread_here() -> int:
    return threading.get_ident()


@env.task
async def thread_of_loop() -> int:
    return threading.get_ident()


async def test_a_sync_task_runs_in_a_thread_of_its_own() -> None:
    @env.task(name="from_async")
    async def from_async() -> bool:
        return await thread_here.aio() != threading.get_ident()

    assert await run(from_async)


async def test_a_sync_task_of_a_sync_task_runs_in_the_same_thread() -> None:
    @env.task(name="from_sync")
    def from_sync() -> bool:
        return thread_here() == threading.get_ident()

    assert await run(from_sync)


async def test_a_sync_task_calls_an_async_one() -> None:
    """It waits for it, in its own thread."""

    @env.task(name="calls_async")
    def calls_async() -> tuple[int, bool]:
        return thread_of_loop.wait(), thread_of_loop.wait() != threading.get_ident()

    assert (await runner.run.aio(calls_async)).outputs() == (threading.get_ident(), True)


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_thousand_calls_deep(retries: int) -> None:
    """F38: 200 nested calls overflowed the stack."""

    @env.task(name=f"deep_sync_{retries}", retries=retries)
    def deep_sync(n: int) -> int:
        value: int = 0 if n == 0 else 1 + deep_sync(n - 1)
        return value

    assert await run(deep_sync, 1_000) == 1_000


async def test_a_failure_a_thousand_calls_deep() -> None:
    """F35, F38: it comes up through all of their threads, as it is."""

    @env.task(name="falls")
    def falls(n: int) -> None:
        if n == 0:
            raise OSError("at the bottom")
        falls(n - 1)

    with pytest.raises(RuntimeUserError, match="at the bottom") as caught:
        await run(falls, 1_000)
    assert isinstance(caught.value.__cause__, OSError)


async def test_sixty_that_wait_for_each_other_exhaust_no_limiter() -> None:
    """Each async task below a sync one needs another thread: trio's limiter has 40."""

    @env.task(name="nested_sync")
    def nested_sync(n: int) -> int:
        value: int = 0 if n == 0 else 1 + nested_async.wait(n - 1)
        return value

    @env.task(name="nested_async")
    async def nested_async(n: int) -> int:
        return await nested_sync.aio(n)

    assert await run(nested_sync, 60) == 60


async def test_sixty_side_by_side() -> None:
    barrier = threading.Barrier(60, timeout=60)

    @env.task(name="meets")
    def meets(n: int) -> int:
        barrier.wait()
        return n

    @env.task(name="all_meet")
    async def all_meet() -> list[int]:
        return await trouper.gather(*(meets.aio(n) for n in range(60)))

    assert await run(all_meet) == list(range(60))


async def test_failures_come_up_through_threads() -> None:
    @env.task(name="fails_below")
    def fails_below() -> None:
        raise OSError("below")

    @env.task(name="middle")
    async def middle() -> None:
        await fails_below.aio()

    @env.task(name="above")
    def above() -> None:
        middle.wait()

    with pytest.raises(RuntimeUserError) as caught:
        await runner.run.aio(above)
    assert caught.value.action == "above/middle-1/fails_below-1"
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_cancel_reaches_what_a_thread_waits_for() -> None:
    ended: list[str] = []
    waiting = trio.Event()

    @env.task(name="waits_in_loop")
    async def waits_in_loop() -> None:
        try:
            waiting.set()
            await trio.sleep_forever()
        finally:
            ended.append("async")

    @env.task(name="waits_in_thread")
    def waits_in_thread() -> None:
        try:
            waits_in_loop.wait()
        finally:
            ended.append("sync")

    async with runner.open(waits_in_thread) as run:
        await waiting.wait()
        run.abort()
    assert ended == ["async", "sync"]
    assert [each.phase for each in run.actions().walk()] == ["cancelled", "cancelled"]


async def test_a_cancel_stops_a_thread_at_its_next_call() -> None:
    calling = trio.Event()

    @env.task(name="nothing")
    def nothing() -> None: ...

    @env.task(name="says_so")
    async def says_so() -> None:
        calling.set()

    @env.task(name="loops")
    def loops() -> None:
        says_so.wait()
        while True:
            nothing()
            time.sleep(0.001)

    async with runner.open(loops) as run:
        await calling.wait()
        run.abort()
    assert run.phase == "cancelled"


async def test_a_run_started_in_a_thread_is_cancelled_with_it() -> None:
    ended: list[str] = []
    started = threading.Event()

    @env.task(name="inner_wait")
    async def inner_wait() -> None:
        try:
            started.set()
            await trio.sleep_forever()
        finally:
            ended.append("inner")

    @env.task(name="starts_run")
    def starts_run() -> None:
        trouper.with_runcontext(name="inner-run").run(inner_wait)

    async with runner.open(starts_run) as run:
        await trio.to_thread.run_sync(started.wait)
        run.abort()
    assert ended == ["inner"]
    assert run.phase == "cancelled"


async def test_a_run_started_in_a_thread_ends_and_the_task_goes_on() -> None:
    @env.task(name="inner_value")
    async def inner_value() -> int:
        return 7

    @env.task(name="starts_and_reads")
    def starts_and_reads() -> int:
        (value,) = trouper.with_runcontext(name="inner-run").run(inner_value).outputs()
        number: int = value
        return number

    assert await run(starts_and_reads) == 7


async def test_a_sync_node_of_a_graph_calls_tasks() -> None:
    wf = trouper.Workflow("graph")

    @wf.task
    def node() -> list[bool]:
        here = threading.get_ident()
        return [thread_here() == here, thread_of_loop.wait() == here]

    assert (await wf.execute()).unwrap() == {"node": [True, False]}


async def test_what_a_sync_node_calls_ends_with_the_run() -> None:
    ended: list[str] = []
    begun = trio.Event()
    wf = trouper.Workflow("graph")

    @env.task(name="waits_below_node")
    async def waits_below_node() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            ended.append("finally")

    @wf.task
    def node() -> None:
        waits_below_node.wait()

    @wf.task
    async def fails() -> None:
        await begun.wait()
        raise OSError("broken")

    result = await wf.execute()
    assert result.failed_node == "fails"
    assert ended == ["finally"]


async def test_the_rightly_typed_forms_refuse_the_wrong_place() -> None:
    @env.task(name="waits_in_async")
    async def waits_in_async() -> None:
        thread_of_loop.wait()

    @env.task(name="aio_in_sync")
    def aio_in_sync() -> None:
        _ = thread_here.aio()

    with pytest.raises(RuntimeUserError, match="would block the event loop"):
        await runner.run.aio(waits_in_async)
    with pytest.raises(RuntimeUserError, match="is for async code"):
        await runner.run.aio(aio_in_sync)


async def test_a_thread_that_outlives_its_budget_calls_nothing_any_more() -> None:
    gone, said = threading.Event(), threading.Event()
    answers: list[str] = []

    @env.task(name="deaf", shutdown=0.001)
    def deaf() -> None:
        started.set()
        gone.wait(60)
        try:
            thread_of_loop.wait()
        except RuntimeError as error:
            answers.append(str(error))
        finally:
            said.set()

    started = threading.Event()
    async with runner.open(deaf) as run:
        await trio.to_thread.run_sync(started.wait)
        run.abort()
    gone.set()
    await trio.to_thread.run_sync(said.wait, 60.0)
    assert "deaf was abandoned" in answers[0]


async def test_what_a_thread_begins_after_its_budget_is_cancelled() -> None:
    """X6: it took the whole event loop along, by a task in a nursery that was closed."""
    started, gone, said = threading.Event(), threading.Event(), threading.Event()
    reasons: list[str] = []

    @env.task(name="endless")
    async def endless() -> None:
        await trio.sleep_forever()

    @env.task(name="deaf_starter", shutdown=0.001)
    def deaf_starter() -> None:
        started.set()
        gone.wait(60)
        try:
            trouper.with_runcontext().run(endless)
        except trouper.RunCancelled as error:
            reasons.append(str(error))
        finally:
            said.set()

    async with runner.open(deaf_starter) as run:
        await trio.to_thread.run_sync(started.wait)
        run.abort()
    gone.set()
    await trio.to_thread.run_sync(said.wait, 60.0)
    assert reasons[0].endswith("deaf_starter, which has started it, was cancelled")
