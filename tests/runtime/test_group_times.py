"""How often members of groups may fail, and how long they may take to stop."""

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.members import Told, add_members, take

AT_ONCE = trouper.Backoff(min=0, max=0)


async def always(ctx: trouper.ActorContext) -> None:
    raise Told("again")


async def for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(("gap", "trips"), [(9.9, True), (10.0, True), (10.1, False)])
async def test_the_groups_period_is_inclusive(
    autojump_clock: MockClock, gap: float, trips: bool
) -> None:
    """S2: at P - eps, P and P + eps."""
    wf = trouper.Workflow()
    group = wf.group("g", max_restarts=1, period=10)
    one, two = add_members(group, [], "one", "two")
    async with wf.open() as run:
        await trio.sleep(1)
        one.fail()
        await trio.sleep(gap)
        two.fail()
        await trio.sleep(0.01)
        assert run.status().status == ("failed" if trips else "running")
        run.cancel()


async def test_slow_failures_never_trip(autojump_clock: MockClock) -> None:
    """S3."""
    wf = trouper.Workflow()
    (one,) = add_members(wf.group("g", max_restarts=1, period=1, strategy="one_for_all"), [], "one")
    async with wf.open() as run:
        for _ in range(4):
            await trio.sleep(2.1)
            one.fail()
        await trio.sleep(2.1)
        assert one.starts == 5
        assert run.status().status == "running"
        run.cancel()


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_slow_stops_do_not_make_failures_rare(
    autojump_clock: MockClock, strategy: Any
) -> None:
    """S19: each stop takes longer than period / max_restarts; a crash loop trips all the same."""
    wf = trouper.Workflow()
    group = wf.group("g", max_restarts=3, period=4, strategy=strategy)
    slow, _ = members = add_members(group, [], "slow", "other", max_restarts=99, shutdown=60)
    for member in members:
        member.stop_takes = 10
    slow.bad_starts = list(range(1, 99))
    result = await wf.execute()
    assert result.status == "failed"
    assert slow.starts == 4
    assert "the members of group 'g' failed 4 times in 4 s" in result.reason


async def test_a_slow_stop_hook_does_not_make_a_childs_own_failures_rare(
    autojump_clock: MockClock,
) -> None:
    """S19: without a group too."""
    wf = trouper.Workflow()
    (slow,) = add_members(wf, [], "slow", max_restarts=3, period=4, shutdown=60)
    slow.stop_takes = 10
    slow.bad_starts = list(range(1, 99))
    result = await wf.execute()
    assert slow.starts == 4
    assert "failed 4 times in 4 s" in result.reason


async def test_stops_go_backwards_each_within_its_budget(autojump_clock: MockClock) -> None:
    """S12: one obeys in 1 s, one sleeps for ever and is cut at 2 s, one is not asked at all."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", strategy="one_for_all")
    (failing,) = add_members(group, log, "failing")
    (obeys,) = add_members(group, log, "obeys", shutdown=math.inf)
    (sleeps,) = add_members(group, log, "sleeps", shutdown=2)
    (brutal,) = add_members(group, log, "brutal", shutdown=0)
    obeys.stop_takes, sleeps.stop_takes, brutal.stop_takes = 1, math.inf, math.inf
    async with wf.open() as run:
        await trio.sleep(1)
        take(log)
        began = trio.current_time()
        brutal.alive -= 1  # its stop hook is never called
        failing.fail()
        await failing.ready()
        assert trio.current_time() - began == pytest.approx(3)
        await trio.sleep(1)
        assert take(log) == [
            *["stop failing", "stop sleeps", "stop obeys"],
            *["start failing", "start obeys", "start sleeps", "start brutal"],
        ]
        brutal.alive -= 1
        run.cancel()


async def test_a_groups_own_budget_cuts_what_is_left_side_by_side(
    autojump_clock: MockClock,
) -> None:
    """S12: whatever the members' own budgets are, and through groups inside."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer")
    inner = outer.group("inner", max_restarts=0, shutdown=3)
    (failing,) = add_members(inner, log, "failing")
    deep = inner.group("deep")
    members = [
        *add_members(inner, log, "a", "b", shutdown=math.inf),
        *add_members(deep, log, "c", "d", shutdown=60),
    ]
    for member in members:
        member.stop_takes = 1e6
    async with wf.open() as run:
        await trio.sleep(1)
        take(log)
        began = trio.current_time()
        failing.fail()
        await failing.ready()
        assert trio.current_time() - began == pytest.approx(3)
        await trio.sleep(1)
        said = take(log)
        assert said[0] == "stop failing"
        assert sorted(said[1:5]) == ["stop a", "stop b", "stop c", "stop d"]
        assert said[5:] == [f"start {name}" for name in ("failing", "c", "d", "a", "b")]
        run.cancel()


async def test_cancelling_while_a_group_backs_off_restarts_nothing(
    autojump_clock: MockClock,
) -> None:
    """P2, S11: `restarting` is what status says, and the end comes promptly."""
    for strategy in ("one_for_one", "one_for_all"):
        wf = trouper.Workflow()
        group = wf.group("g", strategy=strategy, max_restarts=99)
        backoff = trouper.Backoff(min=1000, max=1000, jitter=0)
        group.actor(name="broken", backoff=backoff, max_restarts=99)(always)
        group.actor(name="bystander")(for_ever)
        async with wf.open() as run:
            await trio.sleep(1)
            began = trio.current_time()
            status = run.status()
            assert status.nodes["broken"].state == "restarting"
            before = status.nodes["broken"].incarnation
            run.cancel()
            result = await run.wait()
        assert trio.current_time() - began < 1
        assert result.status == "cancelled"
        assert result.nodes["broken"].incarnation == before
        assert result.groups["g"].state == "cancelled"


async def test_a_drain_does_not_wait_for_a_backoff(autojump_clock: MockClock) -> None:
    """S11, P2: a source that waits to start again ends with the drain."""
    for strategy in ("one_for_one", "one_for_all"):
        wf = trouper.Workflow()
        group = wf.group("g", strategy=strategy, max_restarts=99)
        backoff = trouper.Backoff(min=1000, max=1000, jitter=0)
        group.actor(name="broken", backoff=backoff, max_restarts=99)(always)
        async with wf.open() as run:
            await trio.sleep(1)
            began = trio.current_time()
            result = await run.drain()
        assert trio.current_time() - began < 1
        assert result.groups["g"].state == "done"


async def test_what_is_no_exception_passes_through_groups() -> None:
    """P8."""
    wf = trouper.Workflow()
    group = wf.group("outer").group("inner", strategy="one_for_all")

    @group.actor
    async def interrupted(ctx: trouper.ActorContext) -> None:
        raise KeyboardInterrupt

    group.actor(name="bystander")(for_ever)
    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as caught:
        await wf.execute()
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, KeyboardInterrupt)
