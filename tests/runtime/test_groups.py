"""Groups in a run: who is stopped and started together, and what stays."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Told, add_members, take


@asynccontextmanager
async def running(wf: trouper.Workflow) -> AsyncGenerator[trouper.LiveRun]:
    """Open a run, wait until it stands still, and cancel what is left of it at the end."""
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        yield run
        run.cancel("the test is over")


async def test_one_for_one_restarts_only_the_one_that_failed() -> None:
    """S5: its siblings are the same incarnation as before."""
    wf, log = trouper.Workflow(), list[str]()
    a, b, c = add_members(wf.group("g"), log, "a", "b", "c")
    async with running(wf) as run:
        assert take(log) == ["start a", "start b", "start c"]
        b.fail()
        await wait_all_tasks_blocked()
        assert take(log) == ["stop b", "start b"]
        assert (a.starts, b.starts, c.starts) == (1, 2, 1)
        assert run.status().groups["g"].restarts == 1


async def test_one_for_all_restarts_all_and_keeps_the_order() -> None:
    """S6: the others stop backwards, before any starts; none of the old ones is alive then."""
    wf, log = trouper.Workflow(), list[str]()
    _, b, _ = add_members(wf.group("g", strategy="one_for_all"), log, "a", "b", "c")
    async with running(wf) as run:
        take(log)
        b.fail()
        await wait_all_tasks_blocked()
        assert take(log) == ["stop b", "stop c", "stop a", "start a", "start b", "start c"]
        nodes = run.status().nodes
        assert [node.incarnation for node in nodes.values()] == [2, 2, 2]
        assert [node.failed for node in nodes.values()] == [0, 1, 0], "a bystander has not failed"


async def test_rest_for_one_leaves_those_before_alone() -> None:
    """S7."""
    wf, log = trouper.Workflow(), list[str]()
    a, b, c = add_members(wf.group("g", strategy="rest_for_one"), log, "a", "b", "c")
    async with running(wf):
        take(log)
        b.fail()
        await wait_all_tasks_blocked()
        assert take(log) == ["stop b", "stop c", "start b", "start c"]
        assert (a.starts, b.starts, c.starts) == (1, 2, 2)
        c.fail()
        await wait_all_tasks_blocked()
        assert take(log) == ["stop c", "start c"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_temporary_bystander_is_not_restarted(strategy: Any) -> None:
    """S8: it is stopped, its output ends, and the group goes on without it."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", strategy=strategy)
    (a,) = add_members(group, log, "a")

    @group.actor(restart="temporary")
    async def bystander(ctx: trouper.ActorContext) -> None:
        await ctx.send("said")
        await trio.sleep_forever()

    @wf.actor(depends_on=bystander)
    async def reader(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            log.append(message)
        log.append("its input has ended")

    async with running(wf) as run:
        log.clear()
        for _ in range(2):
            a.fail()
            await wait_all_tasks_blocked()
        assert sorted(take(log)) == [
            "its input has ended",
            "start a",
            "start a",
            "stop a",
            "stop a",
        ]
        status = run.status()
        assert status.nodes["bystander"].state == "cancelled"
        assert status.nodes["bystander"].incarnation == 1
        assert status.groups["g"].state == "running"
        assert (status.groups["g"].active, status.groups["g"].ended) == (1, 1)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (
            "one_for_all",
            ["stop a", "stop b", "start a", "start b", "stop b", "stop a", "start a", "start b"],
        ),
        ("rest_for_one", ["stop a", "stop b", "start a", "start b", "stop b", "start b"]),
    ],
)
async def test_another_member_fails_to_start_during_the_restart(
    strategy: Any, expected: list[str]
) -> None:
    """S9."""
    wf, log = trouper.Workflow(), list[str]()
    a, b = add_members(wf.group("g", strategy=strategy), log, "a", "b")
    b.bad_starts = [2]
    async with running(wf):
        take(log)
        a.fail()
        await wait_all_tasks_blocked()
        assert take(log) == expected


async def test_members_start_one_after_the_other_when_the_last_one_is_ready(
    autojump_clock: MockClock,
) -> None:
    """S6, X9: no member starts before the start hook of the one before it has succeeded."""
    wf, log = trouper.Workflow(), list[str]()
    a, b = add_members(wf.group("g"), log, "a", "b")
    a.start_takes = b.start_takes = 1.0
    began = trio.current_time()
    async with wf.open() as run:
        await trio.sleep(0.5)
        assert take(log) == ["start a"]
        await trio.sleep(1.0)
        assert take(log) == ["start b"]
        assert trio.current_time() - began == pytest.approx(1.5)
        run.cancel()


async def test_a_member_that_never_gets_ready_does_not_hold_up_a_stop(
    autojump_clock: MockClock,
) -> None:
    """S11, X7: the first one fails while the second one hangs in its start hook."""
    wf, log = trouper.Workflow(), list[str]()
    a, b = add_members(wf.group("g", strategy="one_for_all"), log, "a", "b")
    b.start_takes = 1e9
    async with wf.open() as run:
        await trio.sleep(1)
        a.fail()
        await trio.sleep(1)
        assert take(log) == ["start a", "start b", "stop a", "stop b", "start a", "start b"]
        run.cancel()


async def test_messages_outlive_a_restart_of_the_whole_group() -> None:
    """K1, X10: the bystander's message in hand is released, none is lost, none comes twice."""
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    got: list[tuple[int, int]] = []
    holds = trio.Event()
    failed: list[int] = []

    @group.actor
    async def bystander(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            envelope = ctx.message
            assert envelope is not None
            got.append((message, envelope.attempt))
            if len(got) == 2:
                holds.set()
                await trio.sleep_forever()

    @group.actor(backoff=trouper.Backoff(min=0, max=0))
    async def failing(ctx: trouper.ActorContext) -> None:
        if not failed:
            await holds.wait()
            failed.append(1)
            raise Told

        await ctx.receive()

    async with wf.open() as run:
        for number in range(5):
            await run.send(number, to=bystander)
    assert got == [(0, 1), (1, 1), (1, 1), (2, 1), (3, 1), (4, 1)], "released: no attempt counted"
    status = run.status()
    assert status.status == "completed"
    assert status.nodes["bystander"].redelivered == 1
    assert status.nodes["bystander"].failed == 0
    assert all(edge.is_closed and edge.acknowledged == edge.sent for edge in status.edges)


async def test_a_group_in_a_group_is_stopped_and_started_as_one_member() -> None:
    """S6, S7: in order, through the border."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all")
    (a,) = add_members(outer, log, "a")
    inner = outer.group("inner", strategy="rest_for_one")
    b, _ = add_members(inner, log, "b", "c")
    add_members(outer, log, "d")
    async with running(wf) as run:
        assert take(log) == ["start a", "start b", "start c", "start d"]
        b.fail()
        await wait_all_tasks_blocked()
        assert take(log) == ["stop b", "stop c", "start b", "start c"]
        a.fail()
        await wait_all_tasks_blocked()
        assert take(log) == [
            *["stop a", "stop d", "stop c", "stop b"],
            *["start a", "start b", "start c", "start d"],
        ]
        groups = run.status().groups
        assert groups["inner"].parent == "outer"
        assert groups["outer"].members == ("a", "inner", "d")
        assert (groups["outer"].groups, groups["outer"].active) == (1, 2)
        assert (groups["outer"].incarnation, groups["inner"].incarnation) == (1, 2)
        assert {group.state for group in groups.values()} == {"running"}


async def test_a_bystander_that_fails_while_it_stops_is_just_a_stopped_one() -> None:
    """A1: what it raises then is recorded, and starts no second restart."""
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    (failing,) = add_members(group, [], "failing")

    @group.actor
    async def bystander(ctx: trouper.ActorContext) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in its clean-up")

    async with running(wf) as run:
        failing.fail()
        await wait_all_tasks_blocked()
        status = run.status()
        node = status.nodes["bystander"]
        assert (failing.starts, node.incarnation, node.failed) == (2, 2, 1)
        assert [str(failure) for failure in node.failures] == ["ValueError: in its clean-up"]
        assert status.groups["g"].restarts == 1


async def test_a_member_that_swallows_the_cancel_goes_on_if_there_is_more_to_do() -> None:
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    (failing,) = add_members(group, [], "failing")
    got: list[int] = []

    @group.actor
    async def stubborn(ctx: trouper.ActorContext) -> None:
        try:
            while True:
                got.append(await ctx.receive())
        except trio.Cancelled:
            pass  # as nobody should

    async with wf.open() as run:
        await run.send(1, to=stubborn)
        await wait_all_tasks_blocked()
        failing.fail()
        await wait_all_tasks_blocked()
        await run.send(2, to=stubborn)
        await wait_all_tasks_blocked()
        assert run.status().nodes["stubborn"].incarnation == 2
        failing.end()
    assert got == [1, 2]
