"""How groups end: by escalation, by themselves, in time, and with the run."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.members import Member, Told, add_members, take

AT_ONCE = trouper.Backoff(min=0, max=0)


async def always(ctx: trouper.ActorContext) -> None:
    raise Told("again")


async def for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()


async def test_a_top_group_that_gives_up_fails_the_run_with_the_story() -> None:
    """S2, S4, S10: child, incarnation, attempt, message and the last errors as text."""
    wf, log = trouper.Workflow("flow"), list[str]()
    group = wf.group("workers", max_restarts=2)
    add_members(group, log, "first")

    @wf.actor
    async def feed(ctx: trouper.ActorContext) -> AsyncIterator[str]:
        yield "poison"
        await trio.sleep_forever()

    @group.actor(depends_on=feed, backoff=AT_ONCE)
    async def flaky(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            raise Told(message)

    @group.actor(backoff=AT_ONCE)
    async def broken(ctx: trouper.ActorContext) -> None:
        await flaky_failed.wait()
        raise ValueError("broken")

    add_members(group, log, "last")
    flaky_failed = trio.Event()
    flaky_failed.set()
    result = await wf.execute()
    assert result.status == "failed"
    assert result.failed_node == "broken"
    assert isinstance(result.error, ValueError)
    report = result.groups["workers"]
    assert report.state == "failed"
    (told,) = report.escalations
    assert (told.group, told.member) == ("workers", "broken")
    assert "failed 3 times in 10 s; fix the cause, or allow more than max_restarts=2" in told.reason
    assert str(told) in result.reason
    assert str(told.failures[-1]) == "ValueError: broken"
    assert "ValueError: broken, at " in told.text()
    assert take(log)[-2:] == ["stop last", "stop first"], "stopped backwards before it went up"


async def test_the_story_names_the_message_in_hand() -> None:
    wf = trouper.Workflow()
    group = wf.group("g", max_restarts=0)

    @wf.actor
    async def feed(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    @group.actor(depends_on=feed)
    async def flaky(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            if message == 2:
                raise Told

    result = await wf.execute()
    (told,) = result.groups["g"].escalations
    assert (told.incarnation, told.attempt, told.message) == (1, 1, "feed:3")
    assert str(told).startswith(
        "group 'g' gave up over 'flaky', incarnation 1, attempt 1 of message 'feed:3': "
    )


async def test_the_group_around_decides_by_its_own_strategy_and_intensity() -> None:
    """S10: the dead group is started again as a whole, until that was too often."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="rest_for_one", max_restarts=1)
    add_members(outer, log, "before")
    inner = outer.group("inner", max_restarts=0)
    add_members(inner, log, "calm")
    inner.actor(name="broken", backoff=AT_ONCE)(always)
    add_members(outer, log, "after")
    result = await wf.execute()
    once = ["start calm", "stop calm"]
    assert take(log) == ["start before", *once, *once, "stop before"]
    assert result.status == "failed"
    assert [told.member for told in result.groups["outer"].escalations] == ["inner"]
    assert [told.member for told in result.groups["inner"].escalations] == ["broken", "broken"]
    assert result.groups["inner"].incarnation == 2
    assert "the members of group 'outer' failed 2 times in 10 s" in result.reason
    assert "the members of group 'inner' failed 1 times" in result.reason
    assert result.nodes["broken"].state == "failed"
    assert result.nodes["calm"].state == "cancelled"


async def test_a_childs_own_intensity_escalates_to_its_group() -> None:
    """S10: what the group allows does not matter then."""
    wf = trouper.Workflow()
    group = wf.group("g", max_restarts=99)
    group.actor(name="broken", max_restarts=1, backoff=AT_ONCE)(always)
    result = await wf.execute()
    (told,) = result.groups["g"].escalations
    assert told.reason.startswith("failed 2 times in 10 s; fix the cause")
    assert result.groups["g"].restarts == 1


async def test_a_temporary_group_is_let_go_and_the_group_around_goes_on() -> None:
    """S1, S10: its outputs end, nobody is stopped for it."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", strategy="one_for_all")
    (calm,) = add_members(outer, log, "calm")
    inner = outer.group("inner", restart="temporary", max_restarts=0)
    inner.actor(name="broken", backoff=AT_ONCE)(always)
    inner.actor(name="source")(for_ever)

    @wf.actor(depends_on=["source"])
    async def reader(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass
        calm.end()

    result = await wf.execute()
    assert result.status == "completed"
    assert result.groups["inner"].state == "failed"
    assert result.groups["outer"].state == "done"
    assert take(log) == ["start calm", "stop calm"]


async def test_a_temporary_actor_that_fails_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    """S1: its group goes on, its readers hear the end, and the report names it."""
    wf = trouper.Workflow()
    group = wf.group("g")
    group.actor(name="broken", restart="temporary")(always)

    @wf.actor(depends_on=["broken"])
    async def reader(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass

    result = await wf.execute()
    assert result.status == "completed"
    assert result.nodes["broken"].state == "failed"
    (failure,) = result.nodes["broken"].failures
    assert str(failure) == "harness.members.Told: again"
    assert "'g' goes on without it" in caplog.text


async def test_a_failed_task_escalates_and_is_started_again_with_its_group() -> None:
    """S10: somebody waits for its result, so a temporary one is not let go."""
    wf = trouper.Workflow()
    outer = wf.group("outer")
    inner = outer.group("inner")
    tries: list[int] = []

    @inner.task
    async def load() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        return "loaded"

    @wf.task(depends_on=load)
    async def use(value: str) -> str:
        return value

    result = await wf.execute()
    assert result.unwrap() == {"load": "loaded", "use": "loaded"}
    assert result.groups["inner"].incarnation == 2


async def test_who_waits_for_a_task_that_was_stopped_for_good_is_told() -> None:
    """S8, F20: a temporary task stopped with its group has no result; nothing waits for ever."""
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    (failing,) = add_members(group, [], "failing")

    @group.task
    async def slow() -> int:
        failing.fail()
        await trio.sleep_forever()
        return 1

    @wf.task(depends_on=slow)
    async def use(value: int) -> None: ...

    result = await wf.execute()
    assert result.status == "failed"
    assert result.failed_node == "use"
    assert isinstance(result.error, trouper.UpstreamStopped)
    assert "give it restart='transient'" in result.reason


async def test_a_transient_task_is_started_again_with_its_group() -> None:
    wf = trouper.Workflow()
    group = wf.group("g", strategy="one_for_all")
    (failing,) = add_members(group, [], "failing")
    tries: list[int] = []

    @group.task(restart="transient")
    async def slow() -> int:
        tries.append(1)
        if len(tries) == 1:
            failing.fail()
            await trio.sleep_forever()
        failing.end()
        return len(tries)

    assert (await wf.execute()).outputs["slow"] == 2


# -- automatic shutdown -----------------------------------------------------------------------


async def test_any_significant_ends_the_group_with_its_outputs() -> None:
    """S14: backwards, and as a normal end."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", auto_shutdown="any_significant")
    add_members(group, log, "a")
    (leader,) = add_members(group, log, "leader", significant=True)
    add_members(group, log, "z")

    @group.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send(1)
        leader.end()
        await trio.sleep_forever()

    @wf.task(depends_on=source, collect="all")
    async def got(values: list[int]) -> list[int]:
        return values

    result = await wf.execute()
    assert result.status == "completed"
    assert result.outputs["got"] == [1]
    assert take(log)[3:] == ["stop leader", "stop z", "stop a"]
    assert result.groups["g"].state == "done"
    assert result.nodes["source"].state == "cancelled"


async def test_all_significant_ends_with_the_last_of_them() -> None:
    """S14."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", auto_shutdown="all_significant")
    one, two = add_members(group, log, "one", "two", significant=True)
    (other,) = add_members(group, log, "other")
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        one.end()
        await wait_all_tasks_blocked()
        assert run.status().groups["g"].state == "running"
        assert other.alive
        two.end()
        await wait_all_tasks_blocked()
        assert run.status().groups["g"].state == "done"
        assert not other.alive


async def test_a_significant_member_that_fails_is_restarted_and_ends_nothing() -> None:
    """S14: transient; a temporary one's failure is its end."""
    wf, log = trouper.Workflow(), list[str]()
    group = wf.group("g", auto_shutdown="any_significant", strategy="one_for_all")
    (leader,) = add_members(group, log, "leader", significant=True)
    (temporary,) = add_temporary(group, log, "temporary")
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        leader.fail()
        await wait_all_tasks_blocked()
        status = run.status()
        assert status.groups["g"].state == "running", "stopped by its group: that is no reason"
        assert status.nodes["temporary"].state == "cancelled"
        assert leader.starts == 2
        run.cancel()

    wf = trouper.Workflow()
    group = wf.group("g", auto_shutdown="any_significant")
    (temporary,) = add_temporary(group, log, "temporary")
    (other,) = add_members(group, log, "other")
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        temporary.fail()
        await wait_all_tasks_blocked()
        assert run.status().groups["g"].state == "done"
        assert not other.alive


def add_temporary(group: trouper.Group, log: list[str], name: str) -> list[Member]:
    member = Member(name, log)
    group.add(member, name=name, restart="temporary", significant=True)
    return [member]


async def test_a_drain_ends_no_group_early() -> None:
    """S14: a significant source that ends because the run drains leaves the rest its work."""
    wf = trouper.Workflow()
    group = wf.group("g", auto_shutdown="any_significant")
    handled: list[int] = []
    sent = trio.Event()

    @group.actor(significant=True)
    async def source(ctx: trouper.ActorContext) -> None:
        for number in range(10):
            await ctx.send(number)
        sent.set()
        await ctx.stopping.wait()

    @group.actor(depends_on=source)
    async def slow(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await ctx.stopping.wait()
            await trio.lowlevel.checkpoint()
            handled.append(message)

    async with wf.open() as run:
        await sent.wait()
    assert handled == list(range(10))
    assert (await run.wait()).status == "completed"


async def test_a_significant_group_ends_the_group_around_it() -> None:
    """S14."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", auto_shutdown="all_significant")
    (other,) = add_members(outer, log, "other")
    inner = outer.group("inner", significant=True)
    one, two = add_members(inner, log, "one", "two")
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        one.end()
        await wait_all_tasks_blocked()
        assert other.alive
        two.end()
        await wait_all_tasks_blocked()
        assert not other.alive
        assert {group.state for group in run.status().groups.values()} == {"done"}


async def test_a_group_that_ends_takes_those_inside_and_those_not_begun_along() -> None:
    """S14, F20: nothing of it waits for an input that comes later."""
    wf, log = trouper.Workflow(), list[str]()
    outer = wf.group("outer", auto_shutdown="any_significant")
    (leader,) = add_members(outer, log, "leader", significant=True)
    inner = outer.group("inner")
    add_members(inner, log, "deep")
    go = trio.Event()

    @wf.task
    async def late() -> int:
        await go.wait()
        return 1

    @outer.task(depends_on=late)
    async def waits(value: int) -> int:
        return value

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        leader.end()
        await wait_all_tasks_blocked()
        go.set()
    result = await run.wait()
    assert result.status == "completed"
    assert result.outputs == {"late": 1}
    assert take(log) == ["start leader", "start deep", "stop leader", "stop deep"]
    assert {group.state for group in result.groups.values()} == {"done"}


# -- time ---------------------------------------------------------------------------------------


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
