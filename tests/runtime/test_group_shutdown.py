"""How groups end by themselves, and with the run."""

import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.members import Member, Told, add_members, take

AT_ONCE = trouper.Backoff(min=0, max=0)


async def always(ctx: trouper.ActorContext) -> None:
    raise Told("again")


async def for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()


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
