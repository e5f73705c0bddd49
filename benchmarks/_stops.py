"""How the time to stop a supervisor's children grows with their number."""

from functools import partial
from time import process_time

import trio

import trouper

from ._measure import Contest, Scale

MANY = 10_000


async def _sleeper(ctx: trouper.ActorContext[None, None, None, None]) -> None:
    await trio.sleep_forever()


def _group(children: int) -> float:
    """Return ms that a group needs to stop its members, one after the other."""
    workflow = trouper.Workflow("group")
    group = workflow.group("group", auto_shutdown="any_significant")
    for number in range(children):
        group.actor(name=f"n{number}")(_sleeper)
    began: list[float] = []

    @group.actor(significant=True)
    async def leader(ctx: trouper.ActorContext[None, None, None, None]) -> None:
        # It is the last one that starts: all others run.
        began.append(process_time())

    async def main() -> float:
        (await workflow.execute()).unwrap()
        return process_time() - began[0]

    return trio.run(main) * 1e3


def _pool(children: int) -> float:
    """Return ms that an actor needs to stop the children it has spawned, side by side."""
    workflow = trouper.Workflow("pool")
    began: list[float] = []

    @workflow.actor(max_restarts=0)
    async def parent(ctx: trouper.ActorContext[None, None, None, None]) -> None:
        spawned = [await ctx.spawn(_sleeper, name=f"n{number}") for number in range(children)]
        while spawned[-1].state != "running":
            await trio.lowlevel.checkpoint()
        began.append(process_time())
        raise KeyError("stop them")

    async def main() -> float:
        result = await workflow.execute()
        if not isinstance(result.error, KeyError):
            raise RuntimeError(f"the pool ended with {result.reason}")
        return process_time() - began[0]

    return trio.run(main) * 1e3


def stops(scale: Scale) -> Contest:
    n = scale.n(MANY, 20)
    return Contest(
        name="stops",
        title="stop so many children of a supervisor",
        unit="ms",
        one_thread=True,
        variants={
            "group, 10,000": partial(_group, n),
            "group, 1,000": partial(_group, n // 10),
            "pool, 10,000": partial(_pool, n),
            "pool, 1,000": partial(_pool, n // 10),
        },
        rounds=7,
        baseline="group, 1,000",
    )
