"""Streams whose reader is on the host's side of the border."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Generator
from typing import Any, Literal

import pytest
import trio

import trouper
from harness.hosts import in_asyncio, opened, relaying, until
from trouper.runtime.host._crossing import CROSSING

Host = Literal["thread", "guest"]
HOSTS = pytest.mark.parametrize("host", ["thread", "guest"])


def counting(limit: float = float("inf")) -> tuple[trouper.Workflow, list[int], trio.Event]:
    """Return a workflow that counts once it may begin, how far it is, and what lets it begin."""
    workflow, made, begin = trouper.Workflow("counting"), [0], trio.Event()

    @workflow.actor
    async def count(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        await begin.wait()
        while made[0] < limit and not ctx.stopping:
            made[0] += 1
            yield made[0]

    return workflow, made, begin


async def opening(begin: trio.Event) -> None:
    begin.set()


@HOSTS
def test_everything_arrives_in_order(host: Host) -> None:
    """X12: 20,000 messages, many times what may be under way, none lost and none twice."""

    async def main() -> None:
        workflow, _, begin = counting(20_000)
        async with opened(workflow, host) as run, run.stream("count") as numbers:
            await run.call_there(opening, begin)
            assert [number async for number in numbers] == [*range(1, 20_001)]
            with pytest.raises(StopAsyncIteration):
                await anext(numbers)
            assert numbers.dropped == 0

    in_asyncio(main)


@HOSTS
def test_a_reader_that_was_cancelled_loses_nothing(host: Host) -> None:
    async def main() -> None:
        workflow, _, begin = counting(3)
        async with opened(workflow, host) as run, run.stream("count") as numbers:
            waiting = asyncio.ensure_future(anext(numbers))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task reads this stream"):
                await anext(numbers)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await run.call_there(opening, begin)
            assert [number async for number in numbers] == [1, 2, 3]

    in_asyncio(main)


@HOSTS
def test_an_iterator_outlives_a_cancelled_wait(host: Host) -> None:
    """Who asks again is not told that all was read, or that another task reads."""

    async def main() -> None:
        workflow, _, begin = counting(2)
        async with opened(workflow, host) as run, run.stream("count") as numbers:
            iterator = aiter(numbers)
            waiting = asyncio.ensure_future(anext(iterator))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task reads"):
                await anext(aiter(numbers))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await run.call_there(opening, begin)
            assert [number async for number in iterator] == [1, 2]

    in_asyncio(main)


@HOSTS
def test_other_tasks_have_their_turn_beside_a_busy_reader(host: Host) -> None:
    """A reader that always finds a message gives way after a slice."""

    async def main() -> None:
        workflow, _, begin = counting()
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with opened(workflow, host) as run:
            async with run.stream("count") as numbers:
                beside = asyncio.create_task(other())
                await run.call_there(opening, begin)
                while turns < 20:
                    await anext(numbers)
                beside.cancel()
            run.cancel()

    in_asyncio(main)


@HOSTS
def test_the_newest_is_the_newest(host: Host) -> None:
    """A policy that drops holds for the border too: nothing old waits on the way."""

    async def main() -> None:
        async with (
            opened(relaying(), host) as run,
            run.stream("relay", overflow="latest") as newest,
        ):
            for number in range(100):
                await run.ask(number, to="relay")
            assert (await anext(newest), newest.dropped) == (99, 99)

    in_asyncio(main)


@HOSTS
def test_what_was_dropped_between_two_looks_is_passed_over(host: Host) -> None:
    async def main() -> None:
        async with (
            opened(relaying(), host) as run,
            run.stream("relay", capacity=2, overflow="drop_oldest") as numbers,
        ):
            for number in range(2):
                await run.ask(number, to="relay")
            assert await anext(numbers) == 0
            # One more may be read: a stand-in for a sender that drops it at this moment.
            crossing = numbers._crossing
            crossing.buffer = deque()
            await run.ask(2, to="relay")
            assert [await anext(numbers), await anext(numbers)] == [1, 2]

    in_asyncio(main)


@HOSTS
def test_a_message_is_settled_when_it_is_read(host: Host) -> None:
    """P22: a source hears of its message once the reader outside has it, not before."""

    async def main() -> None:
        settled: list[Any] = []
        workflow, begin, heard = trouper.Workflow("followed"), trio.Event(), trio.Event()

        def hear(what: trouper.Settled) -> None:
            settled.append((what.payload, what.outcome))
            heard.set()

        @workflow.actor
        async def source(ctx: trouper.ActorContext[None, None, None, str]) -> None:
            ctx.on_settled(hear)
            await begin.wait()
            await ctx.send("a")
            await heard.wait()

        async with opened(workflow, host) as run, run.stream("source") as messages:
            await run.call_there(opening, begin)
            await run.call_there(trio.testing.wait_all_tasks_blocked)
            assert settled == []
            assert [message async for message in messages] == ["a"]
        assert settled == [("a", "acknowledged")]

    in_asyncio(main)


@HOSTS
def test_what_was_made_before_a_cancel_can_be_read_after_it(host: Host) -> None:
    async def main() -> None:
        workflow, made, begin = counting()
        async with (
            opened(workflow, host) as run,
            run.stream("count", capacity=4) as numbers,
        ):
            await run.call_there(opening, begin)
            first = await anext(numbers)
            run.cancel("on purpose")
            await run.wait()
            rest = [number async for number in numbers]
        assert [first, *rest] == [*range(1, len(rest) + 2)]
        assert made[0] - 1 <= len(rest) + 1 <= made[0]

    in_asyncio(main)


def test_a_closed_stream_holds_nobody_up() -> None:
    """The graph goes on; what was on its way is dropped, and counted."""

    async def main() -> None:
        workflow, made, begin = counting(5 * CROSSING)
        async with opened(workflow, "thread") as run:
            async with run.stream("count", capacity=1) as numbers:
                await run.call_there(opening, begin)
                assert await anext(numbers) == 1
                await until(lambda: made[0] > CROSSING // 2)  # more is on its way
            assert (await run.wait()).status == "completed"
        assert made[0] == 5 * CROSSING
        assert numbers.dropped > 0

    in_asyncio(main)


@HOSTS
def test_a_loop_may_be_left_and_begun_again(host: Host) -> None:
    """X12: nothing is lost between two loops, and no task is started to close the first."""

    async def main() -> None:
        workflow, _, begin = counting(995)
        async with opened(workflow, host) as run, run.stream("count") as numbers:
            await run.call_there(opening, begin)
            tasks = asyncio.all_tasks()
            read: list[int] = []
            while len(read) < 995:
                async for number in numbers:
                    read.append(number)
                    if number % 7 == 0:
                        break
                read.append(await anext(numbers))
            assert read == [*range(1, 996)]
            assert asyncio.all_tasks() == tasks

    in_asyncio(main)


@HOSTS
def test_a_loop_that_goes_on_after_the_block_finds_nothing(host: Host) -> None:
    """What a closed stream has counted as dropped is not read as well."""

    async def main() -> None:
        workflow, made, begin = counting(300)
        async with opened(workflow, host) as run:
            async with run.stream("count", capacity=300) as numbers:
                await run.call_there(opening, begin)
                loop = aiter(numbers)
                read = [await anext(loop)]
                await run.wait()
            read += [number async for number in loop]
        assert (made[0], read) == (300, [1])
        assert numbers.dropped == 299

    in_asyncio(main)


@HOSTS
def test_batches_cross(host: Host) -> None:
    async def main() -> None:
        workflow, begin = trouper.Workflow("batches"), trio.Event()

        @workflow.actor
        async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
            await begin.wait()
            await ctx.send_many(range(3_000))

        async with opened(workflow, host) as run, run.stream("source") as numbers:
            await run.call_there(opening, begin)
            assert [number async for number in numbers] == [*range(3_000)]

    in_asyncio(main)


@HOSTS
def test_a_reader_hears_that_the_far_side_is_no_more(host: Host) -> None:
    """Nobody is left to answer, and the loop over the stream ends."""

    async def main() -> None:
        workflow, _, begin = counting(2)
        async with opened(workflow, host) as run:
            numbers = await run.stream("count").__aenter__()
            await run.call_there(opening, begin)
            assert await anext(numbers) == 1
            run.cancel()
        assert [number async for number in numbers] in ([], [2])
        await numbers.__aexit__(None, None, None)

    in_asyncio(main)


@contextlib.contextmanager
def blocking(limit: float = float("inf")) -> Generator[tuple[Any, list[int], trio.Event]]:
    workflow, made, begin = counting(limit)
    with trouper.open_blocking(workflow) as run:
        yield run, made, begin


def test_a_thread_reads_everything_in_order() -> None:
    """X12"""
    with blocking(20_000) as (run, _, begin), run.stream("count") as numbers:
        run.call_there(opening, begin)
        assert list(numbers) == [*range(1, 20_001)]
        assert next(numbers, None) is None


def test_a_slow_thread_slows_the_actors() -> None:
    """X1: no more is made than the edge and the way hold."""
    with blocking() as (run, made, begin):
        with run.stream("count", capacity=8) as numbers:
            run.call_there(opening, begin)
            assert [next(numbers) for _ in range(5_000)] == [*range(1, 5_001)]
            run.call_there(trio.testing.wait_all_tasks_blocked)
            assert made[0] <= 5_000 + CROSSING + 8 + 2
        run.cancel()


def test_several_threads_share_a_stream() -> None:
    """Each message goes to one of them."""
    with blocking(5_000) as (run, _, begin), run.stream("count") as numbers:
        taken: list[list[int]] = [[] for _ in range(4)]
        threads = [threading.Thread(target=own.extend, args=(numbers,)) for own in taken]
        for thread in threads:
            thread.start()
        run.call_there(opening, begin)
        for thread in threads:
            thread.join()
        assert sorted(number for own in taken for number in own) == [*range(1, 5_001)]


def test_a_thread_passes_over_what_was_dropped() -> None:
    with (
        trouper.open_blocking(relaying()) as run,
        run.stream("relay", capacity=2, overflow="drop_oldest") as numbers,
    ):
        for number in range(2):
            run.ask(number, to="relay")
        assert next(numbers) == 0
        numbers._crossing.buffer = deque()
        run.ask(2, to="relay")
        assert [next(numbers), next(numbers)] == [1, 2]
        assert numbers.dropped == 0
