"""`yield x` is a send: scopes, nurseries and context variables hold, errors come to the yield."""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.stage import Stage
from trouper import BufferOverflow, RestartPolicy

ONCE = RestartPolicy(max_restarts=0)


async def drive(body: Any, *payloads: Any, **options: Any) -> Stage:
    options.setdefault("policy", ONCE)
    return await Stage(body, **options).live(*payloads)


# -- scopes and nurseries ------------------------------------------------------------------------


async def test_a_timeout_around_a_yield_that_waits(autojump_clock: MockClock) -> None:
    """C8: the Cancelled goes to the yield, its scope takes it, and the generator goes on."""
    events: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        with trio.move_on_after(5) as scope:
            try:
                yield 2
            except trio.Cancelled:
                events.append("cancelled")
                raise
            events.append("sent")
        events.append(str(scope.cancelled_caught))
        assert trio.current_time() == pytest.approx(begun + 5)
        stage.sent()
        yield 3

    begun = trio.current_time()
    stage = Stage(body, out_capacity=1, policy=ONCE)
    await stage.live()
    assert not stage.failed
    assert events == ["cancelled", "True"]
    assert stage.sent() == [3]


async def test_fail_after_around_a_yield_is_a_failure_of_the_body(
    autojump_clock: MockClock,
) -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        with trio.fail_after(5):
            yield 1
            yield 2

    stage = await drive(body, out_capacity=1)
    assert isinstance(stage.failed[0][0], trio.TooSlowError)
    assert stage.sent() == [1]


async def test_a_scope_that_ended_between_two_yields_stays_ended(
    autojump_clock: MockClock,
) -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(3):
            with trio.move_on_after(1):
                yield number
                await trio.sleep(2)

    stage = await drive(body)
    assert stage.sent() == [0, 1, 2]
    assert not stage.failed


async def test_a_nursery_spans_yields(autojump_clock: MockClock) -> None:
    """C8: children run on while the generator is at its yields."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(trio.current_time())
            await trio.sleep(1)

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            for number in range(3):
                yield number
                await trio.sleep(1.5)
            nursery.cancel_scope.cancel()
        yield 99

    stage = await drive(body)
    assert stage.sent() == [0, 1, 2, 99]
    assert len(ticks) == 5


async def test_a_child_that_crashes_reaches_the_yield_that_waits() -> None:
    """C8: the right exception, no corrupted nursery."""
    seen: list[type[BaseException]] = []

    async def crash() -> None:
        await wait_all_tasks_blocked()
        raise OSError("disk full")

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            yield 1
            try:
                yield 2
            except BaseException as error:
                seen.append(type(error))
                raise

    stage = await drive(body, out_capacity=1)
    [(error, _)] = stage.failed
    assert isinstance(error, ExceptionGroup)
    assert repr(error.exceptions) == "(OSError('disk full'),)"
    assert seen == [trio.Cancelled]


async def test_context_variables_hold_across_yields() -> None:
    """DESIGN, Output: the same task runs the generator all along."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []
    tasks: set[object] = set()

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        token = variable.set("mine")
        for number in range(3):
            yield number
            seen.append(variable.get())
            tasks.add(trio.lowlevel.current_task())
        variable.reset(token)

    await drive(body, out_capacity=64)
    assert seen == ["mine"] * 3
    assert len(tasks) == 1


async def test_cancelling_the_actor_reaches_its_yield() -> None:
    """C8: `finally` runs at the yield, and may wait in a shielded scope."""
    events: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            events.append("cleaned up")

    stage = Stage(body, out_capacity=1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert events == ["cleaned up"]
    assert stage.child.state.value == "cancelled"
    assert stage.sent() == [1]


# -- errors at the yield -------------------------------------------------------------------------


async def test_a_generator_may_catch_an_overflow_and_yield_again() -> None:
    refused: list[int] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(4):
            try:
                yield number
            except BufferOverflow:
                refused.append(number)
                if number == 3:
                    stage.sent()
                    yield 33

    stage = Stage(body, policy=ONCE, out_capacity=2, out_overflow="fail")
    await stage.live()
    assert not stage.failed
    assert refused == [2, 3]
    assert stage.sent() == [33]


async def test_what_a_handler_yields_may_overflow_again() -> None:
    refused: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        yield "fits"
        try:
            yield "first"
        except BufferOverflow:
            try:
                yield "second"
            except BufferOverflow:
                refused.append("both")

    stage = await drive(body, out_capacity=1, out_overflow="fail")
    assert (refused, stage.sent(), stage.failed) == (["both"], ["fits"], [])


async def test_an_overflow_that_nobody_catches_fails_the_actor() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        yield 2

    stage = await drive(body, out_capacity=1, out_overflow="fail")
    assert isinstance(stage.failed[0][0], BufferOverflow)


async def test_a_generator_may_end_at_an_error() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        try:
            yield 2
        except BufferOverflow:
            return

    stage = await drive(body, out_capacity=1, out_overflow="fail")
    assert (stage.child.state.value, stage.sent()) == ("done", [1])


async def test_a_generator_may_raise_another_error_instead() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        try:
            yield 2
        except BufferOverflow as error:
            raise RuntimeError("too slow downstream") from error

    stage = await drive(body, out_capacity=1, out_overflow="fail")
    assert repr(stage.failed[0][0]) == "RuntimeError('too slow downstream')"


async def test_a_yield_in_a_cancelled_scope_is_cancelled_again() -> None:
    """C8: caught once, the cancel comes back at the next yield that has to wait."""
    seen: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        yield 1
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                yield 2
            except trio.Cancelled:
                seen.append("first")
                yield 3
        seen.append("after")

    stage = await drive(body, out_capacity=1)
    assert seen == ["first", "after"]
    assert (stage.sent(), stage.failed) == ([1], [])


async def test_nobody_reads_any_more() -> None:
    """DESIGN, Output: the generator is closed at its yield, a normal end."""
    events: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        try:
            yield 1
            stage.reader.close()
            yield 2
            events.append("never")
        finally:
            events.append("closed")

    stage = Stage(body, policy=ONCE)
    await stage.live()
    assert events == ["closed"]
    assert stage.child.state.value == "done"


async def test_a_crash_between_yields_closes_the_generators_inside() -> None:
    events: list[str] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        try:
            async for number in ctx:
                yield number
                raise ValueError("crash")
        finally:
            events.append("closed")

    stage = await drive(body, 1)
    assert (events, stage.sent()) == (["closed"], [1])
    assert repr(stage.failed[0][0]) == "ValueError('crash')"


async def test_a_generator_that_yields_nothing() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            yield number

    stage = await drive(body)
    assert (stage.child.state.value, stage.sent()) == ("done", [])
