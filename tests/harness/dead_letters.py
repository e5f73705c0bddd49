"""Nodes that give messages up, for tests of what becomes of dead letters."""

from collections.abc import AsyncIterator
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper import ActorContext, Backoff, DeadLetter

QUICK = trouper.RestartPolicy(max_restarts=1000, backoff=Backoff(min=0, max=0))


class Picky:
    """Fails over what is bad, until it is mended."""

    def __init__(self, *bad: Any) -> None:
        self.bad = set(bad)
        self.seen: list[tuple[Any, int, str]] = []

    async def run(self, ctx: ActorContext) -> AsyncIterator[Any]:
        async for x in ctx:
            assert ctx.message is not None
            value = tuple(x.values()) if hasattr(x, "values") else x
            self.seen.append((value, ctx.message.attempt, ctx.message.id))
            if value in self.bad:
                raise ValueError(f"{value} is bad")
            yield x


def picky_graph(picky: Picky, **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow("picky")

    @wf.actor
    async def numbers(ctx: ActorContext) -> AsyncIterator[Any]:
        async for x in ctx:
            yield x

    wf.add(picky, name="picky", depends_on="numbers", max_attempts=2, restart=QUICK, **options)
    return wf


async def feed(run: trouper.LiveRun, *xs: Any) -> None:
    for x in xs:
        await run.send(x, "numbers")
    await wait_all_tasks_blocked()


def stubborn(go_on: trio.Event, done: list[Any]) -> trouper.Workflow:
    """Return a graph whose only node gives up whatever comes before it is to wait."""
    wf = trouper.Workflow("stubborn")

    @wf.actor(max_attempts=1, capacity=2)
    async def node(ctx: ActorContext) -> None:
        async for x in ctx:
            if x == "wait":
                await go_on.wait()
            elif go_on.is_set():
                done.append(x)
            else:
                ctx.reject("not yet")

    return wf


async def give_up_five(run: trouper.LiveRun) -> tuple[DeadLetter, ...]:
    """Have five dead letters, and the node wait with a message in hand."""
    for x in (*range(5), "wait"):
        await run.send(x)
    await wait_all_tasks_blocked()
    return run.dead_letters()


def letter_of(node: str, source: str = "numbers", payload: Any = 1) -> DeadLetter:
    return DeadLetter(node, trouper.Envelope(payload, source, 7), "max_attempts")
