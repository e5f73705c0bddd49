"""The same work on what people use otherwise."""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import anyio
import trio

from ._load import Load, time_tasks


def trio_chain(load: Load, relays: int, capacity: int) -> Callable[[], Awaitable[None]]:
    """Return what runs source -> relays -> sink over `trio.open_memory_channel`."""

    async def source(sends: trio.MemorySendChannel[Any]) -> None:
        await load.opened()
        async with sends:
            for item in load.stream():
                await sends.send(item)

    async def relay(
        receives: trio.MemoryReceiveChannel[Any], sends: trio.MemorySendChannel[Any]
    ) -> None:
        async with sends:
            async for message in receives:
                await sends.send(message)

    async def sink(receives: trio.MemoryReceiveChannel[Any]) -> None:
        count = 0
        async for _ in receives:
            count += 1
        load.arrived(count)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            sends, receives = trio.open_memory_channel[Any](capacity)
            nursery.start_soon(source, sends)
            for _ in range(relays):
                sends, following = trio.open_memory_channel[Any](capacity)
                nursery.start_soon(relay, receives, sends)
                receives = following
            nursery.start_soon(sink, receives)

    return run


def time_trio_chain(messages: int, relays: int, capacity: int) -> float:
    """Return ns per message and hop."""
    load = Load(messages)
    return time_tasks(trio_chain(load, relays, capacity), load, messages * (relays + 1))


_END = object()


async def _asyncio_chain(load: Load, relays: int, capacity: int) -> None:
    async def source(sends: asyncio.Queue[Any]) -> None:
        load.go()
        for item in load.stream():
            await sends.put(item)
        await sends.put(_END)

    async def relay(receives: asyncio.Queue[Any], sends: asyncio.Queue[Any]) -> None:
        while (message := await receives.get()) is not _END:
            await sends.put(message)
        await sends.put(_END)

    async def sink(receives: asyncio.Queue[Any]) -> None:
        count = 0
        while await receives.get() is not _END:
            count += 1
        load.arrived(count)

    async with asyncio.TaskGroup() as group:
        queues = [asyncio.Queue[Any](capacity) for _ in range(relays + 1)]
        group.create_task(source(queues[0]))
        for receives, sends in pairwise(queues):
            group.create_task(relay(receives, sends))
        group.create_task(sink(queues[-1]))


def time_asyncio_chain(messages: int, relays: int, capacity: int, loop: str = "asyncio") -> float:
    """Return ns per message and hop; `loop` is "asyncio" or "uvloop"."""
    load = Load(messages)
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_asyncio_chain(load, relays, capacity))
    return load.ns_per(messages * (relays + 1))


async def _anyio_chain(load: Load, relays: int, capacity: int) -> None:
    async def source(sends: Any) -> None:
        load.go()
        async with sends:
            for item in load.stream():
                await sends.send(item)

    async def relay(receives: Any, sends: Any) -> None:
        async with receives, sends:
            async for message in receives:
                await sends.send(message)

    async def sink(receives: Any) -> None:
        count = 0
        async with receives:
            async for _ in receives:
                count += 1
        load.arrived(count)

    async with anyio.create_task_group() as group:
        sends, receives = anyio.create_memory_object_stream[Any](capacity)
        group.start_soon(source, sends)
        for _ in range(relays):
            sends, following = anyio.create_memory_object_stream[Any](capacity)
            group.start_soon(relay, receives, sends)
            receives = following
        group.start_soon(sink, receives)


def time_anyio_chain(messages: int, relays: int, capacity: int, backend: str) -> float:
    """Return ns per message and hop; `backend` is "asyncio" or "trio"."""
    load = Load(messages)
    anyio.run(_anyio_chain, load, relays, capacity, backend=backend)
    return load.ns_per(messages * (relays + 1))


def is_installed(module: str) -> bool:
    """Return whether an optional peer can be measured."""
    return importlib.util.find_spec(module) is not None
