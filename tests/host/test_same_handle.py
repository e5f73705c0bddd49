"""What a handle has in one host it has in all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

import trouper
from harness.hosts import HOSTS, Host, in_asyncio, opened, relaying, run_in

each_host = pytest.mark.parametrize("host", HOSTS)


def names(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def counting(upto: int) -> trouper.Workflow:
    """Return a workflow that begins to count when its stream is open."""
    workflow = trouper.Workflow("counting")

    @workflow.actor
    async def count(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for _ in ctx:
            for number in range(upto):
                yield number

    return workflow


def test_the_names_are_the_same() -> None:
    assert names(trouper.LiveRun) == names(trouper.AsyncioRun)
    assert names(trouper.LiveRun) | {"start"} == names(trouper.BlockingRun)
    assert {"receive_many", "dropped"} <= names(trouper.AsyncioStream) & names(
        trouper.BlockingStream
    )


@each_host
def test_messages_are_read_in_batches(host: Host) -> None:
    async def use(run: Any) -> None:
        async with run.stream("count") as numbers:
            await run.send(1)
            found: list[int] = []
            while len(found) < 1_000:
                batch = await numbers.receive_many(100)
                assert 1 <= len(batch) <= 100
                found += batch
            assert found == list(range(1_000))
            await run.drain()
            with pytest.raises(trouper.EndOfInput):
                await numbers.receive_many()
            with pytest.raises(ValueError, match="max >= 1, got 0"):
                await numbers.receive_many(0)
        with pytest.raises(RuntimeError, match="this stream is not open"):
            await run.stream("count").receive_many()

    assert run_in(host, counting(1_000), use).status == "completed"


def test_a_thread_reads_in_batches() -> None:
    with trouper.open_blocking(counting(1_000)) as run, run.stream("count") as numbers:
        run.send(1)
        found: list[int] = []
        while len(found) < 1_000:
            found += numbers.receive_many(300)
        assert found == list(range(1_000))
        run.drain()
        with pytest.raises(trouper.EndOfInput):
            numbers.receive_many()


@each_host
def test_a_batch_that_a_policy_has_shortened_is_followed_by_the_rest(host: Host) -> None:
    async def use(run: Any) -> None:
        async with run.stream("count", capacity=4, overflow="drop_oldest") as numbers:
            await run.send(1)
            await run.drain()
            found: list[int] = []
            with contextlib.suppress(trouper.EndOfInput):
                while True:
                    found += await numbers.receive_many()
            assert found == [96, 97, 98, 99]
            assert numbers.dropped == 96

    run_in(host, counting(100), use)


@each_host
def test_functions_are_called_where_the_actors_are(host: Host) -> None:
    async def there(text: str, *, ending: str) -> str:
        await trio.lowlevel.checkpoint()
        return text + ending

    async def use(run: Any) -> None:
        assert await run.call_there(there, "in trio", ending="!") == "in trio!"

    run_in(host, relaying(), use)


@each_host
def test_a_stream_of_a_run_that_has_ended_is_empty(host: Host) -> None:
    async def main() -> None:
        options: dict[str, Any] = {} if host == "trio" else {"host": host}
        async with trouper.open(relaying(), **options) as run:
            pass
        async with run.stream("relay") as numbers:
            assert [number async for number in numbers] == []

    trio.run(main) if host == "trio" else in_asyncio(main)


def test_a_threads_stream_of_a_run_that_has_ended_is_empty() -> None:
    with trouper.open_blocking(relaying()) as run:
        pass
    with run.stream("relay") as numbers:
        assert list(numbers) == []
    assert run.result().status == "completed"
    run.stop("relay")
    with pytest.raises(trouper.NotRunning, match=r"pause\(\) of run .* which has ended"):
        run.pause("relay")


def handles() -> Iterator[Any]:
    async def open_here() -> Any:
        return trouper.open(relaying())

    yield trouper.open_blocking(relaying())
    yield asyncio.run(open_here())
    yield trio.run(open_here)


def test_before_it_has_begun_there_is_nothing_to_tell_of() -> None:
    for run in handles():
        assert (run.has_begun, run.has_ended, run.results) == (False, False, {})
        with pytest.raises(RuntimeError, match=r"(before the run has|has not) begun"):
            run.status()
        with pytest.raises(RuntimeError, match=r"goes on"):
            run.result()


def test_a_cancelled_task_is_given_as_the_reason() -> None:
    async def in_the_loop() -> trouper.WorkflowResult:
        run = opened(relaying())

        async def own() -> None:
            async with run:
                is_open.set()
                await asyncio.Event().wait()

        is_open = asyncio.Event()
        task = asyncio.create_task(own())
        await is_open.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await run.wait()

    async def in_trio() -> trouper.WorkflowResult:
        run = relaying().open()
        with trio.CancelScope() as scope:
            async with run:
                scope.cancel()
                await trio.sleep_forever()
        return await run.wait()

    for result in (in_asyncio(in_the_loop), trio.run(in_trio)):
        assert result.status == "cancelled"
        assert result.reason == "the task that opened it was cancelled"
