"""From a crash to the first message of the next incarnation."""

import statistics
from functools import partial
from time import process_time

import trio

import trouper

from ._measure import Contest, Scale

CRASHES = 200


class Crashes:
    """Given to the actor as `ctx.deps`: when it crashed, and how long it took to come back."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.crashed_at = 0.0
        self.took: list[float] = []


async def source(ctx: trouper.ActorContext[None, Crashes, None, int]) -> None:
    for number in range(ctx.deps.wanted):
        await ctx.send(number)


async def crashing(ctx: trouper.ActorContext[None, Crashes, int, None]) -> None:
    """Crashes at the first attempt of every message."""
    async for _ in ctx:
        crashes, message = ctx.deps, ctx.message
        assert message is not None
        if message.attempt == 1:
            crashes.crashed_at = process_time()
            raise ValueError("a crash")
        crashes.took.append(process_time() - crashes.crashed_at)


def _trouper(wanted: int) -> float:
    """Return us from a crash to the message in the next incarnation (median)."""
    workflow = trouper.Workflow("crashes")
    workflow.actor(name="source")(source)
    workflow.actor(
        name="crashing",
        depends_on=["source"],
        max_restarts=wanted + 1,
        backoff=trouper.Backoff(min=0.0, max=0.0),
    )(crashing)
    crashes = Crashes(wanted)

    async def main() -> None:
        (await workflow.execute(deps=crashes)).unwrap()

    trio.run(main)
    if len(crashes.took) != wanted:
        raise RuntimeError(f"{len(crashes.took)} messages came again, not {wanted}")
    return statistics.median(crashes.took) * 1e6


async def _crash(crashes: Crashes) -> None:
    """The body of a bare task: it comes back, and crashes again."""
    if crashes.crashed_at:
        crashes.took.append(process_time() - crashes.crashed_at)
    if len(crashes.took) < crashes.wanted:
        crashes.crashed_at = process_time()
        raise ValueError("a crash")


def _trio(wanted: int) -> float:
    """A trio task that crashes, and is started again by whoever opened its nursery."""
    crashes = Crashes(wanted)

    async def main() -> None:
        while len(crashes.took) < wanted:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_crash, crashes)
            except* ValueError:
                pass

    trio.run(main)
    return statistics.median(crashes.took) * 1e6


def _trio_caught(wanted: int) -> float:
    """A body that raises inside of a task which catches it and starts the next: no task crashes."""
    crashes = Crashes(wanted)

    async def keep(nursery: trio.Nursery) -> None:
        try:
            await _crash(crashes)
        except ValueError:
            nursery.start_soon(keep, nursery)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, nursery)

    trio.run(main)
    return statistics.median(crashes.took) * 1e6


def restarts(scale: Scale) -> Contest:
    n = scale.n(CRASHES)
    return Contest(
        name="restarts",
        title="from a crash to the first message of the next incarnation",
        unit="us",
        one_thread=True,
        variants={
            "trouper": partial(_trouper, n),
            "bare trio task": partial(_trio, n),
            "bare trio task, caught inside": partial(_trio_caught, n),
        },
        baseline="bare trio task",
    )
