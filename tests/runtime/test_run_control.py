"""Pause, resume, stop and kill nodes of a run that goes on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays, sleeps
from harness.ids import assert_edges_closed


def chain(got: list[Any], *, sink: float = 0, **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()

    @wf.actor
    async def ticks(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for tick in ctx.every(1):
            yield tick

    wf.actor(name="relay", depends_on="ticks", **options)(relays())
    wf.actor(name="sink", depends_on="relay")(collects(got, seconds=sink))
    return wf


async def test_a_paused_node_holds_up_those_before_it(autojump_clock: MockClock) -> None:
    """X5: back-pressure as ever; resumed, it goes on with the next message, and none is lost."""
    got: list[int] = []
    async with chain(got, capacity=2).open() as run:
        await trio.sleep(2.5)
        run.pause("relay")
        run.pause("relay")
        await trio.sleep(10)
        assert got == [0, 1, 2]
        node = run.status().nodes["relay"]
        assert (node.paused, node.state, node.depth) == (True, "running", 2)
        run.resume("relay")
        run.resume("relay")
        await trio.sleep(1)
        assert not run.status().nodes["relay"].paused
        # Two were queued, one was held in front of them; the ticks between were missed.
        assert got == [0, 1, 2, 3, 4, 5, 12, 13]
    assert_edges_closed(await run.wait())


async def test_a_paused_source_skips_what_it_misses(autojump_clock: MockClock) -> None:
    got: list[int] = []
    async with chain(got).open() as run:
        await trio.sleep(1.5)
        run.pause("ticks")
        await trio.sleep(10)
        assert got == [0, 1]
        run.resume("ticks")
        await trio.sleep(1)
        assert got == [0, 1, 2, 11, 12]


async def test_heartbeats_of_a_paused_actor_go_on(autojump_clock: MockClock) -> None:
    """X5: its other tasks are its own business; deadlines run on."""
    beats: list[int] = []
    got: list[str] = []
    wf = trouper.Workflow()

    @wf.actor
    async def sink(ctx: trouper.ActorContext) -> None:
        async def beat() -> None:
            async for tick in ctx.every(1):
                beats.append(tick)  # noqa: PERF401  # looked at meanwhile

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            async for message in ctx:
                got.append(message)  # noqa: PERF401  # likewise
            nursery.cancel_scope.cancel()

    async with wf.open() as run:
        await trio.sleep(0.5)
        run.pause("sink")
        await run.send("late", timeout=2)
        await run.send("in time", timeout=100)
        await trio.sleep(5)
        assert beats == [0, 1, 2, 3, 4, 5]
        run.resume(sink)
        await wait_all_tasks_blocked()
        assert got == ["in time"]
        assert [x.reason for x in run.dead_letters()] == ["expired"]


async def test_a_drain_resumes(autojump_clock: MockClock) -> None:
    """X5: everything that was accepted is handled; what is paused now would never end."""
    got: list[int] = []
    async with chain(got, sink=1).open() as run:
        await trio.sleep(2.5)
        for node in ("relay", "sink", "ticks"):
            run.pause(node)
        await trio.sleep(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.drain, 60)
            await trio.sleep(0.1)
            with pytest.raises(trouper.NotRunning, match="the run drains, and would not end"):
                run.pause("sink")
    result = await run.wait()
    assert result.status == "completed"
    assert got == [0, 1, 2, 3]
    assert result.drain is not None
    assert result.drain.abandoned == 0


async def test_a_node_can_be_paused_before_it_begins() -> None:
    """From the start on: nothing is taken until it is resumed."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(3))
    wf.actor(name="sink", depends_on="source")(collects(got))
    async with wf.open() as run:
        run.pause("sink")
        await wait_all_tasks_blocked()
        assert got == []
        run.resume("sink")
        await run.wait()
    assert got == [0, 1, 2]


async def test_stop_ends_one_node_and_the_rest_goes_on(autojump_clock: MockClock) -> None:
    """A2: a normal end: those after it see the end, those before it that nobody reads."""
    got: list[int] = []
    async with chain(got).open() as run:
        await trio.sleep(1.5)
        await run.stop("relay")
        nodes = run.status().nodes
        assert (nodes["relay"].state, nodes["ticks"].state) == ("done", "running")
        await trio.sleep(1)
        nodes = run.status().nodes
        assert (nodes["ticks"].state, nodes["sink"].state) == ("done", "done")
        await run.stop("relay")
    result = await run.wait()
    assert (result.status, got) == ("completed", [0, 1])


async def test_a_stopped_source_may_send_one_message_more(autojump_clock: MockClock) -> None:
    """And hears of it by `ctx.stopping`, by the end of its ticks, or at its next message."""
    got: list[int] = []
    wf = trouper.Workflow()

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1
            await trio.sleep(2)

    wf.actor(name="sink", depends_on="endless")(collects(got))
    async with wf.open() as run:
        await trio.sleep(1)
        await run.stop("endless")
        assert trio.current_time() == 2
        assert run.status().nodes["endless"].state == "done"
    assert got == [0, 1]


async def test_stop_of_a_node_that_never_begins_ends_it(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(5, 1))
    wf.actor(name="waits", depends_on="slow")(collects([]))
    wf.actor(name="waits_too", depends_on="slow")(collects([]))
    async with wf.open() as run:
        await trio.sleep(1)
        await run.stop("waits")
        run.kill("waits_too")
        nodes = run.status().nodes
        assert (nodes["waits"].state, nodes["waits_too"].state) == ("cancelled", "cancelled")
    assert (await run.wait()).outputs == {"slow": 1}


async def test_stop_of_a_node_that_backs_off_ends_it_now(autojump_clock: MockClock) -> None:
    """P2: it is never started again."""
    starts: list[float] = []
    wf = trouper.Workflow()

    @wf.actor(backoff=trouper.Backoff(min=100, max=100), max_restarts=50)
    async def flaky(ctx: trouper.ActorContext) -> None:
        starts.append(trio.current_time())
        raise OSError("again")

    async with wf.open() as run:
        await trio.sleep(1)
        assert run.status().nodes["flaky"].state == "restarting"
        await run.stop("flaky")
        assert trio.current_time() == 1
    assert len(starts) == 2


async def test_kill_is_idempotent_and_concerns_nobody_else(autojump_clock: MockClock) -> None:
    """P17: also before it has begun, while it backs off, and when it has ended."""
    got: list[int] = []
    wf = chain(got, sink=100)

    @wf.actor(backoff=trouper.Backoff(min=100, max=100), max_restarts=50)
    async def flaky(ctx: trouper.ActorContext) -> None:
        raise OSError("again")

    async with wf.open() as run:
        await trio.sleep(1.5)
        for node in ("sink", "flaky"):
            run.kill(node)
            run.kill(node)
        await wait_all_tasks_blocked()
        nodes = run.status().nodes
        assert (nodes["sink"].state, nodes["flaky"].state) == ("cancelled", "cancelled")
        run.kill("sink")
        run.resume("sink")
        # P17: what is attached after it ends at once.
        async with run.stream("sink") as stream:
            assert [each async for each in stream] == []
        with pytest.raises(trouper.NodeEnded):
            await run.send(1, to="sink")
    result = await run.wait()
    assert (result.status, got) == ("completed", [0])
    assert [(x.envelope.payload, x.reason) for x in result.dead_letters] == [
        (0, "killed"),
        (1, "stopped"),
    ]
    assert_edges_closed(result)


@pytest.mark.parametrize("options", [{}, {"concurrency": 3}])
async def test_kill_cancels_who_waits_for_a_message_too(options: Any) -> None:
    """A2: it is no normal end, after which the rest of the body would run."""
    wf = trouper.Workflow()
    went_on: list[str] = []

    class Idle:
        async def run(self, ctx: trouper.ActorContext) -> None:
            async for _ in ctx:
                pass
            went_on.append("flushed")

        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            went_on.append(reason)

    wf.actor(name="idle", **options)(Idle)
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        run.kill("idle")
        await wait_all_tasks_blocked()
        assert run.status().nodes["idle"].state == "cancelled"
    assert went_on == ["cancelled"]


async def test_a_node_killed_before_it_begins_never_does() -> None:
    wf = trouper.Workflow()
    got: list[int] = []
    wf.actor(name="source")(counts(2))
    wf.actor(name="sink", depends_on="source")(collects(got))
    async with wf.open() as run:
        run.kill("sink")
        result = await run.wait()
    assert (got, result.nodes["sink"].incarnation) == ([], 0)
    assert result.status == "completed"


async def test_what_a_killed_node_raises_in_its_clean_up_fails_nobody(
    autojump_clock: MockClock,
) -> None:
    """It is recorded with the node; it neither restarts it nor ends the run."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(2))

    @wf.actor(depends_on="source", restart="temporary")
    async def rude(ctx: trouper.ActorContext) -> None:
        try:
            async for _ in ctx:
                await trio.sleep_forever()
        finally:
            raise OSError("in its clean-up")

    async with wf.open() as run:
        await trio.sleep(1)
        run.kill("rude")
        await trio.sleep(1)
        node = run.status().nodes["rude"]
        assert (node.state, node.incarnation) == ("cancelled", 1)
        assert node.failures[-1].message == "in its clean-up"
    assert (await run.wait()).status == "completed"


async def test_a_node_cannot_wait_for_its_own_end() -> None:
    """It would wait for ever; kill does not wait, so it may kill itself."""
    said: list[str] = []
    wf = trouper.Workflow()

    @wf.actor
    async def suicidal(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            with pytest.raises(ValueError, match="can't wait for its own end; return from"):
                await ctx.state.stop("suicidal")
            ctx.state.kill("suicidal")
            said.append("killed itself")
            await trio.sleep_forever()

    class Holder:
        run: Any = None

        def __getattr__(self, name: str) -> Any:
            return getattr(self.run, name)

    holder = Holder()
    async with wf.open(state=holder) as run:
        holder.run = run
        await run.send(1)
        await wait_all_tasks_blocked()
        assert run.status().nodes["suicidal"].state == "cancelled"
    assert said == ["killed itself"]


async def test_nodes_that_ask_while_the_run_drains_are_told_so(autojump_clock: MockClock) -> None:
    """K3: no deadlock, also of two that would stop each other."""
    told: list[str] = []
    wf = trouper.Workflow()
    runs: list[trouper.LiveRun] = []
    both = trio.Event()

    def asks(other: str) -> Any:
        async def body(ctx: trouper.ActorContext) -> None:
            async for _ in ctx:
                await ctx.stopping.wait()
                with pytest.raises(trouper.NotRunning, match="it stops every node by itself"):
                    await runs[0].stop(other)
                told.append(other)
                if len(told) == 2:
                    both.set()
                await both.wait()

        return body

    wf.actor(name="a")(asks("b"))
    wf.actor(name="b")(asks("a"))
    async with wf.open() as run:
        runs.append(run)
        await run.send(1, to="a")
        await run.send(1, to="b")
        await trio.sleep(1)
    assert sorted(told) == ["a", "b"]
    assert (await run.wait()).status == "completed"


async def test_nobody_is_blamed_for_what_was_asked_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has never read its input, because it was killed before it could."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(100))
    wf.actor(name="sink", depends_on="source")(collects([]))
    async with wf.open() as run:
        run.kill("sink")
        await run.wait()
    assert caplog.records == []


async def test_what_cannot_be_controlled_is_named() -> None:
    wf = trouper.Workflow()
    wf.task(name="task")(sleeps(0, 1))
    wf.actor(name="source")(counts(2))
    async with wf.open() as run:
        with pytest.raises(ValueError, match="there is no node 'sorce'; did you mean 'source'"):
            run.pause("sorce")
        with pytest.raises(ValueError, match="None is no node of this graph; known: 'task', 'sou"):
            run.pause(None)
        with pytest.raises(ValueError, match="'task' is a batch task"):
            run.kill("task")
        await run.wait()
        with pytest.raises(trouper.NotRunning, match=r"pause\(\) of 'source', which has ended"):
            run.pause("source")
        run.kill("source")
        await run.stop("source")
        run.resume("source")


async def test_a_cancelled_stop_goes_on(autojump_clock: MockClock) -> None:
    """Who waits no longer has not taken it back."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="sink")(collects(got, seconds=10))
    async with wf.open() as run:
        await run.send(1)
        await run.send(2)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await run.stop("sink")
        assert run.status().nodes["sink"].state == "running"
        await trio.sleep(10)
        assert run.status().nodes["sink"].state == "done"
    assert got == [1]
