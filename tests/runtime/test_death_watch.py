"""Watch and death notices: once, before data, in the watcher's own task."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays, sleeps


def watcher(
    seen: list[Any], *nodes: str, on_down: Callable[[trouper.Down], Any] | None = None
) -> Any:
    """Return an actor body that notes messages and the ends of nodes, in order."""

    async def watcher(ctx: trouper.ActorContext) -> None:
        for node in nodes:
            ctx.watch(node, on_down or (lambda down: seen.append((down.node, down.reason))))
        async for message in ctx:
            seen.append(message)  # noqa: PERF401  # looked at meanwhile

    return watcher


async def test_each_end_is_told_once_with_its_reason(autojump_clock: MockClock) -> None:
    """P9: normal, stopped, killed; of an actor and of a batch task."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="finite")(counts(1))
    wf.task(name="task")(sleeps(1))
    for name in ("a", "b"):
        wf.actor(name=name)(collects([]))
    wf.actor(name="watcher")(watcher(seen, "finite", "task", "a", "b"))
    async with wf.open() as run:
        await trio.sleep(2)
        assert seen == [("finite", "normal"), ("task", "normal")]
        await run.stop("a")
        run.kill("b")
        run.kill("b")
        await trio.sleep(1)
        assert seen[2:] == [("a", "stopped"), ("b", "killed")]
    assert len(seen) == 4


async def test_watching_what_has_ended_is_told_at_once() -> None:
    """P9: also when the same watch is asked for twice, it is one notice."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="over")(counts(0))

    def note(down: trouper.Down) -> None:
        seen.append(down.node)

    @wf.actor
    async def late(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        ctx.watch("over", note)
        ctx.watch("over", note)
        seen.append("watched")
        seen.append(await ctx.receive())

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        assert run.status().nodes["over"].state == "done"
        await run.send(1, to="late")
        await run.send("data", to="late")
    # Before data, though the data was there first.
    assert seen == ["watched", "over", "data"]


async def test_a_notice_comes_before_data_and_no_overflow_drops_it(
    autojump_clock: MockClock,
) -> None:
    """X19, A2: with a mailbox that drops: notice, settings and stop all arrive."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor(capacity=2, overflow="drop_oldest")
    async def busy(ctx: trouper.ActorContext) -> None:
        ctx.watch("b", lambda down: seen.append(down.node))
        async for message in ctx:
            seen.append((message, ctx.config.get("version")))
            await trio.sleep(10)

    async with wf.open() as run:
        await run.send(0, to="busy")
        await trio.sleep(1)
        run.kill("b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: run.reconfigure("busy", config={"version": 2}))
            for number in range(1, 200):
                await run.send(number, to="busy")
            await trio.sleep(10)
            assert seen == [(0, None), "b", (198, 2)]
            await run.stop("busy")
    assert seen == [(0, None), "b", (198, 2)]
    [edge] = [e for e in (await run.wait()).edges if e.target == "busy"]
    assert edge.dropped == {"drop_oldest": 197, "reader_ended": 1}


async def test_without_on_down_the_watcher_fails(autojump_clock: MockClock) -> None:
    """P9, death pact: as any failure, so its restart rules hold, and a dead node stays dead."""
    incarnations: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor(max_restarts=2)
    async def bound(ctx: trouper.ActorContext) -> None:
        incarnations.append(len(incarnations))
        ctx.watch("b")
        async for _ in ctx:
            pass

    async with wf.open() as run:
        await trio.sleep(1)
        run.kill("b")
        result = await run.wait()
    assert len(incarnations) == 3
    assert isinstance(result.error, trouper.WatchedDown)
    assert (result.error.notice.node, result.error.notice.reason) == ("b", "killed")
    assert "give ctx.watch('b', on_down=...)" in str(result.error)


async def test_a_drain_breaks_no_pact(autojump_clock: MockClock) -> None:
    """Every node ends when the run drains; that is no death to follow."""
    wf = trouper.Workflow()
    wf.actor(name="ticks")(ticking)
    wf.actor(name="relay", depends_on="ticks")(relays())

    @wf.actor(depends_on="relay")
    async def bound(ctx: trouper.ActorContext) -> None:
        ctx.watch("ticks")
        async for _ in ctx:
            await trio.sleep(0.5)

    async with wf.open() as run:
        await trio.sleep(2.2)
    assert (await run.wait()).status == "completed"


async def ticking(ctx: trouper.ActorContext) -> AsyncIterator[int]:
    async for tick in ctx.every(1):
        yield tick


async def test_a_restart_is_no_end_and_ends_the_watches_of_the_one_that_failed(
    autojump_clock: MockClock,
) -> None:
    """P7: an earlier incarnation's wish is not fulfilled in a later one's name."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))
    made: list[int] = []

    @wf.actor
    async def flaky(ctx: trouper.ActorContext) -> None:
        made.append(1)
        if len(made) == 1:
            ctx.watch("b", lambda down: seen.append("first"))
        async for message in ctx:
            if message == "crash" and len(made) == 1:
                raise OSError("once")

    wf.actor(name="other")(watcher(seen, "flaky"))
    async with wf.open() as run:
        await run.send("crash", to="flaky")
        await wait_all_tasks_blocked()
        assert len(made) == 2
        run.kill("b")
        await run.send("more", to="flaky")
        await wait_all_tasks_blocked()
        assert seen == []


async def test_unwatch_takes_back_what_was_not_heard(autojump_clock: MockClock) -> None:
    """P9: also a notice that waits already."""
    seen: list[Any] = []
    forgot: list[str] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor
    async def fickle(ctx: trouper.ActorContext) -> None:
        ctx.watch("b", seen.append)
        async for _ in ctx:
            await trio.sleep(2)
            ctx.unwatch("b")
            ctx.unwatch("b")
            forgot.append("b")

    async with wf.open() as run:
        await run.send(1, to="fickle")
        await trio.sleep(1)
        run.kill("b")
    assert forgot == ["b"]
    assert seen == []


async def test_what_cannot_be_watched_is_refused() -> None:
    said: list[str] = []
    heard: list[trouper.Down] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor
    async def curious(ctx: trouper.ActorContext) -> None:
        ctx.watch("b", heard.append)
        for node, on_down, error in (
            ("curious", None, ValueError),
            ("nobody", None, ValueError),
            ("b", "no function", TypeError),
            ("b", None, ValueError),
        ):
            with pytest.raises(error) as refused:
                ctx.watch(node, on_down)  # type: ignore[arg-type]  # from somebody without types
            said.append(str(refused.value))

    await wf.execute()
    assert "can't watch itself" in said[0]
    assert "there is no node 'nobody'" in said[1]
    assert "takes a function, got 'no function'" in said[2]
    assert "'curious' watches 'b' already" in said[3]


async def test_a_hand_made_context_says_what_to_do() -> None:
    with pytest.raises(NotImplementedError, match="run the actor in a Workflow"):
        trouper.ActorContext().watch("b")


async def test_on_down_may_wait_and_send_and_its_failure_is_the_watchers(
    autojump_clock: MockClock,
) -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor
    async def guard(ctx: trouper.ActorContext) -> None:
        async def alarm(down: trouper.Down) -> None:
            await trio.sleep(1)
            await ctx.send(f"{down.node} is down")
            raise OSError("no siren")

        ctx.watch("b", alarm)
        async for message in ctx:
            await ctx.send(message)

    wf.actor(name="sink", depends_on="guard")(collects(got))
    async with wf.open() as run:
        await trio.sleep(1)
        run.kill("b")
        await trio.sleep(0.1)
        await run.send("data", to="guard")
        await trio.sleep(0.5)
        assert got == []
        await trio.sleep(1)
        failures = run.status().nodes["guard"].failures
        assert got == ["b is down"]
        assert [each.message for each in failures] == ["no siren"]
        assert run.status().nodes["guard"].incarnation == 2


async def test_a_source_hears_of_it_when_it_sends(autojump_clock: MockClock) -> None:
    """It receives nothing; its message waits until the notice is handled."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="b")(collects([]))

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        ends: list[str] = []
        ctx.watch("b", lambda down: ends.append(down.node))
        async for tick in ctx.every(1):
            yield tick, tuple(ends)

    wf.actor(name="sink", depends_on="source")(collects(got))
    async with wf.open() as run:
        await trio.sleep(0.5)
        run.kill("b")
        await trio.sleep(2)
    assert got[:3] == [(0, ()), (1, ()), (2, ("b",))]


async def test_spawned_children_are_watched_and_controlled(autojump_clock: MockClock) -> None:
    """P9: by their handle; when one has ended, nothing of it is left to be asked."""
    seen: list[Any] = []
    got: list[Any] = []
    wf = trouper.Workflow()
    runs: list[trouper.LiveRun] = []

    async def worker(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            got.append((message, ctx.config.get("version")))
            await trio.sleep(1)

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(worker, name="worker", rate=trouper.Rate(1, per=10))
        ctx.watch(child, lambda down: seen.append((down.node, down.reason)))
        async for message in ctx:
            runs[0].pause(child)
            await child.send(message)
            await trio.sleep(5)
            assert got == []
            await runs[0].reconfigure(child, config={"version": 2}, capacity=3)
            runs[0].resume(child)
            await trio.sleep(0.5)
            runs[0].kill(child.name)

    async with wf.open() as run:
        runs.append(run)
        await run.send("hello", to="parent")
        await trio.sleep(20)
        assert got == [("hello", 2)]
        assert seen == [("parent/worker", "killed")]
        with pytest.raises(ValueError, match="there is no node 'parent/worker'"):
            run.pause("parent/worker")
        run.status()
