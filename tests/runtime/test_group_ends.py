"""How groups give up, and who is told."""

from collections.abc import AsyncIterator

import pytest
import trio

import trouper
from harness.members import Told, add_members, take

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
    assert "the members of group 'inner' failed once in" in result.reason
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


async def test_how_many_failures_are_not_listed_is_told() -> None:
    """S10, X17: the last five are kept; the others, and former times, are counted."""
    wf = trouper.Workflow()
    outer = wf.group("outer", max_restarts=6)
    inner = outer.group("inner", max_restarts=1)

    @inner.actor(backoff=AT_ONCE)
    async def broken(ctx: trouper.ActorContext) -> None:
        raise ValueError("broken")

    result = await wf.execute()
    report = result.groups["inner"]
    assert report.gave_up == 7
    assert len(report.escalations) == 5
    assert [(len(told.failures), told.earlier) for told in report.escalations] == [
        (5, 1),
        (5, 3),
        (5, 5),
        (5, 7),
        (5, 9),
    ]
    assert "  (its last 5 failures, of 14)\n" in report.escalations[-1].text()
