"""What an actor costs when nothing happens: its memory, its start and its end."""

import gc
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from time import process_time
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

import trouper

from ._measure import Contest, Scale
from ._phases import time_phases

ACTORS = 10_000

Context = trouper.ActorContext[None, trio.Event, int, int]


async def first(ctx: Context) -> None:
    await ctx.deps.wait()


async def relay(ctx: Context) -> None:
    async for message in ctx:
        await ctx.send(message)


def _chain(actors: int) -> trouper.Workflow:
    workflow = trouper.Workflow("idle")
    workflow.actor(name="a0")(first)
    for number in range(1, actors):
        workflow.actor(name=f"a{number}", depends_on=[f"a{number - 1}"])(relay)
    return workflow


def _star(actors: int) -> trouper.Workflow:
    workflow = trouper.Workflow("idle")
    workflow.actor(name="a0")(first)
    for number in range(1, actors):
        workflow.actor(name=f"a{number}", depends_on=["a0"])(relay)
    return workflow


async def _while_idle(measure: Callable[[], float], begin: Callable[[trio.Event], Any]) -> float:
    end = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin(end))
        await wait_all_tasks_blocked()
        gc.collect()
        figure = measure()
        end.set()
    return figure


def _traced(begin: Callable[[trio.Event], Any], actors: int) -> float:
    """Return bytes per actor of a run in which all wait for a message. Nothing is subtracted."""

    def kibibytes() -> float:
        return tracemalloc.get_traced_memory()[0] / actors / 1024

    tracemalloc.start()
    try:
        return trio.run(_while_idle, kibibytes, begin)
    finally:
        tracemalloc.stop()


def _begin_workflow(actors: int, end: trio.Event) -> Callable[[], Any]:
    return partial(_chain(actors).execute, deps=end)


def _begin_trio(actors: int, end: trio.Event) -> Callable[[], Any]:
    return partial(_trio_chain, actors, end)


async def _trio_chain(actors: int, end: trio.Event) -> None:
    async def first(sends: trio.MemorySendChannel[int]) -> None:
        async with sends:
            await end.wait()

    async def relay(
        receives: trio.MemoryReceiveChannel[int], sends: trio.MemorySendChannel[int]
    ) -> None:
        async with sends:
            async for message in receives:
                await sends.send(message)

    async with trio.open_nursery() as nursery:
        sends, receives = trio.open_memory_channel[int](64)
        nursery.start_soon(first, sends)
        for _ in range(actors - 1):
            sends, following = trio.open_memory_channel[int](64)
            nursery.start_soon(relay, receives, sends)
            receives = following


def memory(scale: Scale) -> Contest:
    n = scale.n(ACTORS)
    return Contest(
        name="memory",
        title="memory of an idle actor (a running chain of 10,000, by tracemalloc)",
        unit="KiB",
        one_thread=True,
        variants={
            "trouper": partial(_traced, partial(_begin_workflow, n), n),
            "trio task and memory channel": partial(_traced, partial(_begin_trio, n), n),
        },
        rounds=1,
        baseline="trio task and memory channel",
    )


async def _execute(workflow: trouper.Workflow) -> None:
    end = trio.Event()
    end.set()
    (await workflow.execute(deps=end)).unwrap()


def _time_execute(workflow: trouper.Workflow) -> float:
    begin = process_time()
    trio.run(_execute, workflow)
    return process_time() - begin


def _start_and_stop(make: Callable[[int], trouper.Workflow], actors: int) -> Mapping[str, float]:
    """Return us per actor: declaring it, checking the graph, and running it to its end."""
    phases = time_phases(partial(make, actors), _time_execute)
    names = ("build", "check", "start and stop")
    return {name: took * 1e6 / actors for name, took in zip(names, phases, strict=True)}


async def _trio_to_end(actors: int) -> None:
    end = trio.Event()
    end.set()
    await _trio_chain(actors, end)


def _trio_start_and_stop(actors: int) -> float:
    begin = process_time()
    trio.run(_trio_to_end, actors)
    return (process_time() - begin) * 1e6 / actors


def start_stop(scale: Scale) -> Contest:
    n = scale.n(ACTORS)
    return Contest(
        name="start_stop",
        title="10,000 actors start and stop",
        unit="us per actor",
        one_thread=True,
        variants={
            "trouper, chain,": partial(_start_and_stop, _chain, n),
            "trouper, star,": partial(_start_and_stop, _star, n),
            "trio task and memory channel": partial(_trio_start_and_stop, n),
        },
        rounds=3,
        baseline="trio task and memory channel",
    )
