"""`ctx.every`: ticks that neither drift nor pile up, and end when the run drains."""

import math
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper


def context(stopping: trouper.Stopping | None = None) -> trouper.ActorContext:
    return trouper.ActorContext(stopping=trouper.Stopping() if stopping is None else stopping)


async def test_ticks_come_at_once_and_then_each_period(autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    seen: list[tuple[int, float]] = []
    async for tick in context().every(2.0):
        seen.append((tick, trio.current_time() - begun))
        if tick == 3:
            break
    assert [tick for tick, _ in seen] == [0, 1, 2, 3]
    assert [at for _, at in seen] == pytest.approx([0, 2, 4, 6])


async def test_a_slow_body_makes_no_drift(autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    at: list[float] = []
    async for tick in context().every(1.0):
        at.append(trio.current_time() - begun)
        await trio.sleep(0.7)
        if tick == 50:
            break
    assert at == pytest.approx(list(range(51)))


async def test_missed_ticks_are_left_out(autojump_clock: MockClock) -> None:
    """They don't pile up: after a long body the next tick is on the grid again."""
    begun = trio.current_time()
    seen: list[tuple[int, float]] = []
    async for tick in context().every(1.0):
        seen.append((tick, trio.current_time() - begun))
        if len(seen) == 2:
            await trio.sleep(3.5)
        if len(seen) == 5:
            break
    assert [tick for tick, _ in seen] == [0, 1, 4, 5, 6]
    assert [at for _, at in seen] == pytest.approx([0, 1, 4.5, 5, 6])


async def test_ticks_end_when_the_run_drains(autojump_clock: MockClock) -> None:
    stopping = trouper.Stopping()
    seen: list[int] = []

    async def tick() -> None:
        seen.extend([number async for number in context(stopping).every(10.0)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await trio.sleep(25)
        begun = trio.current_time()
        stopping.set()
        await wait_all_tasks_blocked()
        assert trio.current_time() == begun, "it must not wait for the next tick"
    assert seen == [0, 1, 2]
    assert [number async for number in context(stopping).every(1.0)] == []


async def test_a_cancelled_wait_takes_no_tick(autojump_clock: MockClock) -> None:
    ticks = context().every(1.0)
    assert await anext(ticks) == 0
    with trio.move_on_after(0.5):
        await anext(ticks)
    assert await anext(ticks) == 1


async def test_each_loop_counts_for_itself(autojump_clock: MockClock) -> None:
    first, second = context().every(1.0), context().every(1.0)
    assert [await anext(first), await anext(first), await anext(second)] == [0, 1, 0]


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_bad_periods_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"every\(\) takes a period > 0 s and finite"):
        context().every(seconds)


async def test_a_run_that_drains_ends_its_tickers(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow("w")

    @wf.actor
    async def clock(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for tick in ctx.every(1.0):
            yield tick

    async with wf.open() as run:
        await trio.sleep(3.5)
        result = await run.drain()
    assert result.status == "completed"
    assert result.outputs["clock"] == 3
    assert result.seconds == pytest.approx(3.5, abs=0.01)
