"""Children that actors spawn: how they end, and what is kept of them."""

import gc
import math
import weakref
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Told
from harness.spawning import always, echo, for_ever, run_parent


async def test_nothing_is_spawned_while_the_run_drains() -> None:
    """A4."""
    wf = trouper.Workflow()

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        await ctx.stopping.wait()
        with pytest.raises(trouper.SpawnRefused, match="it ends, and its children with it"):
            await ctx.spawn(for_ever)

    async with wf.open() as run:
        await wait_all_tasks_blocked()
    (await run.wait()).unwrap()


async def test_nothing_is_spawned_by_a_stop_hook() -> None:
    """A4: whether there have been children or not."""

    class Parent:
        async def run(self, ctx: trouper.ActorContext) -> None: ...

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            with pytest.raises(trouper.SpawnRefused, match="in its stop hook"):
                await ctx.spawn(for_ever)
            ctx.set_result("asked", True)

    wf = trouper.Workflow()
    wf.add(Parent())
    result = await wf.execute()
    result.unwrap()
    assert result.results == {"asked": True}


async def test_a_context_made_by_hand_can_not_spawn() -> None:
    with pytest.raises(NotImplementedError):
        await trouper.ActorContext[Any, Any, Any, Any]().spawn(for_ever)


async def test_a_child_that_only_loops_is_asked_and_then_stopped(
    autojump_clock: MockClock,
) -> None:
    """One that looks at ctx.stopping ends; one that does not is stopped after the budget."""
    ended: list[str] = []

    async def looks(ctx: trouper.ActorContext) -> None:
        await ctx.stopping.wait()
        ended.append("looks")

    async def parent(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(looks)
        await ctx.spawn(for_ever)
        await wait_all_tasks_blocked()

    began = trio.current_time()
    (await run_parent(parent, shutdown=3)).unwrap()
    assert trio.current_time() - began == pytest.approx(3)
    assert ended == ["looks"]


async def test_children_have_children_and_status_lists_them_all() -> None:
    """S15: while they are there."""
    wf = trouper.Workflow()
    go = trio.Event()

    async def child(ctx: trouper.ActorContext) -> None:
        grandchild = await ctx.spawn(echo, name="grandchild")
        async for message in ctx:
            await grandchild.send(message)

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        handle = await ctx.spawn(child, name="child")
        await handle.send("x")
        await go.wait()

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        status = run.status()
        names = ["parent", "parent/child", "parent/child/grandchild"]
        assert list(status.nodes) == names
        assert [(edge.source, edge.target, edge.sent) for edge in status.edges if edge.sent] == [
            ("parent", "parent/child", 1),
            ("parent/child", "parent/child/grandchild", 1),
        ]
        go.set()
        result = await run.wait()
        assert list(result.nodes) == ["parent"]


async def test_cancelling_the_run_ends_children_too() -> None:
    """X6, P2: with those that wait to be restarted, whatever kind they are."""
    wf = trouper.Workflow()
    handles: list[Any] = []

    class Sleeps:
        async def execute(self, ctx: trouper.TaskContext) -> None:
            await trio.sleep_forever()

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        slow = trouper.Backoff(min=1000, max=1000)
        handles.append(await ctx.spawn(for_ever))
        handles.append(await ctx.spawn(Sleeps))
        handles.append(await ctx.spawn(always, backoff=slow, max_restarts=99))
        await trio.sleep_forever()

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.cancel()
    assert [handle.state for handle in handles] == ["cancelled"] * 3


async def test_a_message_that_is_spawned_over_lends_its_context() -> None:
    """X1: without its deadline, which is the message's own."""
    wf = trouper.Workflow()
    seen: list[Any] = []

    async def child(ctx: trouper.ActorContext) -> None:
        seen.append(ctx.custom_context)
        await ctx.send(1)

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await (await ctx.spawn(child)).wait()

    async with wf.open() as run:
        await run.send(1, custom_context={"tenant": "a"}, timeout=1e6)
        await wait_all_tasks_blocked()
    assert seen == [{"tenant": "a"}]


async def test_nothing_is_kept_of_children_that_have_ended() -> None:
    """S18: what a child was made with can be collected, though its handle is kept."""

    class Large:
        async def run(self, ctx: trouper.ActorContext) -> None: ...

    seen: list[weakref.ref[Any]] = []
    handles: list[Any] = []

    async def parent(ctx: trouper.ActorContext) -> None:
        for _ in range(50):
            body = Large()
            seen.append(weakref.ref(body))
            handles.append(await ctx.spawn(body, name="large"))
            del body
            await handles[-1].wait()
        gc.collect()
        ctx.set_result("alive", sum(ref() is not None for ref in seen))

    result = await run_parent(parent)
    result.unwrap()
    assert result.results["alive"] <= 1, "the last one's frame may still be there"


async def test_a_spawned_pool_stops_side_by_side(autojump_clock: MockClock) -> None:
    """S12: dynamic children stop in parallel, each within its own budget."""

    class Slow:
        async def run(self, ctx: trouper.ActorContext) -> None:
            await trio.sleep_forever()

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            await trio.sleep(2)

    async def parent(ctx: trouper.ActorContext) -> None:
        for _ in range(20):
            await ctx.spawn(Slow, shutdown=math.inf)
        await wait_all_tasks_blocked()
        raise Told

    began = trio.current_time()
    await run_parent(parent, max_restarts=0)
    assert trio.current_time() - began == pytest.approx(2)
