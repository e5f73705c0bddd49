"""`wf.map`: calls for each item of a list or a stream, so many at a time, in order or not."""

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness import crunching
from harness.bodies import collects, counts
from trouper import Edge, Workflow

Function = Callable[[int], Awaitable[Any]]
OVER = pytest.mark.parametrize("over", ["list", "stream"])


def mapped(over: str, function: Any, n: int, **options: Any) -> Workflow:
    """Return a graph whose task `out` has the list of all results."""
    wf = Workflow("mapped")
    if over == "list":

        @wf.task
        async def numbers() -> list[int]:
            return list(range(n))

    else:
        wf.actor(name="numbers")(counts(n))
    wf.map(function, over="numbers", name="map", **options)
    collect: Any = {} if over == "list" else {"collect": "all"}

    @wf.task(depends_on="map", **collect)
    async def out(results: list[Any]) -> list[Any]:
        return results

    return wf


class Busy:
    """A function that counts how many of its calls are in flight."""

    def __init__(self, seconds: Callable[[int], float], failing: Iterable[int] = ()) -> None:
        self._seconds = seconds
        self.failing = set(failing)
        self.now = self.most = 0
        self.called: list[int] = []

    async def __call__(self, number: int) -> int:
        self.called.append(number)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(self._seconds(number))
            if number in self.failing:
                raise OSError(number)
            return number * number
        finally:
            self.now -= 1


@OVER
@pytest.mark.parametrize("concurrency", [1, 2, 7])
async def test_never_more_than_so_many_are_in_flight_and_order_is_kept(
    over: str, concurrency: int, autojump_clock: MockClock
) -> None:
    """P13"""
    busy = Busy(lambda n: 1 + (n * 7 % 5) / 10)
    result = await mapped(over, busy, 40, concurrency=concurrency).execute()
    assert result.unwrap()["out"] == [n * n for n in range(40)]
    assert busy.most == concurrency
    assert all(edge.is_closed for edge in result.edges)


@OVER
async def test_without_order_results_come_as_they_are_ready(
    over: str, autojump_clock: MockClock
) -> None:
    """P13"""
    busy = Busy(lambda n: 10 if n == 0 else 1)
    wf = mapped(over, busy, 6, concurrency=3, ordered=False)
    results = (await wf.execute()).unwrap()["out"]
    assert sorted(results) == [n * n for n in range(6)]
    assert results[-1] == 0
    assert busy.most == 3


@OVER
async def test_the_first_failure_ends_it_at_once(over: str, autojump_clock: MockClock) -> None:
    """P13: whatever comes before it in order, and goes on."""
    busy = Busy(lambda n: 1 if n == 3 else 100, failing=[3])
    wf = mapped(over, busy, 40, concurrency=4, restart="temporary")
    result = await wf.execute()
    assert result.status == "failed"
    assert isinstance(result.error, OSError)
    assert result.error.args == (3,)
    assert result.seconds == 1
    assert busy.called == [0, 1, 2, 3]
    assert busy.now == 0


@OVER
async def test_it_completes_when_its_upstream_has(over: str) -> None:
    """P13: without extra demand, also where there is nothing to do."""
    for n in (0, 1):
        wf = mapped(over, Busy(lambda n: 0), n, concurrency=5)
        assert (await wf.execute()).unwrap()["out"] == [0] * n


@pytest.mark.parametrize("ordered", [True, False])
async def test_over_a_stream_a_failed_call_is_tried_again_and_loses_nothing(
    ordered: bool, autojump_clock: MockClock
) -> None:
    """P13, B5t: in order, what was behind it comes after it."""
    busy = Busy(lambda n: (n * 7 % 5) / 10, failing=[4, 5, 17, 30])

    async def once(number: int) -> int:
        try:
            return await busy(number)
        finally:
            busy.failing.discard(number)

    wf = mapped("stream", once, 40, concurrency=4, ordered=ordered, max_restarts=9)
    result = await wf.execute()
    results = result.unwrap()["out"]
    expected = [n * n for n in range(40)]
    assert (results if ordered else sorted(results)) == expected
    assert result.nodes["map"].failed == 4
    assert busy.most <= 4


async def test_over_a_stream_a_poison_item_is_skipped_and_the_order_of_others_kept(
    autojump_clock: MockClock,
) -> None:
    """P13: exactly the failed one is left out."""
    busy = Busy(lambda n: (n * 7 % 5) / 10, failing=[4, 11])
    wf = mapped("stream", busy, 30, concurrency=3, max_attempts=2, max_restarts=9)
    result = await wf.execute()
    assert result.unwrap()["out"] == [n * n for n in range(30) if n not in (4, 11)]
    assert [letter.envelope.payload for letter in result.dead_letters] == [4, 11]
    [edge] = [edge for edge in result.edges if edge.target == "map"]
    assert (edge.acknowledged, edge.dead_lettered) == (28, 2)


async def test_calls_that_are_cut_off_come_again_in_order(autojump_clock: MockClock) -> None:
    """X12: what was behind the failed one and took too long to end."""
    busy = Busy(lambda n: 1 if n == 0 else 60, failing=[0])

    async def once(number: int) -> int:
        try:
            return await busy(number)
        finally:
            busy.failing.discard(number)

    wf = mapped("stream", once, 9, concurrency=4, shutdown=2.0)
    result = await wf.execute()
    assert result.unwrap()["out"] == [n * n for n in range(9)]
    assert not result.dead_letters
    assert result.nodes["map"].failed == 1


@pytest.mark.parametrize("timeout", [None, 500.0])
async def test_a_call_whose_deadline_passes_is_given_up_and_others_go_on(
    timeout: float | None, autojump_clock: MockClock
) -> None:
    """X2"""
    got: list[int] = []
    wf = Workflow("late")
    options: Any = {} if timeout is None else {"timeout": timeout}

    @wf.actor
    async def inlet(ctx: trouper.ActorContext[None, None, int, int]) -> None:
        async for message in ctx:
            await ctx.send(message)

    busy = Busy(lambda n: 100 if n == 0 else 1)
    wf.map(busy, over="inlet", name="map", concurrency=3, **options)
    wf.actor(name="sink", depends_on="map")(collects(got))
    async with wf.open() as run:
        await run.send(0, timeout=10)
        for number in range(1, 7):
            await run.send(number)
        await trio.sleep(50)
        assert got == [n * n for n in range(1, 7)]
    result = await run.wait()
    assert result.ok
    assert [letter.reason for letter in result.dead_letters] == ["expired"]


async def test_a_call_that_takes_too_long_is_tried_again_before_what_is_behind_it(
    autojump_clock: MockClock,
) -> None:
    slow = {2}

    async def square(number: int) -> int:
        await trio.sleep(99 if number in slow else 1)
        slow.discard(number)
        return number * number

    async def once(number: int) -> int:
        try:
            return await square(number)
        finally:
            slow.discard(number)

    wf = mapped("stream", once, 9, concurrency=3, timeout=5.0)
    result = await wf.execute()
    assert result.unwrap()["out"] == [n * n for n in range(9)]
    assert result.nodes["map"].failed == 1


async def test_its_results_hold_it_up_where_nobody_takes_them() -> None:
    """V1, X18: a bound on the whole path."""
    busy = Busy(lambda n: 0)
    release = trio.Event()
    wf = Workflow("slow")
    wf.actor(name="numbers")(counts(500))
    wf.map(busy, over={"numbers": Edge(capacity=2)}, name="map", concurrency=3)

    @wf.actor(depends_on="map", capacity=4)
    async def sink(ctx: trouper.ActorContext) -> None:
        await release.wait()
        async for _ in ctx:
            pass

    async with wf.open() as run:
        with trio.move_on_after(0.0):
            await trio.sleep_forever()
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(busy.called) <= 4 + 3
        release.set()
        await run.wait()
    assert len(busy.called) == 500


@pytest.mark.parametrize("ordered", [True, False])
async def test_it_ends_when_nobody_takes_its_results_any_more(ordered: bool) -> None:
    wf = Workflow("brief")
    wf.actor(name="numbers")(counts(10_000))
    wf.map(Busy(lambda n: 0), over="numbers", name="map", concurrency=3, ordered=ordered)

    @wf.actor(depends_on="map", capacity=1)
    async def brief(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    result = await wf.execute()
    assert result.ok
    assert result.nodes["map"].failed == 0
    assert result.nodes["map"].sent < 20


# -- what it calls ---------------------------------------------------------------------------


def plain(number: int) -> int:
    return number * number


def plain_with_context(ctx: trouper.TaskContext, number: int, power: int = 2) -> int:
    assert trouper.ctx() is ctx
    return int(number**power)


async def context_alone(ctx: trouper.TaskContext[Any, Any, int]) -> int:
    own = trouper.ctx()
    assert own is not None
    assert own.inputs == ctx.inputs
    return ctx.inputs * ctx.inputs


class Squares:
    """Takes part as any task object does."""

    async def execute(self, ctx: trouper.TaskContext[Any, Any, int]) -> int:
        return ctx.inputs * ctx.inputs


def hands_back_an_awaitable(number: int) -> Any:
    async def later() -> int:
        return number * number

    return later()


@OVER
@pytest.mark.parametrize(
    "function",
    [plain, plain_with_context, context_alone, Squares, Squares(), hands_back_an_awaitable],
)
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_it_calls_whatever_a_task_may_be(over: str, function: Any, concurrency: int) -> None:
    wf = mapped(over, function, 8, concurrency=concurrency)
    assert (await wf.execute()).unwrap()["out"] == [n * n for n in range(8)]


@OVER
async def test_it_may_call_in_processes(over: str) -> None:
    wf = mapped(over, crunching.square, 6, concurrency=2, executor="process")
    assert (await wf.execute()).unwrap()["out"] == [n * n for n in range(6)]


async def test_plain_functions_run_side_by_side_in_threads() -> None:
    meet = threading.Barrier(4, timeout=200)
    wf = mapped("list", lambda n: meet.wait() * 0 + n, 8, concurrency=4)
    assert (await wf.execute()).unwrap()["out"] == list(range(8))


async def test_a_decorator_gives_the_function_back() -> None:
    wf = Workflow("decorated")

    @wf.task
    def words() -> tuple[str, ...]:
        return "a", "b"

    @wf.map(over=words, concurrency=2)
    async def upper(word: str) -> str:
        return word.upper()

    assert await upper("x") == "X"
    assert (await wf.execute()).unwrap()["upper"] == ["A", "B"]


async def test_others_may_depend_on_it_by_the_function() -> None:
    wf = Workflow("chain")
    wf.task(name="numbers")(lambda: (1, 2, 3))
    wf.map(plain, over="numbers")
    wf.map(plain, over=plain, name="again", concurrency=2)
    assert (await wf.execute()).unwrap()["again"] == [1, 16, 81]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 7, None])
async def test_what_is_no_list_is_named(value: Any) -> None:
    wf = Workflow("no-list")
    wf.task(name="value")(lambda: value)
    wf.map(plain, over="value")
    result = await wf.execute()
    assert isinstance(result.error, TypeError)
    assert str(result.error) == (
        f"'plain' maps over the result of 'value', which is a {type(value).__name__}; let that give"
        " a list"
    )


async def test_an_iterator_that_fails_fails_it() -> None:
    def numbers() -> Any:
        yield 1
        raise OSError("disk")

    wf = Workflow("iterator")
    wf.task(name="numbers")(lambda: numbers())
    wf.map(plain, over="numbers", concurrency=3)
    result = await wf.execute()
    assert isinstance(result.error, OSError)


async def test_a_cancelled_run_cancels_its_calls() -> None:
    """X6"""
    busy = Busy(lambda n: 10**6)
    wf = mapped("list", busy, 9, concurrency=3)
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.cancel()
    assert (await run.wait()).status == "cancelled"
    assert (busy.now, busy.most) == (0, 3)
