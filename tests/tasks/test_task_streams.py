"""Tasks that yield: streams with back-pressure, which end with whoever reads them."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("streams")
runner = trouper.with_runcontext(name="streams")


@env.task
async def count(n: int) -> AsyncIterator[int]:
    for number in range(n):
        yield number


async def run(task: Any, *args: Any) -> Any:
    return (await runner.run.aio(task, *args)).outputs()


async def test_a_task_reads_what_another_yields() -> None:
    """F37: generators failed."""

    @env.task(name="total")
    async def total(n: int) -> int:
        return sum([number async for number in count(n)])

    assert await run(total, 1_000) == (499_500,)
    ended = await runner.run.aio(total, 3)
    assert [(each.name, each.phase) for each in ended.actions().walk()] == [
        ("total", "completed"),
        ("total/count-1", "completed"),
    ]


async def test_a_sync_task_reads_it_by_for() -> None:
    @env.task(name="total_sync")
    def total_sync(n: int) -> int:
        return sum(count(n))

    assert await run(total_sync, 1_000) == (499_500,)


async def test_the_output_of_a_stream_that_is_run_is_its_last_value() -> None:
    assert await run(count, 5) == (4,)
    assert await run(count, 0) == ()


async def test_a_reader_that_is_slow_holds_the_body_back() -> None:
    made = 0

    @env.task(name="endless")
    async def endless() -> AsyncIterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    @env.task(name="slow_reader")
    async def slow_reader() -> int:
        async for _ in endless():
            await wait_all_tasks_blocked()
            break
        return made

    (made_before,) = await run(slow_reader)
    assert made_before == made <= 66


async def test_a_stream_begins_when_it_is_read() -> None:
    begun: list[int] = []

    @env.task(name="notes_begin")
    async def notes_begin() -> AsyncIterator[int]:
        begun.append(1)
        yield 1

    @env.task(name="never_reads")
    async def never_reads() -> None:
        stream = notes_begin()
        await wait_all_tasks_blocked()
        assert begun == []
        await stream.aclose()

    await runner.run.aio(never_reads)
    assert begun == []


@pytest.mark.parametrize("how", ["break", "with", "kept", "collected"])
async def test_leaving_a_stream_early_runs_its_finally_blocks(how: str) -> None:
    """F36: no `finally` ran, and stray tasks outlived the run."""
    ended = trio.Event()
    env = trouper.TaskEnvironment("early")

    @env.task(name="with_finally")
    async def with_finally() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            ended.set()

    @env.task(name="leaves_early")
    async def leaves_early() -> None:
        if how == "with":
            async with with_finally() as stream:
                assert await anext(stream) == 1
            assert ended.is_set()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            return
        if how == "break":
            async for _ in with_finally():
                break
            gc.collect()
            await ended.wait()
            return
        stream = with_finally()
        assert await anext(stream) == 1
        if how == "kept":
            kept.append(stream)
        else:
            del stream
            gc.collect()
            await ended.wait()

    kept: list[Any] = []
    run = await runner.run.aio(leaves_early)
    assert ended.is_set()
    assert [each.phase for each in run.actions().walk()] == ["completed", "cancelled"]


async def test_a_failure_comes_after_the_values_before_it() -> None:
    @env.task(name="fails_third")
    async def fails_third() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise OSError("third")

    seen: list[int] = []

    @env.task(name="reads_failing")
    async def reads_failing() -> None:
        async for number in fails_third():
            seen.append(number)  # noqa: PERF401 - it fails

    for task in (reads_failing, fails_third):
        with pytest.raises(RuntimeUserError) as caught:
            await runner.run.aio(task)
        assert caught.value.code == "OSError"
        assert isinstance(caught.value.__cause__, OSError)
    assert seen == [1, 2]


async def test_scopes_around_a_yield_hold(autojump_clock: MockClock) -> None:
    """What happens to a value that waits for its reader goes into the body, at its `yield`."""

    @env.task(name="gives_up_waiting")
    async def gives_up_waiting() -> AsyncIterator[str]:
        with trio.move_on_after(5) as scope:
            while True:
                yield "value"
        yield f"cancelled: {scope.cancelled_caught}"

    @env.task(name="waits_long")
    async def waits_long() -> str:
        seen: list[str] = []
        async for value in gives_up_waiting():
            seen.append(value)
            if trio.current_time() < began + 6:
                await trio.sleep(6)
        return seen[-1]

    began = trio.current_time()
    assert await run(waits_long) == ("cancelled: True",)


async def test_streams_of_streams_and_calls_within() -> None:
    @env.task(name="double_one")
    async def double_one(n: int) -> int:
        return n * 2

    @env.task(name="doubled")
    async def doubled(ctx: trouper.TaskContext, n: int) -> AsyncIterator[str]:
        async for number in count(n):
            yield f"{ctx.action.name} {await double_one(number)}"

    @env.task(name="outermost")
    async def outermost() -> list[str]:
        return [text async for text in doubled(2)]

    ended = await runner.run.aio(outermost)
    assert ended.outputs()[0] == ["outermost/doubled-1 0", "outermost/doubled-1 2"]
    assert [each.name for each in ended.actions().walk()] == [
        "outermost",
        "outermost/doubled-1",
        "outermost/doubled-1/count-1",
        "outermost/doubled-1/double_one-1",
        "outermost/doubled-1/double_one-2",
    ]


async def test_a_cancel_of_the_run_reaches_a_stream() -> None:
    ended: list[str] = []

    @env.task(name="waits_for_ever")
    async def waits_for_ever() -> AsyncIterator[int]:
        try:
            yield 1
            await trio.sleep_forever()
        finally:
            ended.append("stream")

    @env.task(name="reads_for_ever")
    async def reads_for_ever() -> None:
        try:
            async for _ in waits_for_ever():
                pass
        finally:
            ended.append("reader")

    async with runner.open(reads_for_ever) as run:
        await wait_all_tasks_blocked()
        run.abort()
    assert sorted(ended) == ["reader", "stream"]
    assert [each.phase for each in run.actions().walk()] == ["cancelled", "cancelled"]


async def test_an_async_task_cannot_read_by_for() -> None:
    @env.task(name="reads_by_for")
    async def reads_by_for() -> None:
        for _ in count(1):
            pass

    with pytest.raises(RuntimeUserError, match="read by `async for`"):
        await runner.run.aio(reads_by_for)


async def test_an_actor_reads_a_stream() -> None:
    """Where no task is around, it ends with its reader."""
    wf = trouper.Workflow("reads")

    @wf.actor
    async def reader(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        async for number in count(100):
            yield number
            if number == 2:
                break

    assert (await wf.execute()).outputs == {"reader": 2}
