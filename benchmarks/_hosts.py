"""What the border between an asyncio program and its actors costs."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any, Literal

import trio
from anyio.from_thread import start_blocking_portal

import trouper

from ._lateness import endless, relay
from ._measure import Contest, Sample, Scale

Host = Literal["thread", "guest"]
HOSTS: tuple[Host, ...] = ("thread", "guest")
CALLERS = 64
TICK = 0.001


async def _echo(ctx: trouper.ActorContext[None, None, int, None]) -> None:
    async for number in ctx:
        await ctx.reply(number)


def _workflow() -> trouper.Workflow:
    workflow = trouper.Workflow("hosted")
    workflow.actor(name="echo")(_echo)
    return workflow


async def _hosted(
    host: Host,
    use: Callable[[trouper.AsyncioRun], Awaitable[float]],
    workflow: trouper.Workflow | None = None,
) -> float:
    async with trouper.open(workflow or _workflow(), host=host) as run:
        assert isinstance(run, trouper.AsyncioRun)
        figure = await use(run)
        run.cancel("measured")
    return figure


async def _median(call: Callable[[], Awaitable[object]], calls: int) -> float:
    took: list[float] = []
    for _ in range(calls):
        began = perf_counter()
        await call()
        took.append(perf_counter() - began)
    return statistics.median(took) * 1e6


def _nothing() -> None: ...


async def _nothing_async() -> None: ...


def _time_call(host: Host, calls: int) -> float:
    """Return us of one call that does nothing there (median)."""
    return asyncio.run(
        _hosted(host, lambda run: _median(lambda: run.call_there(_nothing_async), calls))
    )


def _time_to_thread(calls: int) -> float:
    return asyncio.run(_median(lambda: asyncio.to_thread(_nothing), calls))


def hosts_call(scale: Scale) -> Contest:
    n = scale.n(1_000, 5)
    return Contest(
        name="hosts_call",
        title="one call from asyncio into trouper and back",
        unit="us",
        variants={
            **{f"trouper, {host}": partial(_time_call, host, n) for host in HOSTS},
            "asyncio.to_thread": partial(_time_to_thread, n),
        },
        rounds=7,
        baseline="asyncio.to_thread",
    )


async def _together(call: Callable[[], Awaitable[object]], each: int) -> float:
    async def one() -> None:
        for _ in range(each):
            await call()

    began = perf_counter()
    await asyncio.gather(*(one() for _ in range(CALLERS)))
    return (perf_counter() - began) * 1e6 / (CALLERS * each)


def _time_callers(host: Host, each: int) -> float:
    """Return us per call of 64 tasks that call at once."""
    return asyncio.run(
        _hosted(host, lambda run: _together(lambda: run.call_there(_nothing_async), each))
    )


def _time_portal(each: int) -> float:
    async def main() -> float:
        with start_blocking_portal("trio") as portal:
            return await _together(
                lambda: asyncio.wrap_future(portal.start_task_soon(_nothing_async)), each
            )

    return asyncio.run(main())


def hosts_callers(scale: Scale) -> Contest:
    n = scale.n(100, 2)
    return Contest(
        name="hosts_callers",
        title="calls from 64 asyncio tasks at once",
        unit="us per call",
        variants={
            **{f"trouper, {host}": partial(_time_callers, host, n) for host in HOSTS},
            "anyio's portal": partial(_time_portal, n),
        },
        rounds=5,
        baseline="anyio's portal",
    )


def _time_stream(host: Host, messages: int) -> float:
    """Return us per message from a source to an asyncio task."""
    workflow = trouper.Workflow("hosted")
    begin = trio.Event()

    @workflow.actor
    async def numbers(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        await begin.wait()
        for number in range(messages):
            yield number

    async def set_begin() -> None:
        begin.set()

    async def use(run: trouper.AsyncioRun) -> float:
        left = messages
        async with run.stream("numbers") as received:
            await run.call_there(set_begin)
            began = perf_counter()
            async for _ in received:
                left -= 1
                if not left:
                    break
            return (perf_counter() - began) * 1e6 / messages

    return asyncio.run(_hosted(host, use, workflow))


def _time_queue(messages: int) -> float:
    async def main() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue(64)

        async def source() -> None:
            for number in range(messages):
                await queue.put(number)

        began = perf_counter()
        task = asyncio.create_task(source())
        for _ in range(messages):
            await queue.get()
        await task
        return (perf_counter() - began) * 1e6 / messages

    return asyncio.run(main())


def hosts_stream(scale: Scale) -> Contest:
    n = scale.n(100_000, 1_000)
    return Contest(
        name="hosts_stream",
        title="a stream of small messages into an asyncio task",
        unit="us per message",
        variants={
            **{f"trouper, {host}": partial(_time_stream, host, n) for host in HOSTS},
            "asyncio.Queue": partial(_time_queue, n),
        },
        rounds=5,
        baseline="asyncio.Queue",
    )


async def _tick(seconds: float) -> Sample:
    late: list[float] = []
    end = perf_counter() + seconds
    while (now := perf_counter()) < end:
        await asyncio.sleep(TICK)
        late.append((perf_counter() - now - TICK) * 1e6)
    late.sort()
    return {"p99": late[int(len(late) * 0.99)], "max": late[-1]}


def _time_ticks(host: Host | None, seconds: float) -> Sample:
    """Return how late a 1 ms ticker of asyncio is beside ten relays that never run dry, us."""
    workflow = trouper.Workflow("saturated")
    workflow.actor(name="source")(endless)
    for number in range(10):
        upstream = f"relay{number - 1}" if number else "source"
        workflow.actor(name=f"relay{number}", depends_on=[upstream])(relay)

    async def main() -> Sample:
        if host is None:
            return await _tick(seconds)
        async with trouper.open(workflow, host=host, deps=0.0) as run:
            late = await _tick(seconds)
            run.cancel("measured")
        return late

    main_of: Callable[[], Coroutine[Any, Any, Sample]] = main
    return asyncio.run(main_of())


def hosts_lateness(scale: Scale) -> Contest:
    seconds = scale.seconds(1.5)
    return Contest(
        name="hosts_lateness",
        title="how late a 1 ms ticker of the host is beside a saturated workflow",
        unit="us",
        variants={
            **{f"trouper, {host}": partial(_time_ticks, host, seconds) for host in HOSTS},
            "nothing beside it": partial(_time_ticks, None, seconds),
        },
        rounds=5,
        baseline="nothing beside it p99",
    )
