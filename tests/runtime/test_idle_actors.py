"""What an actor costs while nothing happens: the collector walks its objects again and again."""

import gc

import trio
from trio.testing import wait_all_tasks_blocked

import trouper

ACTORS = 200
MOST = 36
"""Objects. trio's own task, its scope and the body's frames are two thirds of them."""


async def relay(ctx: trouper.ActorContext[None, None, int, int]) -> None:
    async for message in ctx:
        await ctx.send(message)


def _tracked() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_an_idle_actor_holds_few_objects_for_the_collector() -> None:
    end = trio.Event()
    wf = trouper.Workflow("idle")

    @wf.actor(name="a0")
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await end.wait()

    for number in range(1, ACTORS):
        wf.actor(name=f"a{number}", depends_on=[f"a{number - 1}"])(relay)
    wf.check()
    before = _tracked()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wf.execute)
        await wait_all_tasks_blocked()
        held = (_tracked() - before) / ACTORS
        end.set()
    assert 10 < held <= MOST
