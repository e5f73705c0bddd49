"""`trouper.map` and `trouper.gather`: many calls at once, results in order."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("maps")
runner = trouper.with_runcontext(name="maps")


@env.task
async def add(a: int, b: int = 0) -> int:
    return a + b


@env.task
def add_sync(a: int, b: int = 0) -> int:
    return a + b


@env.task
async def picky(n: int) -> int:
    if n % 3 == 0:
        raise ValueError(f"no {n}")
    return n


async def run(body: Any) -> Any:
    """Run a function as a task."""
    task = trouper.TaskEnvironment("bodies").task(name="body")(body)
    return await runner.run.aio(task)


async def test_results_come_in_the_order_of_the_items(autojump_clock: MockClock) -> None:
    """F34: map ran one after another."""

    @trouper.TaskEnvironment("later").task
    async def later(n: int) -> int:
        await trio.sleep(10 - n)
        return n

    async def body() -> list[int]:
        return [n async for n in trouper.map(later, range(10))]

    began = trio.current_time()
    assert (await run(body)).outputs()[0] == list(range(10))
    assert trio.current_time() - began == pytest.approx(10)


@pytest.mark.parametrize("task", [add, add_sync, partial(add, b=0), partial(add_sync, b=0)])
async def test_from_async_and_sync_tasks(task: Any) -> None:
    def sync_body() -> list[int]:
        return list(trouper.map(task, [1, 2, 3]))

    async def async_body() -> list[int]:
        return [n async for n in trouper.map(task, [1, 2, 3])]

    for body in (sync_body, async_body):
        ended = await run(body)
        assert ended.outputs()[0] == [1, 2, 3]
        name = "add" if "add_sync" not in repr(task) else "add_sync"
        names = [each.name for each in ended.actions().children]
        assert names == [f"body/{name}-{n}" for n in (1, 2, 3)]


async def test_several_iterables_and_partials() -> None:
    async def body() -> list[list[int]]:
        return [
            [n async for n in trouper.map(add, [1, 2, 3], (10, 20))],
            [n async for n in trouper.map(partial(add, 100), b_values())],
        ]

    def b_values() -> Iterator[int]:
        yield from (1, 2)

    assert (await run(body)).outputs()[0] == [[11, 22], [101, 102]]


async def test_at_most_so_many_run_at_once() -> None:
    running = most = 0
    full = trio.Event()  # nobody leaves before so many are in at once

    @trouper.TaskEnvironment("counting").task
    async def counting(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        await trio.lowlevel.checkpoint()
        running -= 1
        return n

    async def body() -> list[int]:
        return [n async for n in trouper.map(counting, range(50), concurrency=3)]

    assert (await run(body)).outputs()[0] == list(range(50))
    assert most == 3


async def test_items_are_taken_when_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            yield taken
            taken += 1

    async def body() -> int:
        async for n in trouper.map(add, endless(), concurrency=4):
            if n == 20:
                await wait_all_tasks_blocked()
                break
        return taken

    (seen,) = (await run(body)).outputs()
    assert 20 <= seen <= 20 + 3 * 4


async def test_failures_stand_in_the_place_of_results() -> None:
    async def body() -> list[Any]:
        return [n async for n in trouper.map(picky, [1, 3, 4, "5"])]

    one, three, four, five = (await run(body)).outputs()[0]
    assert (one, four) == (1, 4)
    assert isinstance(three, RuntimeUserError)
    assert three.code == "ValueError"
    assert isinstance(five, TypeError)


async def test_or_the_first_one_in_order_is_raised_and_the_rest_is_cancelled() -> None:
    waiting: set[int] = set()
    cancelled: list[int] = []
    begun = trio.Event()

    @trouper.TaskEnvironment("raising").task
    async def raising(n: int) -> int:
        if n == 2:
            await begun.wait()
            raise ValueError("two")
        if n > 2:
            try:
                waiting.add(n)
                if waiting == {3, 4}:
                    begun.set()
                await trio.sleep_forever()
            finally:
                cancelled.append(n)
        return n

    seen: list[int] = []

    async def body() -> None:
        async for n in trouper.map(raising, [1, 2, 3, 4], return_exceptions=False):
            seen.append(n)  # noqa: PERF401 - it fails

    with pytest.raises(RuntimeUserError, match="ValueError: two"):
        await run(body)
    assert seen == [1]
    assert sorted(cancelled) == [3, 4]


async def test_an_iterable_that_fails_fails_the_map() -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    async def body() -> list[int]:
        return [n async for n in trouper.map(add, breaks())]

    with pytest.raises(RuntimeUserError, match="OSError: no more"):
        await run(body)


async def test_bad_arguments_are_refused_at_once() -> None:
    @trouper.TaskEnvironment("yielding").task
    async def yields() -> AsyncIterator[int]:
        yield 1

    calls: list[tuple[Any, type[Exception], str]] = [
        (lambda: trouper.map(print, [1]), TypeError, "takes an async or sync task"),
        (lambda: trouper.map(yields, [1]), TypeError, "takes an async or sync task"),
        (lambda: trouper.map(add), TypeError, "needs an iterable"),
        (lambda: trouper.map(add, [1], concurrency=0), ValueError, "int >= 1 or None, got 0"),
        (lambda: trouper.map(add, [1]), RuntimeError, "outside of any run"),
    ]
    for call, error, words in calls:
        with pytest.raises(error, match=words):
            call()


# -- gather ---------------------------------------------------------------------------------------


async def test_gather_runs_side_by_side_and_keeps_the_order() -> None:
    turn = trio.Event()

    @trouper.TaskEnvironment("turns").task
    async def waits() -> str:
        await turn.wait()
        return "waited"

    @trouper.TaskEnvironment("turns").task
    async def gives() -> str:
        turn.set()
        return "gave"

    async def body() -> list[Any]:
        return await trouper.gather(waits(), gives(), add_sync.aio(1, 2))

    assert (await run(body)).outputs()[0] == ["waited", "gave", 3]


async def test_gather_raises_the_first_failure_bare_and_cancels_the_others() -> None:
    cancelled: list[int] = []

    @trouper.TaskEnvironment("sleeping").task
    async def sleeps() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(1)

    async def body() -> str:
        try:
            await trouper.gather(sleeps(), picky(3), sleeps())
        except RuntimeUserError as error:
            return error.code
        return "nothing"

    assert (await run(body)).outputs() == ("ValueError",)
    assert len(cancelled) <= 2


async def test_gather_may_return_failures() -> None:
    async def body() -> list[Any]:
        return await trouper.gather(picky(1), picky(3), return_exceptions=True)

    one, three = (await run(body)).outputs()[0]
    assert one == 1
    assert isinstance(three, RuntimeUserError)


async def test_further_failures_are_noted() -> None:
    @trouper.TaskEnvironment("further").task
    async def fails_late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("late")

    async def body() -> list[Any]:
        return await trouper.gather(fails_late(), waits_then_fails())

    @trouper.TaskEnvironment("further").task
    async def waits_then_fails() -> None:
        await wait_all_tasks_blocked()
        raise ValueError("first")

    with pytest.raises(RuntimeUserError, match="first") as caught:
        await run(body)
    assert "late" in caught.value.__notes__[0]
