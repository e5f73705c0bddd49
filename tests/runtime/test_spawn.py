"""Children that actors spawn: started, fed, restarted, stopped and forgotten."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Told
from harness.spawning import AT_ONCE, always, echo, for_ever, run_parent


async def test_a_child_handles_what_it_is_sent_and_ends_with_its_parent() -> None:
    """K1: nothing that it was sent is lost, though its parent returns at once."""
    got: list[int] = []

    async def child(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await trio.lowlevel.checkpoint()
            got.append(message)

    async def parent(ctx: trouper.ActorContext) -> None:
        handle = await ctx.spawn(child, name="one")
        assert handle.name == "parent/one"
        for number in range(100):
            await handle.send(number)

    assert (await run_parent(parent)).ok
    assert got == list(range(100))


async def test_the_result_of_a_child() -> None:
    def compute(ctx: trouper.TaskContext) -> int:
        return 6 * 7

    async def parent(ctx: trouper.ActorContext) -> None:
        task = await ctx.spawn(compute)
        assert task.name == "parent/compute-1"
        ctx.set_result("task", await task.wait())
        with pytest.raises(trouper.NodeEnded, match="it is done"):
            await task.send(1)
        actor = await ctx.spawn(echo)
        assert actor.name == "parent/echo-2"
        await actor.send("a")
        await actor.send("b")
        await wait_all_tasks_blocked()
        assert actor.state == "running"
        await actor.stop()
        await actor.stop()
        ctx.set_result("actor", await actor.wait())
        assert actor.state == "cancelled"
        with pytest.raises(trouper.NodeEnded, match="it is cancelled") as refused:
            await actor.send("c")
        assert refused.value.payload == "c"

    result = await run_parent(parent)
    result.unwrap()
    assert result.results == {"task": 42, "actor": "b"}


async def test_a_child_is_restarted_on_its_mailbox() -> None:
    """K1, S1: a hundred times, the messages come in order."""
    got: list[int] = []

    async def child(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            if ctx.message is not None and ctx.message.attempt == 1:
                raise Told
            got.append(message)

    async def parent(ctx: trouper.ActorContext) -> None:
        handle = await ctx.spawn(child, backoff=AT_ONCE, max_restarts=1000)
        for number in range(100):
            await handle.send(number)

    (await run_parent(parent)).unwrap()
    assert got == list(range(100))


async def test_a_child_that_is_given_up_fails_its_parent() -> None:
    """S10, A1: the parent is restarted with fresh children, until that was too often."""
    spawned: list[Any] = []

    async def parent(ctx: trouper.ActorContext) -> None:
        spawned.append(await ctx.spawn(for_ever, name="good"))
        spawned.append(await ctx.spawn(always, name="bad", max_restarts=1, backoff=AT_ONCE))
        await trio.sleep_forever()

    result = await run_parent(parent, max_restarts=1)
    assert result.status == "failed"
    assert isinstance(result.error, trouper.ChildFailed)
    assert isinstance(result.error.__cause__, Told)
    assert "'parent/bad' failed: Told('again'); failed 2 times in 10 s" in str(result.error)
    assert [handle.state for handle in spawned] == ["cancelled", "failed"] * 2
    with pytest.raises(trouper.ChildFailed, match=r"'parent/bad' failed: .*Told: again"):
        await spawned[1].wait()
    assert await spawned[0].wait() is None


async def test_a_failing_child_rejects_what_its_parent_has_in_hand() -> None:
    """A message that always spawns a failing child ends in the dead letters."""
    wf = trouper.Workflow()

    @wf.actor
    async def feed(ctx: trouper.ActorContext) -> None:
        for number in range(3):
            await ctx.send(number)

    @wf.actor(depends_on=feed, backoff=AT_ONCE, max_attempts=2)
    async def parent(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            child = await ctx.spawn(always if message == 1 else echo, max_restarts=0)
            if message == 1:
                await child.wait()

    result = await wf.execute()
    result.unwrap()
    (letter,) = result.dead_letters
    assert (letter.envelope.payload, letter.reason) == (1, "max_attempts")


async def test_a_temporary_child_that_fails_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    """S1."""

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(always, restart="temporary")
        with pytest.raises(trouper.ChildFailed):
            await child.wait()
        ctx.set_result("alive", True)

    result = await run_parent(parent)
    result.unwrap()
    assert result.results == {"alive": True}
    assert "'parent' goes on without it" in caplog.text


async def test_children_of_a_restarting_parent_are_stopped_before_it_starts_again() -> None:
    """P6: also when the second start fails in its start hook."""
    log: list[str] = []

    class Child:
        async def run(self, ctx: trouper.ActorContext) -> None:
            log.append("child runs")
            try:
                await trio.sleep_forever()
            finally:
                log.append("child stops")

    class Parent:
        async def start(self, ctx: trouper.ActorContext) -> None:
            log.append("parent starts")
            if log.count("parent starts") < 4:
                await ctx.spawn(Child)
                await wait_all_tasks_blocked()
            if log.count("parent starts") == 2:
                raise Told

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            log.append("parent stops")

        async def run(self, ctx: trouper.ActorContext) -> None:
            if log.count("parent starts") < 4:
                raise Told

    wf = trouper.Workflow()
    wf.add(Parent, name="parent", backoff=AT_ONCE)
    (await wf.execute()).unwrap()
    once = ["parent starts", "child runs", "child stops", "parent stops"]
    assert log == [*once, *once, *once, "parent starts", "parent stops"]


async def test_no_more_than_max_children_at_a_time(autojump_clock: MockClock) -> None:
    """S16: one that waits to be restarted counts."""

    async def parent(ctx: trouper.ActorContext) -> None:
        slow = trouper.Backoff(min=1000, max=1000)
        child = await ctx.spawn(always, name="bad", backoff=slow, max_restarts=9)
        await trio.sleep(1)
        assert child.state == "restarting"
        await ctx.spawn(for_ever, name="good")
        with pytest.raises(trouper.SpawnRefused, match="it has max_children=2 already"):
            await ctx.spawn(for_ever, name="third")
        began = trio.current_time()
        await child.stop()
        assert trio.current_time() == began, "S11: promptly, while it waits to be restarted"
        third = await ctx.spawn(for_ever, name="third")
        ctx.set_result("state", third.state)
        raise Done

    class Done(Exception):
        pass

    result = await run_parent(parent, max_children=2, max_restarts=0)
    assert isinstance(result.error, Done)
    assert result.results == {"state": "waiting"}


async def test_a_name_is_taken_once_at_a_time() -> None:
    """S15: started twice is refused by name and state; stopped twice is fine."""

    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(for_ever, name="one")
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="'parent' already has a child 'one', which is runnin"):
            await ctx.spawn(for_ever, name="one")
        await child.stop()
        again = await ctx.spawn(for_ever, name="one")
        await again.stop()

    (await run_parent(parent)).unwrap()


@pytest.mark.parametrize("options", [{"depends_on": "x"}, {"significant": True}, {"colour": 1}])
async def test_options_of_edges_mean_nothing(options: dict[str, Any]) -> None:
    """S13."""

    async def parent(ctx: trouper.ActorContext) -> None:
        with pytest.raises(TypeError, match=f"has no option {next(iter(options))!r}"):
            await ctx.spawn(for_ever, **options)
        misspelt: Any = {"nmae": "one"}
        with pytest.raises(TypeError, match="has no option 'nmae'; did you mean 'name'"):
            await ctx.spawn(for_ever, **misspelt)

    (await run_parent(parent)).unwrap()
