"""Eight into one, and one to eight."""

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

import trouper

from ._load import Load, time_tasks, time_workflow
from ._measure import Contest, Scale
from ._pipelines import sink, source, source_by_yield

WAYS = 8


def _fan_in(first: Any, messages: int) -> float:
    """Return ns per message; `messages` of each source."""
    workflow = trouper.Workflow("fan-in")
    names = [f"source{number}" for number in range(WAYS)]
    for name in names:
        workflow.actor(name=name)(first)
    workflow.actor(name="sink", depends_on=names)(keyed_sink)
    load = Load(messages, expected=messages * WAYS)
    return time_workflow(workflow, load, messages * WAYS)


async def keyed_sink(ctx: trouper.ActorContext[None, Load, dict[str, int], None]) -> None:
    count = 0
    async for message in ctx:
        count += len(message)
    ctx.deps.arrived(count)


def _broadcast(first: Any, messages: int) -> float:
    """Return ns per message delivered."""
    workflow = trouper.Workflow("broadcast")
    workflow.actor(name="source")(first)
    for number in range(WAYS):
        workflow.actor(name=f"sink{number}", depends_on=["source"])(sink)
    load = Load(messages, expected=messages * WAYS)
    return time_workflow(workflow, load, messages * WAYS)


def _trio_fan_in(messages: int) -> float:
    load = Load(messages, expected=messages * WAYS)

    async def produce(sends: trio.MemorySendChannel[int]) -> None:
        await load.opened()
        async with sends:
            for item in load.stream():
                await sends.send(item)

    async def run() -> None:
        sends, receives = trio.open_memory_channel[int](64)
        async with trio.open_nursery() as nursery:
            async with sends:
                for _ in range(WAYS):
                    nursery.start_soon(produce, sends.clone())
            nursery.start_soon(_trio_sink, receives, load)

    return time_tasks(run, load, messages * WAYS)


def _trio_broadcast(messages: int) -> float:
    load = Load(messages, expected=messages * WAYS)

    async def produce(outputs: list[trio.MemorySendChannel[int]]) -> None:
        await load.opened()
        for item in load.stream():
            for sends in outputs:
                await sends.send(item)
        for sends in outputs:
            sends.close()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            outputs: list[trio.MemorySendChannel[int]] = []
            for _ in range(WAYS):
                sends, receives = trio.open_memory_channel[int](64)
                outputs.append(sends)
                nursery.start_soon(_trio_sink, receives, load)
            nursery.start_soon(produce, outputs)

    return time_tasks(run, load, messages * WAYS)


async def _trio_sink(receives: trio.MemoryReceiveChannel[int], load: Load) -> None:
    count = 0
    async for _ in receives:
        count += 1
    load.arrived(count)


def _contest(
    name: str, title: str, ours: Callable[[Any, int], float], trios: Callable[[int], float], n: int
) -> Contest:
    return Contest(
        name=name,
        title=title,
        unit="ns per message",
        one_thread=True,
        variants={
            "trouper": partial(ours, source, n),
            "trouper, generator": partial(ours, source_by_yield, n),
            "trio memory channel": partial(trios, max(1, n // 4)),
        },
        baseline="trio memory channel",
    )


def fan_in(scale: Scale) -> Contest:
    title = "fan-in of 8 (keyed merge), capacity 64"
    return _contest("fan_in", title, _fan_in, _trio_fan_in, scale.n(20_000))


def broadcast(scale: Scale) -> Contest:
    title = "broadcast to 8, capacity 64"
    return _contest("broadcast", title, _broadcast, _trio_broadcast, scale.n(20_000))
