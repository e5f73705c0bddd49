"""What does not depend on size: stages, actors, payloads."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

import trouper

from ._load import Load, time_tasks, time_workflow
from ._measure import Contest, Scale
from ._pipelines import chain
from ._relays import MESSAGES

STAGES = (1, 10, 100, 1_000)
ACTORS = 10_000


def _time_stages(stages: int, scale: Scale) -> float:
    """Return ns per hop through so many relays; short chains get more messages."""
    relays = scale.n(stages)
    messages = scale.n(max(2_000, 200_000 // stages))
    load = Load(messages)
    return time_workflow(chain(relays=relays), load, messages * (relays + 1))


def stages(scale: Scale) -> Contest:
    return Contest(
        name="stages",
        title="cost per hop by the number of stages",
        unit="ns per hop",
        one_thread=True,
        variants={f"{count} stages": partial(_time_stages, count, scale) for count in STAGES},
        baseline="10 stages",
    )


# -- 5,000 pairs that play ping-pong: one message per wake-up -------------------------------------


async def ping(ctx: trouper.ActorContext[None, Load, int, int]) -> None:
    await ctx.deps.opened()
    await ctx.send(0)
    count = 0
    while count < ctx.deps.messages:
        count += 1
        await ctx.receive()
        if count < ctx.deps.messages:
            await ctx.send(0)
    ctx.deps.arrived(count)


async def pong(ctx: trouper.ActorContext[None, Load, int, int]) -> None:
    async for message in ctx:
        await ctx.send(message)


def _pairs(pairs: int, rounds: int) -> float:
    """Return ns per message."""
    workflow = trouper.Workflow("pairs")
    for number in range(pairs):
        back = {f"pong{number}": trouper.Edge(feedback=True)}
        workflow.actor(name=f"ping{number}", depends_on=back)(ping)
        workflow.actor(name=f"pong{number}", depends_on=[f"ping{number}"])(pong)
    load = Load(rounds, expected=pairs * rounds)
    return time_workflow(workflow, load, pairs * rounds * 2)


def _trio_pairs(pairs: int, rounds: int) -> float:
    load = Load(rounds, expected=pairs * rounds)
    time_run: Callable[[], Awaitable[None]] = partial(_run_trio_pairs, pairs, load)
    return time_tasks(time_run, load, pairs * rounds * 2)


async def _run_trio_pairs(pairs: int, load: Load) -> None:
    async def ping(sends: Any, receives: Any) -> None:
        await load.opened()
        async with sends:
            for _ in range(load.messages):
                await sends.send(0)
                await receives.receive()
        load.arrived(load.messages)

    async def pong(sends: Any, receives: Any) -> None:
        async with sends:
            async for message in receives:
                await sends.send(message)

    async with trio.open_nursery() as nursery:
        for _ in range(pairs):
            there, arrives = trio.open_memory_channel[int](64)
            back, returns = trio.open_memory_channel[int](64)
            nursery.start_soon(ping, there, returns)
            nursery.start_soon(pong, back, arrives)


def pairs(scale: Scale) -> Contest:
    count, rounds = scale.n(ACTORS // 2), scale.n(20)
    return Contest(
        name="pairs",
        title="10,000 actors, one message per wake-up (5,000 pairs play ping-pong)",
        unit="ns per message",
        one_thread=True,
        variants={
            "trouper": partial(_pairs, count, rounds),
            "trio memory channel": partial(_trio_pairs, count, rounds),
        },
        rounds=3,
        baseline="trio memory channel",
    )


# -- payloads go by reference ----------------------------------------------------------------------


def _time_payload(payload: Any, messages: int) -> float:
    load = Load(messages, payload=payload)
    return time_workflow(chain(), load, messages * 6)


def payload(scale: Scale) -> Contest:
    n = scale.n(MESSAGES // 2)
    return Contest(
        name="payload",
        title="payload size",
        unit="ns per hop",
        one_thread=True,
        variants={
            "an int": partial(_time_payload, 1, n),
            "1 MB": partial(_time_payload, bytes(1_000_000), n),
        },
        baseline="an int",
    )
