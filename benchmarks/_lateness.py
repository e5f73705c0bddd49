"""How late a 1 ms ticker wakes beside relays that never run dry.

Real time is judged, so a busy machine spoils it: the ticker with nothing beside it tells how much.
`own` is the processor time that this process spent meanwhile: what the relays did, not the machine.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter, process_time
from typing import Any

import trio

import trouper

from ._measure import Contest, Sample, Scale

RELAYS = 10
TICK = 0.001
HANDLERS = {"0": 0.0, "10 us": 10e-6, "1 ms": 1e-3}
"""Seconds that the handler of each relay keeps the processor busy."""


def busy(seconds: float) -> None:
    if seconds:
        until = perf_counter() + seconds
        while perf_counter() < until:
            pass


async def _tick(sleep: Callable[[float], Awaitable[Any]], seconds: float) -> dict[str, float]:
    """Return how late the ticks were, us: p99 and the worst."""
    late: list[float] = []
    own: list[float] = []
    end = perf_counter() + seconds
    while (now := perf_counter()) < end:
        used = process_time()
        await sleep(TICK)
        late.append((perf_counter() - now - TICK) * 1e6)
        own.append(max(0.0, process_time() - used - TICK) * 1e6)
    return {"p99": _p99(late), "max": max(late), "own p99": _p99(own)}


def _p99(values: list[float]) -> float:
    return statistics.quantiles([*values, max(values)], n=100, method="inclusive")[-1]


async def endless(ctx: trouper.ActorContext[None, float, int, int]) -> None:
    while True:
        await ctx.send(0)


async def relay(ctx: trouper.ActorContext[None, float, int, int]) -> None:
    handler = ctx.deps
    async for message in ctx:
        busy(handler)
        await ctx.send(message)


async def drain(ctx: trouper.ActorContext[None, float, int, None]) -> None:
    async for _ in ctx:
        pass


def _workflow() -> trouper.Workflow:
    workflow = trouper.Workflow("saturated")
    workflow.actor(name="source")(endless)
    before = "source"
    for number in range(RELAYS):
        workflow.actor(name=f"relay{number}", depends_on=[before])(relay)
        before = f"relay{number}"
    workflow.actor(name="sink", depends_on=[before])(drain)
    return workflow


def _beside_nothing(seconds: float) -> dict[str, float]:
    return trio.run(_tick, trio.sleep, seconds)


def _beside_trouper(handler: float, seconds: float) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_workflow().execute, deps=handler))
            await trio.sleep(seconds / 10)
            late = await _tick(trio.sleep, seconds)
            nursery.cancel_scope.cancel()
        return late

    return trio.run(main)


def _beside_asyncio(handler: float, seconds: float) -> dict[str, float]:
    async def pump(sends: asyncio.Queue[int]) -> None:
        while True:
            await sends.put(0)

    async def hand_on(receives: asyncio.Queue[int], sends: asyncio.Queue[int] | None) -> None:
        while True:
            message = await receives.get()
            if sends is not None:
                busy(handler)
                await sends.put(message)

    async def main() -> dict[str, float]:
        queues = [asyncio.Queue[int](64) for _ in range(RELAYS + 1)]
        jobs: list[Any] = [pump(queues[0])]
        jobs += [
            hand_on(each, after) for each, after in zip(queues, [*queues[1:], None], strict=True)
        ]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        late = await _tick(asyncio.sleep, seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return late

    return asyncio.run(main())


def lateness(scale: Scale) -> Contest:
    seconds = scale.seconds(2.0)
    variants: dict[str, Callable[[], Sample]] = {"nothing,": partial(_beside_nothing, seconds)}
    for name, handler in HANDLERS.items():
        variants[f"trouper, handler {name},"] = partial(_beside_trouper, handler, seconds)
        variants[f"asyncio.Queue, handler {name},"] = partial(_beside_asyncio, handler, seconds)
    return Contest(
        name="lateness",
        title="how late a 1 ms ticker is beside 10 saturated relays",
        unit="us",
        variants=variants,
        rounds=3,
    )
