"""What a consumer makes of the end of its producer is its own choice."""

from typing import Any, Literal

import pytest
from trio.testing import wait_all_tasks_blocked

import trouper

Bond = Literal["permanent", "transient", "temporary"]
How = Literal["stop", "kill"]


def consumer_of(producer: str, bond: Bond) -> Any:
    def on_down(down: trouper.Down) -> None:
        if down.reason == "killed":
            raise OSError("its producer did not end by itself")

    async def consumer(ctx: trouper.ActorContext) -> None:
        if bond == "permanent":
            ctx.watch(producer)
        elif bond == "transient":
            ctx.watch(producer, on_down)
        async for _ in ctx:
            pass

    return consumer


@pytest.mark.parametrize(
    ("bond", "how", "state", "failure"),
    [
        ("permanent", "stop", "failed", "trouper.WatchedDown"),
        ("permanent", "kill", "failed", "trouper.WatchedDown"),
        ("transient", "stop", "done", None),
        ("transient", "kill", "failed", "OSError"),
        ("temporary", "stop", "done", None),
        ("temporary", "kill", "done", None),
    ],
)
async def test_who_ends_with_a_producer(
    bond: Bond, how: How, state: str, failure: str | None
) -> None:
    """G5: with it however it ends, only if not normally, or never; others are left alone."""
    wf = trouper.Workflow()
    consumers = wf.group("consumers")

    @wf.actor
    async def producer(ctx: trouper.ActorContext[Any, Any, int, int]) -> None:
        async for n in ctx:
            await ctx.send(n)

    wanted = consumer_of("producer", bond)
    consumers.actor(name="consumer", depends_on=producer, restart="temporary")(wanted)
    other = consumer_of("producer", "temporary")
    consumers.actor(name="other", restart="temporary")(other)
    async with wf.open() as run:
        await run.send(1, to=producer)
        await wait_all_tasks_blocked()
        if how == "stop":
            await run.stop(producer)
        else:
            run.kill(producer)
        await wait_all_tasks_blocked()
        nodes = run.status().nodes
        assert (nodes["consumer"].state, nodes["other"].state) == (state, "running")
        assert [each.type for each in nodes["consumer"].failures] == ([failure] if failure else [])
    assert (await run.wait()).status == "completed"
