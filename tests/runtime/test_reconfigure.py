"""Change a node while it runs: checked first, all or nothing, between two messages, on record."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, sleeps
from harness.ids import assert_edges_closed


def edge_into(run: trouper.LiveRun, node: str, source: str) -> trouper.EdgeReport:
    [edge] = [e for e in run.status().edges if (e.source, e.target) == (source, node)]
    return edge


def versions(seen: list[Any], *, seconds: float = 1, crash: Any = None) -> Any:
    """Return a body that notes each message with the version before and after it is handled."""

    async def versions(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            before = ctx.config.get("version", 0)
            await trio.sleep(seconds)
            seen.append((message, before, ctx.config.get("version", 0)))
            if message == crash:
                raise OSError("poison")

    return versions


async def test_a_message_is_handled_under_one_config(autojump_clock: MockClock) -> None:
    """X4: the new one holds from the next message on; what waits for it returns then."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="sink")(versions(seen))
    async with wf.open(config={"version": 1}) as run:
        for number in range(3):
            await run.send(number)
        await trio.sleep(0.5)
        await run.reconfigure("sink", config={"version": 2})
        assert trio.current_time() == 1
        assert seen == [(0, 1, 1)]
        [change] = run.status().nodes["sink"].reconfigured
        assert (change.at, change.reverted) == (1, False)
        assert change.changes == {"config": {"version": 2}}
    assert seen == [(0, 1, 1), (1, 2, 2), (2, 2, 2)]


async def test_an_actor_that_waits_takes_it_now() -> None:
    """And all of them in the order of asking (X4)."""
    wf = trouper.Workflow()
    contexts: list[trouper.ActorContext] = []

    @wf.actor
    async def sink(ctx: trouper.ActorContext) -> None:
        contexts.append(ctx)
        async for _ in ctx:
            pass

    async with wf.open() as run:
        await wait_all_tasks_blocked()

        async def change(version: int) -> None:
            await run.reconfigure("sink", config={"v": version})

        async with trio.open_nursery() as nursery:
            for version in range(5):
                nursery.start_soon(change, version)
        changes = run.status().nodes["sink"].reconfigured
        assert contexts[0].config == changes[-1].changes["config"]
        assert len(changes) == 5


async def test_a_new_incarnation_has_it_from_its_first_line(autojump_clock: MockClock) -> None:
    """X4: a crash is a boundary: the next attempt at the message is handled under the new one."""
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="sink", max_attempts=2)(versions(seen, crash=0))
    async with wf.open() as run:
        await run.send(0)
        await trio.sleep(0.5)
        await run.reconfigure("sink", config={"version": 2})
    assert seen == [(0, 0, 0), (0, 2, 2)]


async def test_a_failure_on_probation_brings_the_former_back(autojump_clock: MockClock) -> None:
    """X4: config, bound, rate and restart options; and the record says so."""
    seen: list[Any] = []
    wf = trouper.Workflow()

    @wf.actor(capacity=8)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            seen.append((message, ctx.config["version"]))
            if ctx.config["version"] == 2:
                raise OSError("version 2 does not work")

    async with wf.open(config={"version": 1}) as run:
        await run.reconfigure(
            "sink", config={"version": 2}, capacity=3, max_attempts=1, rate=100, probation=60
        )
        await run.send("a")
        await trio.sleep(1)
        assert seen == [("a", 2), ("a", 1)]
        status = run.status()
        assert [change.reverted for change in status.nodes["sink"].reconfigured] == [False, True]
        assert status.nodes["sink"].reconfigured[1].changes["capacity"] == 8
        assert status.edges[0].capacity == 8
    assert not run.dead_letters() or run.dead_letters()[0].reason == "max_attempts"


async def test_after_its_probation_a_change_stays(autojump_clock: MockClock) -> None:
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="sink", max_attempts=1)(versions(seen, crash="poison"))
    async with wf.open() as run:
        await run.reconfigure("sink", config={"version": 2}, probation=5)
        await trio.sleep(10)
        await run.send("poison")
        await run.send("good")
        await trio.sleep(5)
    assert seen == [("poison", 2, 2), ("good", 2, 2)]


async def test_a_larger_capacity_lets_senders_go_on_now(autojump_clock: MockClock) -> None:
    """A5: also while a message is in hand, which takes its time."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(100))
    wf.actor(name="sink", depends_on="source", capacity=2)(collects([], seconds=1000))
    async with wf.open() as run:
        await trio.sleep(1)
        assert run.status().nodes["sink"].depth == 2
        await run.reconfigure("sink", capacity=10)
        await trio.sleep(1)
        assert run.status().nodes["sink"].depth == 10
        await run.reconfigure("sink", capacity=1, overflow="latest")
        await trio.sleep(1)
        edge = edge_into(run, "sink", "source")
        assert (edge.queued, edge.overflow) == (1, "latest")
        run.cancel()
    assert_edges_closed(await run.wait())


async def test_an_edge_keeps_its_own_settings(autojump_clock: MockClock) -> None:
    """As in the graph: what the edge says goes over what the node says."""
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(100))
    wf.actor(name="b")(counts(100))
    edges = {"a": trouper.Edge(capacity=3), "b": trouper.Edge()}
    wf.actor(name="sink", depends_on=edges)(collects([], seconds=1000))
    async with wf.open() as run:
        await run.reconfigure("sink", capacity=7)
        assert [edge_into(run, "sink", each).capacity for each in ("a", "b")] == [3, 7]
        await trio.sleep(1)
        run.cancel()


async def test_an_inlet_that_is_opened_later_has_the_new_bound(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(1))
    wf.actor(name="sink", depends_on="source")(collects([], seconds=1000))
    async with wf.open() as run:
        await run.reconfigure("sink", capacity=5)
        await run.send(1, to="sink", source=None)
        assert [edge_into(run, "sink", each).capacity for each in ("source", "@run")] == [5, 5]
        run.cancel()


async def test_the_rate_of_a_node(autojump_clock: MockClock) -> None:
    """B7t: of two producers in all; raised live, it holds now; drained, everything passes."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="a")(counts(10))
    wf.actor(name="b")(counts(10))
    wf.actor(name="sink", depends_on=["a", "b"], rate=trouper.Rate(2, per=50))(collects(got))
    async with wf.open() as run:
        await trio.sleep(1)
        assert len(got) == 2
        await trio.sleep(25)
        assert len(got) == 3
        await run.reconfigure("sink", rate=trouper.Rate(6, per=50))
        await wait_all_tasks_blocked()
        assert len(got) == 7
        assert trio.current_time() == 26
        result = await run.drain(1000)
    assert (result.status, len(got)) == ("completed", 20)
    assert result.seconds > 100


async def test_a_rate_of_a_source(autojump_clock: MockClock) -> None:
    got: list[int] = []
    wf = trouper.Workflow()

    @wf.actor(rate=1)
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    wf.actor(name="sink", depends_on="endless")(collects(got))
    async with wf.open():
        await trio.sleep(2.5)
        assert got == [0, 1, 2]


async def test_restart_options_hold_at_once(autojump_clock: MockClock) -> None:
    """A5: for the very next failure."""
    wf = trouper.Workflow()

    @wf.actor(max_restarts=0)
    async def flaky(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            raise OSError(message)

    async with wf.open() as run:
        await run.reconfigure("flaky", max_restarts=10, max_attempts=2)
        await run.send("poison")
        await trio.sleep(1)
        assert run.status().nodes["flaky"].incarnation == 3
        [letter] = run.dead_letters()
        assert (letter.reason, letter.envelope.attempt) == ("max_attempts", 2)
    assert (await run.wait()).status == "completed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fan_in": "zip"}, "fan_in of 'sink' can't be changed while it runs; what can: capacity"),
        ({"capactiy": 3}, "run.reconfigure('sink') has no option 'capactiy'; did you mean 'capac"),
        ({"capacity": -1}, "capacity of 'sink' must be >= 0"),
        ({"capacity": 0, "overflow": "drop_oldest"}, "there is no buffer for"),
        ({"overflow": "drop"}, "overflow of 'sink' can't be 'drop'; choose one of"),
        ({"rate": 0}, "rate of 'sink' must be > 0"),
        ({"rate": "fast"}, "rate of 'sink' takes messages per second"),
        ({"max_restarts": -1}, "max_restarts must be >= 0"),
        ({"period": 0}, "period must be > 0"),
        ({"backoff": 1}, "backoff of 'sink' takes a trouper.Backoff"),
        ({"max_attempts": 0}, "max_attempts of 'sink' must be an int >= 1"),
        ({"config": None}, "config of 'sink' takes a mapping, got None"),
        ({"config": {"a": object()}}, "which is no plain data"),
        ({"config": {}, "probation": 0}, "probation of 'sink' takes seconds > 0"),
    ],
)
async def test_if_one_value_is_wrong_nothing_changes(changes: Any, said: str) -> None:
    """S13: the checks and the words of the node's options."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(3))
    wf.actor(name="sink", depends_on="source", capacity=4)(collects([]))
    async with wf.open() as run:
        untyped: Any = run.reconfigure
        with pytest.raises((TypeError, ValueError)) as refused:
            await untyped("sink", **{"max_restarts": 7, "capacity": 9, **changes})
        assert said in str(refused.value)
        assert edge_into(run, "sink", "source").capacity == 4
        assert run.status().nodes["sink"].reconfigured == ()


@pytest.mark.parametrize("changes", [{}, {"probation": 5}])
async def test_a_change_of_nothing_is_refused(changes: Any) -> None:
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(3))
    async with wf.open() as run:
        with pytest.raises(ValueError, match="was given nothing to change"):
            await run.reconfigure("source", **changes)


async def test_what_would_have_no_effect_is_refused() -> None:
    """F17: by the options of the node, and by the graph."""
    wf = trouper.Workflow()
    wf.task(name="task")(sleeps(0, 1))
    wf.actor(name="once", depends_on="task", restart="temporary")(collects([]))
    wf.actor(name="source")(counts(3))
    keep = {"source": trouper.Edge(keep_dropped=True)}
    wf.actor(name="sink", depends_on=keep, overflow="drop_oldest")(collects([]))
    async with wf.open() as run:
        with pytest.raises(ValueError, match="max_restarts of 'once' has an effect only with"):
            await run.reconfigure("once", max_restarts=3)
        with pytest.raises(ValueError, match="capacity has no effect on 'once'"):
            await run.reconfigure("once", capacity=3)
        with pytest.raises(ValueError, match="keep_dropped has no effect"):
            await run.reconfigure("sink", overflow="block")
        with pytest.raises(ValueError, match="'task' is a batch task"):
            await run.reconfigure("task", max_restarts=1)


async def test_who_has_ended_cannot_be_changed(autojump_clock: MockClock) -> None:
    """Nor one that ends before its next boundary, which who waits for it is told."""
    wf = trouper.Workflow()
    wf.actor(name="sink")(collects([], seconds=1000))
    wf.actor(name="source")(counts(1))
    async with wf.open() as run:
        await run.send(1, to="sink")
        await trio.sleep(1)
        with pytest.raises(trouper.NotRunning, match=r"reconfigure\(\) of 'source', which has"):
            await run.reconfigure("source", config={})
        async with trio.open_nursery() as nursery:

            async def change() -> None:
                with pytest.raises(trouper.NotRunning, match="of 'sink', which has ended"):
                    await run.reconfigure("sink", config={"version": 2})

            nursery.start_soon(change)
            await trio.sleep(1)
            run.kill("sink")


async def test_a_node_that_changes_itself_does_not_wait_for_itself() -> None:
    """It holds from its next message on."""
    seen: list[Any] = []
    runs: list[trouper.LiveRun] = []
    wf = trouper.Workflow()

    @wf.actor
    async def own(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await runs[0].reconfigure("own", config={"seen": message})
            seen.append((message, ctx.config.get("seen")))

    async with wf.open() as run:
        runs.append(run)
        for number in range(3):
            await run.send(number)
    assert seen == [(0, None), (1, 0), (2, 1)]


async def test_a_node_that_has_not_begun_begins_with_it(autojump_clock: MockClock) -> None:
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(5, "input"))
    wf.actor(name="waits", depends_on="slow")(versions(seen))
    async with wf.open() as run:
        await run.reconfigure("waits", config={"version": 3}, max_attempts=None)
        assert trio.current_time() == 0
        await run.wait()
    assert seen == [("input", 3, 3)]


async def test_a_change_whose_wait_is_cancelled_is_made_all_the_same(
    autojump_clock: MockClock,
) -> None:
    seen: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="sink")(versions(seen, seconds=10))
    async with wf.open() as run:
        await run.send(1)
        await run.send(2)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await run.reconfigure("sink", config={"version": 2})
        assert run.status().nodes["sink"].reconfigured == ()
        await run.drain(math.inf)
    assert seen == [(1, 0, 0), (2, 2, 2)]


async def test_old_changes_are_forgotten() -> None:
    wf = trouper.Workflow()
    wf.actor(name="sink")(collects([]))
    async with wf.open() as run:
        for number in range(1, 31):
            await run.reconfigure("sink", capacity=number)
        changes = run.status().nodes["sink"].reconfigured
    assert [change.changes["capacity"] for change in changes] == list(range(11, 31))


async def test_one_node_may_change_another_that_has_not_begun(autojump_clock: MockClock) -> None:
    """X4: its own configuration stays what it is."""
    seen: list[Any] = []
    runs: list[trouper.LiveRun] = []
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(2, "input"))  # well before half the budget of the drain is over
    wf.actor(name="waits", depends_on="slow")(versions(seen))

    @wf.actor
    async def boss(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await runs[0].reconfigure("waits", config={"version": 3})
            seen.append(ctx.config.get("version"))

    async with wf.open() as run:
        runs.append(run)
        await run.send("now", to="boss")
        await run.drain()
    assert seen == [None, ("input", 3, 3)]
