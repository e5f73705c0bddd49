"""Jobs that share trio tasks behave as if each had its own."""

import contextvars
import math
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trouper import OperationMeter
from trouper.actors._pool import Pool
from trouper.channels._meter import Pace

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="clean")


async def run_jobs(
    *jobs: Callable[[], Coroutine[Any, Any, None]], pace: Pace | None = None
) -> None:
    async with trio.open_nursery() as nursery:
        pool = Pool(nursery, contextvars.copy_context(), pace)
        for number, job in enumerate(jobs):
            pool.start(job, f"job {number}")


async def test_jobs_that_do_not_wait_share_a_task_and_its_order() -> None:
    seen: list[tuple[int, str]] = []
    tasks: set[trio.lowlevel.Task] = set()

    async def job(number: int) -> None:
        seen.append((number, trio.lowlevel.current_task().name))
        tasks.add(trio.lowlevel.current_task())

    await run_jobs(*(partial(job, n) for n in range(50)))
    assert seen == [(n, f"job {n}") for n in range(50)]
    assert len(tasks) == 1


async def test_jobs_that_wait_have_a_task_each(autojump_clock: MockClock) -> None:
    tasks: set[trio.lowlevel.Task] = set()

    async def job() -> None:
        await trio.sleep(1)
        tasks.add(trio.lowlevel.current_task())

    await run_jobs(*[job] * 20)
    assert len(tasks) == 20
    assert trio.current_time() == pytest.approx(1)


async def test_each_job_has_context_variables_of_its_own(autojump_clock: MockClock) -> None:
    """DESIGN: each task body runs in a fresh `contextvars` copy; threads and child tasks see it."""
    seen: list[str] = []

    async def child() -> None:
        seen.append(f"child {var.get()}")

    async def job(number: int, seconds: float) -> None:
        assert var.get() == "clean"
        var.set(f"of {number}")
        if seconds:
            await trio.sleep(seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        assert var.get() == f"of {number}"

    await run_jobs(*(partial(job, n, n % 2) for n in range(6)))
    assert sorted(seen) == [f"child of {n}" for n in range(6)]
    assert var.get() == "clean"


async def test_a_job_may_start_others_while_it_waits(autojump_clock: MockClock) -> None:
    """A chain of a thousand needs no stack, and no worker waits for another's job."""
    seen: list[int] = []
    async with trio.open_nursery() as nursery:
        pool = Pool(nursery, contextvars.copy_context())
        freed = trio.Event()

        async def job(number: int) -> None:
            seen.append(number)
            if number < 1000:
                pool.start(partial(job, number + 1), "next")
            if number == 0:
                await freed.wait()
            if number == 1000:
                freed.set()

        pool.start(partial(job, 0), "first")
    assert seen == list(range(1001))


async def test_cancel_scopes_and_timeouts_of_a_job_are_its_own(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    async def late() -> None:
        with trio.move_on_after(1):
            await trio.sleep(math.inf)
        ended.append("late")

    async def quick() -> None:
        ended.append("quick")

    await run_jobs(late, quick, late)
    assert ended == ["quick", "late", "late"]


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ("cancelled", False),
        ("timed", False),
        *((kind, True) for kind in ("cancelled", "timed", "shielded", "plain")),
    ],
)
async def test_a_scope_that_a_job_leaves_open_does_not_reach_the_next(
    kind: str, waits: bool, autojump_clock: MockClock
) -> None:
    """Each job is as free as in a trio task of its own, whatever the one before has left open."""
    left_open: list[trio.CancelScope] = []
    ended: list[str] = []

    async def careless() -> None:
        if waits:
            await trio.sleep(1)
        scope = trio.CancelScope(shield=kind == "shielded")
        scope.__enter__()
        left_open.append(scope)
        if kind == "timed":
            scope.deadline = trio.current_time() + 1
        if kind == "cancelled":
            scope.cancel()
        pool.start(careful, "careful")

    async def careful() -> None:
        await trio.sleep(5)
        if kind == "plain":
            left_open[0].cancel()
        await trio.sleep(5)
        ended.append("careful")
        if kind == "shielded":
            nursery.cancel_scope.cancel()
            await trio.sleep(5)
            ended.append("deaf")

    async with trio.open_nursery() as nursery:
        pool = Pool(nursery, contextvars.copy_context())
        pool.start(careless, "careless")
    assert ended == ["careful"]


async def test_a_cancelled_pool_ends_its_jobs_and_begins_no_other() -> None:
    """F36: jobs see the cancel, and their `finally` runs."""
    ended: list[int] = []
    begun: list[int] = []

    async def job(number: int) -> None:
        begun.append(number)
        try:
            await trio.sleep(math.inf)
        finally:
            ended.append(number)

    async with trio.open_nursery() as nursery:
        pool = Pool(nursery, contextvars.copy_context())
        pool.start(partial(job, 0), "job")
        pool.start(partial(job, 1), "job")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(ended) == begun == [0, 1]


async def test_an_error_of_a_job_ends_the_nursery() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:
        await run_jobs(broken)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


async def test_quick_jobs_let_others_run() -> None:
    """A slice is shared by all jobs of a worker."""

    seen: list[str] = []

    async def job() -> None:
        seen.append("job")

    async def other() -> None:
        while "end" not in seen:
            seen.append("other")
            await trio.lowlevel.checkpoint()

    async def end() -> None:
        seen.append("end")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await run_jobs(*[job] * 20, end, pace=Pace(OperationMeter(1)))
    assert seen.count("other") >= 10


async def test_a_slice_that_jobs_share_with_the_pool_ends_between_two_of_them() -> None:
    """Where it ended within one, that one would wait, and the next ones need another worker."""
    pace = Pace(OperationMeter(4))
    workers: list[object] = []

    async def job() -> None:
        pace.left -= 1
        if pace.left <= 0:
            await pace.breathe()
        workers.append(trio.lowlevel.current_task())

    await run_jobs(*[job] * 50, pace=pace)
    assert len(workers) == 50
    assert len(set(workers)) == 1


async def test_a_job_that_awaits_what_is_not_trios_fails_by_itself() -> None:
    """F22: `asyncio.sleep` in a task is that task's failure; its `finally` runs, and the others."""
    events: list[str] = []

    @types.coroutine
    def foreign() -> Generator[None, None, None]:
        yield

    async def job() -> None:
        try:
            await foreign()
        except TypeError:
            events.append("told")
            await trio.lowlevel.checkpoint()
            events.append("goes on")

    await run_jobs(job, job)
    # Two workers, in either order: only what each of them does is fixed.
    assert sorted(events) == ["goes on", "goes on", "told", "told"]
    assert events[0] == "told"
