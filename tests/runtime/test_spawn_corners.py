"""Children when several things happen at once."""

import contextvars
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Told
from harness.spawning import AT_ONCE, always, for_ever, run_parent


async def test_a_fed_child_takes_its_time(autojump_clock: MockClock) -> None:
    """A3: what it was sent is handled, whatever the parent's own budget; a task's call too."""
    got: list[int] = []

    async def slow(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await trio.sleep(10)
            got.append(message)

    class Computes:
        async def execute(self, ctx: trouper.TaskContext) -> None:
            await trio.sleep(5)
            got.append(-1)

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(slow)
        await ctx.spawn(Computes)
        for number in range(3):
            await child.send(number)

    (await run_parent(parent, shutdown=1)).unwrap()
    assert got == [-1, 0, 1, 2]


async def test_a_child_with_nothing_to_do_is_not_waited_for(autojump_clock: MockClock) -> None:
    """S11: it waits to be restarted, which would find no message."""

    async def parent(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(always, backoff=trouper.Backoff(min=1000, max=1000), max_restarts=99)
        await wait_all_tasks_blocked()

    began = trio.current_time()
    (await run_parent(parent)).unwrap()
    assert trio.current_time() == began


async def test_a_child_that_fails_after_its_parent_returned_fails_it_all_the_same() -> None:
    """A1, S10: whether the parent waits for its children then, or had not looked yet."""

    async def late(ctx: trouper.ActorContext) -> None:
        await ctx.stopping.wait()
        raise Told("late")

    async def returns(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(late, max_restarts=0)
        await wait_all_tasks_blocked()

    async def looks_away(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(always, max_restarts=0)
        with trio.CancelScope(shield=True), pytest.raises(trouper.ChildFailed):
            await child.wait()

    for body in (returns, looks_away):
        result = await run_parent(body, max_restarts=0)
        assert isinstance(result.error, trouper.ChildFailed)
        assert result.nodes["parent"].failed == 1


async def test_of_two_children_that_fail_the_first_one_is_told() -> None:
    """A1."""
    go = trio.Event()

    async def fails(ctx: trouper.ActorContext) -> None:
        await go.wait()
        raise Told(ctx.action.name)

    async def parent(ctx: trouper.ActorContext) -> None:
        for name in ("one", "two"):
            await ctx.spawn(fails, name=name, max_restarts=0)
        await wait_all_tasks_blocked()
        go.set()
        await trio.sleep_forever()

    result = await run_parent(parent, max_restarts=0)
    assert str(result.error).startswith(("'parent/one' failed", "'parent/two' failed"))


async def test_permanent_children() -> None:
    """S1: restarted after a normal end too; one that does nothing must not spin for ever."""
    got: list[int] = []

    async def one(ctx: trouper.ActorContext) -> None:
        got.append(await ctx.receive())

    async def idle(ctx: trouper.ActorContext) -> None: ...

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(one, restart="permanent")
        for number in range(5):
            await child.send(number)
            await wait_all_tasks_blocked()
        await child.stop()
        await (await ctx.spawn(idle, restart="permanent", backoff=AT_ONCE)).wait()

    result = await run_parent(parent, max_restarts=0)
    assert got == [0, 1, 2, 3, 4]
    assert "returned without taking a message" in str(result.error)


async def test_a_crash_loop_with_a_slow_stop_hook_ends(autojump_clock: MockClock) -> None:
    """S19: of a child too."""
    starts: list[float] = []

    class Slow:
        async def run(self, ctx: trouper.ActorContext) -> None:
            starts.append(trio.current_time())
            raise Told

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            await trio.sleep(10)

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(Slow, max_restarts=2, period=4, backoff=AT_ONCE, shutdown=60)
        await child.wait()

    result = await run_parent(parent, max_restarts=0)
    assert len(starts) == 3
    assert "failed 3 times in 4 s" in str(result.error)


async def test_many_children_are_stopped_before_they_began() -> None:
    """A4, S17: actors and tasks, told to stop in the same breath."""

    class Computes:
        async def execute(self, ctx: trouper.TaskContext) -> None:
            raise AssertionError

    async def never(ctx: trouper.ActorContext) -> None:
        raise AssertionError

    async def parent(ctx: trouper.ActorContext) -> None:
        handles: list[trouper.Spawned] = []
        with trio.CancelScope() as scope:
            for number in range(40):
                handles.append(await ctx.spawn(for_ever))
                if number == 38:
                    scope.cancel()
        last = await ctx.spawn(Computes), await ctx.spawn(never)
        async with trio.open_nursery() as nursery:
            for handle in last:
                nursery.start_soon(handle.stop)
        ctx.set_result("states", {handle.state for handle in last})
        raise Told

    result = await run_parent(parent, max_restarts=0)
    assert isinstance(result.error, Told)


async def test_a_child_that_fails_while_its_run_is_cancelled() -> None:
    """P2: it is not restarted, and nothing waits for it."""
    wf = trouper.Workflow()
    died = trio.Event()

    async def dirty(ctx: trouper.ActorContext) -> None:
        try:
            await trio.sleep_forever()
        finally:
            died.set()
            raise ValueError("in its clean-up")

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(dirty)
        # Else it might retire the child before that has failed: trio wakes both, in any order.
        with trio.CancelScope(shield=True):
            await died.wait()
        await trio.sleep_forever()

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.cancel()
        result = await run.wait()
    assert result.status == "cancelled"


async def test_a_task_outside_of_the_run_can_not_spawn() -> None:
    async def parent(ctx: trouper.ActorContext) -> None:
        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="was called outside of its run"):
                await ctx.spawn(for_ever)

        async with trio.open_nursery() as nursery:
            contextvars.Context().run(nursery.start_soon, elsewhere)

    (await run_parent(parent)).unwrap()


async def test_a_child_refuses_what_it_can_not_take() -> None:
    class Computes:
        async def execute(self, ctx: trouper.TaskContext) -> None:
            await trio.sleep_forever()

    async def numbers(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        await ctx.receive()

    async def parent(ctx: trouper.ActorContext) -> None:
        task = await ctx.spawn(Computes, name="task")
        with pytest.raises(TypeError, match="'parent/task' is a task, which takes no messages"):
            await task.send(1)
        await task.stop()
        child = await ctx.spawn(numbers, name="numbers")
        with pytest.raises(TypeError, match="parent/numbers"):
            await child.send("one")
        await child.send(1)
        await child.wait()
        with pytest.raises(trouper.NodeEnded):
            await child.send(2)

    (await run_parent(parent)).unwrap()


async def test_a_send_that_waits_hears_that_the_child_has_ended() -> None:
    """K2: the message was not accepted, and the refusal carries it."""

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(for_ever, capacity=1)
        await child.send(1)

        async def sends() -> None:
            with pytest.raises(trouper.NodeEnded) as refused:
                await child.send(2)
            ctx.set_result("back", refused.value.payload)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sends)
            await wait_all_tasks_blocked()
            await child.stop()

    result = await run_parent(parent)
    result.unwrap()
    assert result.results == {"back": 2}
    assert [(letter.envelope.payload, letter.reason) for letter in result.dead_letters] == [
        (1, "stopped")
    ]


async def test_what_no_incarnation_could_call_is_refused_at_once() -> None:
    """S13: the context is not called `ctx`, and nothing else could fill the parameter."""

    async def child(c: Any) -> None:
        async for _ in c:
            pass

    async def parent(ctx: trouper.ActorContext) -> None:
        with pytest.raises(TypeError, match="the context comes first, under the name `ctx`"):
            await ctx.spawn(child)

    (await run_parent(parent)).unwrap()
