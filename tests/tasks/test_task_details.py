"""What is seldom met: odd functions, odd threads, bounds, and coroutines that are thrown into."""

import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextvars import copy_context
from types import coroutine
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.errors import RuntimeUserError
from trouper.runtime.tasks import _calls
from trouper.runtime.tasks._drive import drive

env = trouper.TaskEnvironment("details")
runner = trouper.with_runcontext(name="details")


async def value_of(task: Any, *args: Any) -> Any:
    (value,) = (await runner.run.aio(task, *args)).outputs()
    return value


@env.task
def fails_here() -> None:
    raise OSError("here")


@env.task
async def nothing() -> None:
    pass


# -- functions ------------------------------------------------------------------------------------


async def test_a_function_that_hands_back_an_awaitable() -> None:
    async def real(n: int) -> int:
        return n + 1

    @functools.wraps(real)
    def decorated(*args: Any) -> Any:
        return real(*args)

    def declared(n: int) -> Awaitable[int]:
        return real(n)

    functions: list[Any] = [decorated, declared]
    for number, function in enumerate(functions):
        task = env.task(name=f"awaitable{number}", retries=1)(function)
        assert await value_of(task, 1) == 2


async def test_results_that_are_none() -> None:
    @env.task(name="returns_none")
    async def returns_none() -> None:
        return None

    @env.task(name="returns_some")
    async def returns_some() -> None:
        return 3  # type: ignore[return-value]  # the refusal is what is tested

    assert (await runner.run.aio(returns_none)).outputs() == ()
    with pytest.raises(RuntimeUserError, match="task 'returns_some' returns None, not 3"):
        await runner.run.aio(returns_some)


async def test_a_task_of_a_node_shares_what_the_node_shares() -> None:
    wf = trouper.Workflow("shares")
    seen: list[Any] = []

    @env.task(name="looks")
    async def looks(ctx: trouper.TaskContext) -> None:
        seen.extend([ctx.state, ctx.deps, ctx.config["k"], ctx.inputs, repr(ctx)])
        await looks_below()

    @env.task(name="looks_below")
    async def looks_below(ctx: trouper.TaskContext) -> None:
        seen.append((ctx.state, ctx.action.name))
        with pytest.raises(AttributeError):
            setattr(ctx, "state", 3)  # noqa: B010 - type checkers refuse it as well

    @wf.task
    async def node() -> None:
        await looks()

    result = await wf.execute(state="state", deps="deps", config={"k": 1})
    result.unwrap()
    name = "node/looks-1"
    below = ("state", f"{name}/looks_below-1")
    assert seen == ["state", "deps", 1, None, f"<context of {name}>", below]


# -- threads --------------------------------------------------------------------------------------


async def test_failures_of_sync_tasks_in_one_thread() -> None:
    @env.task(name="passes_on")
    def passes_on() -> None:
        fails_here()

    @env.task(name="catches_here")
    def catches_here() -> str:
        try:
            passes_on()
        except RuntimeUserError as error:
            return error.action
        return ""

    run = await runner.run.aio(catches_here)
    assert run.outputs() == ("catches_here/passes_on-1/fails_here-1",)
    assert [each.phase for each in run.actions().walk()] == ["completed", "failed", "failed"]


async def test_retries_in_one_thread_wait_in_the_event_loop(autojump_clock: MockClock) -> None:
    tries: list[float] = []

    @env.task(name="tried", retries=3, backoff=trouper.Backoff(min=5.0, max=5.0, jitter=0.0))
    def tried(ctx: trouper.TaskContext) -> None:
        tries.append(trio.from_thread.run_sync(trio.current_time))
        raise OSError(ctx.action.name)

    @env.task(name="tries")
    def tries_it() -> None:
        tried()

    with pytest.raises(RuntimeUserError, match="tries/tried-1") as caught:
        await runner.run.aio(tries_it)
    assert len(tries) == 4
    assert tries[-1] - tries[0] == pytest.approx(10.0)
    assert "given up after 4 attempts" in caught.value.__cause__.__notes__[0]  # type: ignore[union-attr]  # there is one


async def test_a_thread_of_the_user_s_own_calls_tasks() -> None:
    """With a copy of the task's context variables it is a place where the task calls from."""

    @env.task(name="adds")
    def adds(n: int) -> int:
        return n + 1

    @env.task(name="starts_thread")
    def starts_thread() -> list[int]:
        found: list[int] = []
        context = copy_context()
        thread = threading.Thread(target=lambda: found.append(context.run(adds, 1)))
        thread.start()
        thread.join()
        return found

    assert await value_of(starts_thread) == [2]


async def test_a_plain_thread_of_an_async_task_calls_tasks() -> None:
    @env.task(name="from_to_thread")
    async def from_to_thread() -> list[Any]:
        return await trio.to_thread.run_sync(lambda: [fine(1), fine_async.wait(1)])

    @env.task(name="fine")
    def fine(n: int) -> int:
        return n

    @env.task(name="fine_async")
    async def fine_async(n: int) -> int:
        return n

    assert await value_of(from_to_thread) == [1, 1]


async def test_a_sync_task_ends_the_streams_that_it_leaves() -> None:
    ended: list[str] = []

    @env.task(name="yields_for_ever")
    async def yields_for_ever() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("stream")

    @env.task(name="reads_one")
    def reads_one() -> int:
        kept.append(yields_for_ever())
        return next(kept[0])  # type: ignore[no-any-return]  # kept is of any

    @env.task(name="calls_reads_one")
    def calls_reads_one() -> list[str]:
        reads_one()
        return list(ended)

    kept: list[Any] = []
    assert await value_of(calls_reads_one) == ["stream"]


async def test_an_exit_passes_through_threads() -> None:
    """P8"""

    @env.task(name="leaves_thread")
    def leaves_thread() -> None:
        raise SystemExit(5)

    @env.task(name="calls_leaves_thread")
    def calls_leaves_thread() -> None:
        leaves_thread()

    with pytest.raises(SystemExit):
        await runner.run.aio(calls_leaves_thread)


def test_a_task_that_blocks_the_event_loop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """F22"""
    from trouper.runtime import _watchdog

    said: list[str] = []
    heard = threading.Event()

    class Log:
        def warning(self, text: str, *args: Any) -> None:
            said.append(text % args)
            if said[-1].startswith("'calls_blocking/blocking-1' has blocked the event loop for"):
                heard.set()

    monkeypatch.setattr(_watchdog, "log", Log())

    @env.task(name="blocking")
    async def blocking() -> None:
        # Again and again: what a busy machine makes it say before is not said twice.
        while not heard.wait(3):  # noqa: ASYNC110 - to block is what is tested
            await trio.sleep(0.01)

    @env.task(name="calls_blocking")
    async def calls_blocking() -> None:
        await blocking()

    runner.run(calls_blocking)
    assert any("in test_a_task_that_blocks" in each for each in said)


# -- bounds ---------------------------------------------------------------------------------------


async def test_records_of_actions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that end beyond the bound are only counted."""
    made: list[_calls.Calls] = []

    class Small(_calls.Calls):
        def __init__(self) -> None:
            super().__init__(most=10)
            made.append(self)

    monkeypatch.setattr(_calls, "Calls", Small)

    @env.task(name="calls_many")
    async def calls_many() -> None:
        for _ in range(100):
            await nothing()

    run = await runner.run.aio(calls_many)
    assert len(run.actions().walk()) == made[0].kept == 10
    assert made[0].fallen_out == 91


# -- what is thrown in ----------------------------------------------------------------------------


@coroutine
def trap() -> Generator[str, int, int]:
    given = yield "trap"
    return given


async def body(ended: list[str]) -> int:
    try:
        return await trap()
    except OSError:
        return -1
    finally:
        ended.append("finally")


def started(ended: list[str]) -> Any:
    driven: Any = drive(copy_context().run, body(ended))
    assert next(driven) == "trap"
    return driven


@pytest.mark.parametrize(
    ("act", "expected"),
    [(lambda driven: driven.send(7), 7), (lambda driven: driven.throw(OSError()), -1)],
)
def test_what_is_given_to_a_driven_coroutine_arrives(
    act: Callable[[Any], Any], expected: int
) -> None:
    ended: list[str] = []
    driven = started(ended)
    with pytest.raises(StopIteration) as stopped:
        act(driven)
    assert stopped.value.value == expected
    assert ended == ["finally"]


def test_a_driven_coroutine_that_is_closed_runs_its_finally_blocks() -> None:
    ended: list[str] = []
    started(ended).close()
    assert ended == ["finally"]
