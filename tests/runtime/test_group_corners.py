"""Groups when several things happen at once."""

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Told, add_members, take
from harness.schedules import run_on_mock_clock, schedules

AT_ONCE = trouper.Backoff(min=0, max=0)


async def test_a_group_that_gives_up_is_stopped_for_its_neighbours_sake(
    autojump_clock: MockClock,
) -> None:
    """S10, A4: it stops only once, and starts again with the others; its failure is forgotten."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all", max_restarts=1)
    (neighbour,) = add_members(outer, log, "neighbour")
    inner = outer.group("inner", max_restarts=0)
    slow, failing = add_members(inner, log, "slow", "failing", shutdown=60)
    slow.stop_takes = 10
    async with wf.open() as run:
        await trio.sleep(1)
        take(log)
        failing.fail()
        await trio.sleep(1)
        assert run.status().groups["inner"].state == "stopping"
        neighbour.fail()
        await trio.sleep(20)
        assert take(log) == [
            *["stop failing", "stop neighbour", "stop slow"],
            *["start neighbour", "start slow", "start failing"],
        ]
        assert {group.state for group in run.status().groups.values()} == {"running"}
        run.cancel()


async def test_two_groups_give_up_at_once(autojump_clock: MockClock) -> None:
    """S10: the second one's failure finds its parent stopping already."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer").group("middle", max_restarts=0)
    (first,) = add_members(outer.group("one", max_restarts=0), log, "first", shutdown=60)
    two = outer.group("two", max_restarts=0)
    slow, second = add_members(two, log, "slow", "second", shutdown=60)
    slow.stop_takes = 10
    async with wf.open() as run:
        await trio.sleep(1)
        second.fail()
        await trio.sleep(1)
        first.fail()
        await trio.sleep(20)
        status = run.status()
        assert [group.incarnation for group in status.groups.values()] == [1, 2, 2, 2]
        assert {group.state for group in status.groups.values()} == {"running"}
        assert (first.alive, second.alive, slow.alive) == (1, 1, 1)
        run.cancel()


async def test_members_that_end_while_their_group_is_stopped_end_it() -> None:
    """The group around does not wait for what has ended."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all")
    (failing,) = add_members(outer, log, "failing")
    inner = outer.group("inner")

    @inner.actor
    async def obeys(ctx: trouper.ActorContext) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return  # as nobody should: to trouper this is a normal end

    results: list[trouper.WorkflowResult] = []

    async def execute() -> None:
        results.append(await wf.execute())  # without inlets: there is nothing more to do

    async with trio.open_nursery() as nursery:
        nursery.start_soon(execute)
        for order in (failing.fail, failing.end):
            await wait_all_tasks_blocked()
            order()
    (result,) = results
    assert {group.state for group in result.groups.values()} == {"done"}
    assert (failing.starts, result.nodes["obeys"].incarnation) == (2, 1)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_a_permanent_member_that_returns_is_restarted_by_the_strategy(strategy: Any) -> None:
    """S1, S6: OTP restarts the others with it; a return that took a message counts for nothing."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", strategy=strategy, max_restarts=1)
    add_members(group, log, "other")

    @group.actor(restart="permanent")
    async def one(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    async with wf.open() as run:
        for number in range(5):
            await run.send(number, to=one)
            await wait_all_tasks_blocked()
        status = run.status()
        assert status.nodes["one"].incarnation == 6
        assert status.nodes["other"].incarnation == (1 if strategy == "one_for_one" else 6)
        run.cancel()


async def test_a_permanent_member_that_does_nothing_escalates() -> None:
    """S1, S10: it must not spin for ever."""
    wf = trouper.Workflow()
    group = wf.group("g", max_restarts=3)

    @group.actor(restart="permanent", backoff=AT_ONCE)
    async def idle(ctx: trouper.ActorContext) -> None: ...

    async with wf.open() as run:
        result = await run.wait()
    assert result.status == "failed"
    assert "returned without taking a message" in result.reason


async def test_a_message_that_was_late_stops_nobody(autojump_clock: MockClock) -> None:
    """X2, S7: its handler is cut off, and only that member goes on anew."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", strategy="one_for_all", max_restarts=0)
    (other,) = add_members(group, log, "other")
    got: list[int] = []

    @group.actor
    async def slow(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            if message == 0:
                await trio.sleep_forever()
            got.append(message)

    async with wf.open() as run:
        await run.send(0, to=slow, timeout=1)
        await run.send(1, to=slow)
        await trio.sleep(2)
        assert (got, other.starts) == ([1], 1)
        assert [letter.reason for letter in run.dead_letters()] == ["expired"]
        run.cancel()


async def test_one_for_one_members_that_wait_to_restart_stop_promptly(
    autojump_clock: MockClock,
) -> None:
    """P2, S11: a group that is stopped does not wait for a backoff, nor forget who waited."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all", max_restarts=9)
    (failing,) = add_members(outer, log, "failing")
    inner = outer.group("inner", max_restarts=9)
    tries: list[float] = []

    @inner.actor(backoff=trouper.Backoff(min=1000, max=1000, jitter=0), max_restarts=9)
    async def broken(ctx: trouper.ActorContext) -> None:
        tries.append(trio.current_time())
        raise Told

    async with wf.open() as run:
        await trio.sleep(1)
        assert len(tries) == 2
        failing.fail()
        await trio.sleep(1)
        assert len(tries) == 4, "a fresh start forgives what was before: the first comes at once"
        run.cancel()


async def test_a_member_that_is_told_to_end_before_it_began(autojump_clock: MockClock) -> None:
    """S11: its group is down, and waits to start again; then it never starts."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", strategy="one_for_all", max_restarts=9)
    backoff = trouper.Backoff(min=1000, max=1000, jitter=0)
    add_members(group, log, "bystander")

    @group.actor(backoff=backoff, max_restarts=9)
    async def broken(ctx: trouper.ActorContext) -> None:
        raise Told

    async with wf.open() as run:
        await trio.sleep(1)
        assert run.status().nodes["bystander"].state == "restarting"
        await run.stop("bystander")
        assert run.status().nodes["bystander"].state in ("cancelled", "done")
        run.kill("broken")
        result = await run.wait()
    assert result.groups["g"].state == "done"


def test_a_group_without_members_is_refused() -> None:
    """S13."""
    wf = trouper.Workflow()
    wf.group("empty")
    wf.task(name="t")(lambda: 1)
    with pytest.raises(trouper.GraphError, match="group 'empty' has no members; add some"):
        wf.check()


async def test_a_group_that_ends_for_good_goes_on_ending_when_it_is_told_to_stop(
    autojump_clock: MockClock,
) -> None:
    """S14, A4: its neighbour fails meanwhile; what shuts down is not started again."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all")
    (neighbour,) = add_members(outer, log, "neighbour")
    inner = outer.group("inner", auto_shutdown="any_significant")
    (slow,) = add_members(inner, log, "slow", shutdown=60)
    (leader,) = add_members(inner, log, "leader", significant=True)
    slow.stop_takes = 10
    async with wf.open() as run:
        await trio.sleep(1)
        leader.end()
        await trio.sleep(1)
        neighbour.fail()
        await trio.sleep(20)
        assert run.status().groups["inner"].state == "done"
        assert (neighbour.starts, slow.starts, leader.starts) == (2, 1, 1)
        run.cancel()


async def test_a_group_gives_up_while_the_one_around_it_stops(autojump_clock: MockClock) -> None:
    """S10: before its turn to stop has come; it is started again with all the others."""
    wf, log = trouper.Workflow(), list[str]()
    middle = wf.group("outer").group("middle", max_restarts=0)
    (inside,) = add_members(middle.group("inner", max_restarts=0), log, "inside")
    failing, slow = add_members(middle, log, "failing", "slow", shutdown=60)
    slow.stop_takes = 10
    async with wf.open() as run:
        await trio.sleep(1)
        failing.fail()
        await trio.sleep(1)
        inside.fail()
        await trio.sleep(20)
        assert {group.state for group in run.status().groups.values()} == {"running"}
        assert (inside.starts, failing.starts, slow.starts) == (2, 2, 2)
        run.cancel()


@given(turns=st.integers(0, 5), schedule=schedules())
def test_a_member_that_was_to_start_is_stopped_before_it_began(turns: int, schedule: Any) -> None:
    """A4, S9: whenever in the start of the next one the first one fails, in any task order."""

    async def play() -> None:
        wf, log = trouper.Workflow(), list[str]()
        group = wf.group("g", strategy="one_for_all")
        tries: list[int] = []

        @group.actor(backoff=AT_ONCE)
        async def hasty(ctx: trouper.ActorContext) -> None:
            tries.append(1)
            if len(tries) == 1:
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                raise Told
            await trio.sleep_forever()

        (other,) = add_members(group, log, "other")

        @group.task(restart="transient")
        async def task() -> None:
            await trio.sleep_forever()

        async with wf.open() as run:
            await wait_all_tasks_blocked()
            states = {name: node.state for name, node in run.status().nodes.items()}
            assert states == {"hasty": "running", "other": "running", "task": "running"}
            assert (len(tries), other.alive) == (2, 1)
            run.cancel()

    run_on_mock_clock(play)


async def test_a_member_that_declines_is_recorded_and_not_active() -> None:
    """S20: it returns without having taken anything: no task is left, the group goes on."""
    wf = trouper.Workflow()
    group = wf.group("group", strategy="one_for_all")

    @group.actor
    async def declines(ctx: trouper.ActorContext) -> None:
        return

    @group.actor
    async def stays(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        status = run.status()
        assert (status.nodes["declines"].state, status.nodes["declines"].incarnation) == ("done", 1)
        report = status.groups["group"]
        assert (report.members, report.active, report.ended) == (("declines", "stays"), 1, 1)
        assert (report.state, report.restarts) == ("running", 0)
