"""What a failing task does: errors with a cause, retries, timeouts, cancels."""

import pickle
import time
import traceback
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.errors import NonRecoverableError, RuntimeUserError, TaskTimeout

env = trouper.TaskEnvironment("failures")
runner = trouper.with_runcontext(name="failures")


class Mistake(Exception):
    pass


@env.task
async def fails() -> int:
    raise Mistake("broken")


@env.task
def fails_in_thread() -> int:
    raise Mistake("broken")


@env.task
async def calls(which: str) -> int:
    return await (fails() if which == "async" else fails_in_thread.aio())


async def failure_of(task: Any, *args: Any) -> RuntimeUserError:
    with pytest.raises(RuntimeUserError) as caught:
        await runner.run.aio(task, *args)
    return caught.value


@pytest.mark.parametrize("which", ["async", "sync"])
async def test_the_original_exception_is_the_cause_with_its_traceback(which: str) -> None:
    """F35: it was lost."""
    error = await failure_of(calls, which)
    assert (error.code, error.kind) == ("Mistake", "user")
    assert str(error) == f"{error.action} failed: Mistake: broken"
    assert error.action.startswith("calls/fails")
    assert isinstance(error.__cause__, Mistake)
    frames = [each.name for each in traceback.extract_tb(error.__cause__.__traceback__)]
    assert frames[-1] == error.action.removeprefix("calls/")[:-2]


async def test_an_exception_without_a_text_is_told_all_the_same() -> None:
    class NoText(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    @env.task(name="no_text")
    async def no_text() -> None:
        raise NoText

    error = await failure_of(no_text)
    assert str(error) == "no_text failed: NoText: (its text can't be made: ValueError)"
    assert isinstance(error.__cause__, NoText)


async def test_a_caller_catches_the_failure_of_what_it_calls() -> None:
    @env.task(name="catches")
    async def catches() -> str:
        try:
            await fails()
        except RuntimeUserError as error:
            return error.code
        return "nothing"

    run = await runner.run.aio(catches)
    assert run.outputs() == ("Mistake",)
    root, child = run.actions().walk()
    assert (root.phase, child.phase) == ("completed", "failed")
    assert child.error is not None
    assert child.error.message == "broken"


async def test_the_failed_run_comes_with_the_error() -> None:
    error = await failure_of(calls, "async")
    assert error.run is not None
    assert (error.run.phase, error.run.done()) == ("failed", True)
    assert [each.phase for each in error.run.actions().walk()] == ["failed", "failed"]
    with pytest.raises(RuntimeUserError):
        error.run.outputs()
    assert "broken" in error.run.reason


async def test_a_failure_in_a_nursery_comes_bare() -> None:
    @env.task(name="in_nursery")
    async def in_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(trio.sleep_forever)

    error = await failure_of(in_nursery)
    assert error.code == "Mistake"
    assert error.action == "in_nursery/fails-1"


def test_an_error_can_be_pickled() -> None:
    error = RuntimeUserError("a failed: E: x", code="E", action="a")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.code, copy.action, copy.kind) == ("a failed: E: x", "E", "a", "user")
    assert RuntimeUserError("raised by hand").code == "RuntimeUserError"
    assert issubclass(TaskTimeout, RuntimeUserError)
    assert trouper.errors.TaskTimeout is TaskTimeout


def notes_of(error: RuntimeUserError) -> list[str]:
    notes: list[str] = getattr(error.__cause__, "__notes__", [])
    return notes


# -- retries --------------------------------------------------------------------------------------


def make_flaky(
    failures: int, *, sync: bool, error: type[Exception] = Mistake, **options: Any
) -> Any:
    tries: list[str] = []

    def attempt() -> int:
        tries.append(trouper.ctx().action.name)  # type: ignore[union-attr]  # in a task it is there
        if len(tries) <= failures:
            raise error(f"attempt {len(tries)}")
        return len(tries)

    async def attempt_async() -> int:
        return attempt()

    flaky = trouper.TaskEnvironment("flaky").task(name="flaky", **options)
    return flaky(attempt if sync else attempt_async)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_failed_call_is_tried_again(sync: bool, autojump_clock: MockClock) -> None:
    """F34: the attempt number was always 0."""
    flaky = make_flaky(2, sync=sync, retries=2)
    run = await runner.run.aio(flaky)
    assert run.outputs() == (3,)
    assert run.actions().attempts == 3
    assert run.actions().phase == "completed"


async def test_it_is_given_up_after_the_last_retry(autojump_clock: MockClock) -> None:
    error = await failure_of(make_flaky(9, sync=False, retries=2))
    assert error.code == "Mistake"
    assert str(error.__cause__) == "attempt 3"
    assert notes_of(error) == ["given up after 3 attempts (retries=2)"]


async def test_retries_wait_as_the_backoff_says(autojump_clock: MockClock) -> None:
    backoff = trouper.Backoff(min=1.0, max=60.0, jitter=0.0)
    flaky = make_flaky(4, sync=False, retries=4, backoff=backoff)
    began = trio.current_time()
    await runner.run.aio(flaky)
    assert trio.current_time() - began == pytest.approx(0 + 1 + 2 + 4)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_non_recoverable_error_stops_retries(sync: bool) -> None:
    error = await failure_of(make_flaky(9, sync=sync, error=NonRecoverableError, retries=5))
    assert (error.code, str(error.__cause__)) == ("NonRecoverableError", "attempt 1")


async def test_restart_options_are_those_of_a_node(autojump_clock: MockClock) -> None:
    policy = trouper.RestartPolicy(max_restarts=3, restart_on=OSError)
    error = await failure_of(make_flaky(9, sync=False, restart=policy))
    assert str(error.__cause__) == "attempt 1"
    flaky = make_flaky(2, sync=False, restart="transient", max_restarts=2, period=60.0)
    assert (await runner.run.aio(flaky)).outputs() == (3,)
    error = await failure_of(make_flaky(9, sync=False, restart="transient", max_restarts=1))
    assert "failed 2 times in 10 s" in notes_of(error)[0]


async def test_a_sync_task_is_tried_again_in_the_thread_of_its_caller() -> None:
    flaky = make_flaky(1, sync=True, retries=1)

    @env.task(name="calls_flaky")
    def calls_flaky() -> int:
        value: int = flaky()
        return value

    run = await runner.run.aio(calls_flaky)
    assert run.outputs() == (2,)
    assert [each.attempts for each in run.actions().walk()] == [1, 2]


async def test_calls_of_a_second_attempt_have_the_names_of_the_first() -> None:
    tries = iter([True, False])

    @env.task(name="child_of_attempt")
    async def child_of_attempt() -> None:
        pass

    @env.task(name="attempts", retries=1)
    async def attempts() -> None:
        await child_of_attempt()
        if next(tries):
            raise Mistake("once")

    run = await runner.run.aio(attempts)
    names = [each.name for each in run.actions().walk()]
    assert names == ["attempts", "attempts/child_of_attempt-1"]


async def test_nothing_is_tried_again_in_a_run_that_is_cancelled() -> None:
    """P2"""
    tries = 0

    @env.task(name="aborts", retries=9)
    async def aborts() -> None:
        nonlocal tries
        tries += 1
        scope.cancel()
        raise Mistake("while it is cancelled")

    with trio.CancelScope() as scope:
        await runner.run.aio(aborts)
    assert scope.cancelled_caught
    assert tries == 1


# -- timeouts -------------------------------------------------------------------------------------


async def test_a_timeout_has_its_own_class(autojump_clock: MockClock) -> None:
    """F34: the timeout was ignored."""
    ended: list[str] = []

    @env.task(name="slow", timeout=2.0)
    async def slow() -> None:
        try:
            await trio.sleep(10)
        finally:
            ended.append("finally")

    @env.task(name="calls_slow")
    async def calls_slow() -> None:
        await slow()

    error = await failure_of(calls_slow)
    assert isinstance(error, TaskTimeout)
    assert error.code == "TaskTimeout"
    assert "calls_slow/slow-1 took longer than timeout=2 s" in str(error)
    assert ended == ["finally"]


async def test_each_attempt_has_the_whole_timeout(autojump_clock: MockClock) -> None:
    waits = iter([10.0, 1.0])

    @env.task(name="slow_once", timeout=2.0, retries=1)
    async def slow_once() -> str:
        await trio.sleep(next(waits))
        return "done"

    assert (await runner.run.aio(slow_once)).outputs() == ("done",)


async def test_a_sync_task_that_overruns_is_told_and_given_up() -> None:
    @env.task(name="slow_sync", timeout=0.01)
    def slow_sync() -> None:
        while True:
            trio.from_thread.check_cancelled()
            time.sleep(0.001)

    @env.task(name="calls_slow_sync")
    def calls_slow_sync() -> None:
        slow_sync()

    for task in (slow_sync, calls_slow_sync):
        error = await failure_of(task)
        assert isinstance(error, TaskTimeout)
