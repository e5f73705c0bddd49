"""`start`, `stop` and `restarted`, and an error in each of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.stage import Stage
from trouper import Backoff, RestartPolicy

QUICK = RestartPolicy(max_restarts=3, backoff=Backoff(min=0, max=0))


class Recorder:
    """An actor that notes all that happens to it, and fails where it is told to."""

    def __init__(self, *, fail: str = "", times: int = 1) -> None:
        self.events: list[Any] = []
        self._fail = fail
        self._times = times

    def _note(self, event: str, *more: Any) -> None:
        self.events.append((event, *more) if more else event)
        if event == self._fail and self._times:
            self._times -= 1
            raise RuntimeError(f"{event} went wrong")

    async def start(self, ctx: trouper.ActorContext) -> None:
        self._note("start")

    async def run(self, ctx: trouper.ActorContext) -> None:
        self._note("run")
        async for payload in ctx:
            self._note("handle", payload)

    async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
        self._note("stop", reason)

    async def restarted(self, cause: trouper.FailureSummary) -> None:
        self._note("restarted", cause.message)

    def stage(self, **options: Any) -> Stage:
        given: dict[str, Any] = {"run": self.run, "policy": QUICK}
        given |= {"start": self.start, "stop": self.stop, "restarted": self.restarted}
        return Stage(**given | options)


async def test_hooks_of_a_quiet_life() -> None:
    actor = Recorder()
    stage = await actor.stage().live(1)
    assert actor.events == ["start", "run", ("handle", 1), ("stop", "normal")]
    assert stage.child.state.value == "done"


async def test_an_error_in_start_is_a_crash_like_any_other() -> None:
    """X8, A1: and no message is handled before start has succeeded (X9)."""
    actor = Recorder(fail="start")
    stage = await actor.stage().live(1)
    assert actor.events == [
        "start",
        ("stop", "failed"),
        "start",
        ("restarted", "start went wrong"),
        "run",
        ("handle", 1),
        ("stop", "normal"),
    ]
    assert (stage.child.failed, stage.dead) == (1, [])


async def test_start_that_fails_after_a_crash() -> None:
    """X9: also in a restart whose start fails once; the message waits with its attempt."""
    handled: list[tuple[int, int]] = []
    starts = iter([None, RuntimeError("not yet"), None])

    async def start(ctx: trouper.ActorContext) -> None:
        if (error := next(starts)) is not None:
            raise error

    async def run(ctx: trouper.ActorContext) -> None:
        async for payload in ctx:
            assert ctx.message is not None
            handled.append((payload, ctx.message.attempt))
            if ctx.message.attempt == 1 and payload == 1:
                raise ValueError("once")

    stage = await Stage(run, start=start, policy=QUICK).live(1, 2)
    assert handled == [(1, 1), (1, 2), (2, 1)]
    assert stage.child.failed == 2


async def test_start_that_always_fails_escalates() -> None:
    """S10."""
    actor = Recorder(fail="start", times=99)
    stage = await actor.stage().live(1)
    assert actor.events.count("start") == 4
    assert ("handle", 1) not in actor.events
    assert str(stage.failed[0][0]) == "start went wrong"


async def test_an_error_in_restarted_counts_too() -> None:
    """A1."""
    actor = Recorder(fail="handle", times=1)
    fails = iter([True, False])

    async def restarted(cause: trouper.FailureSummary) -> None:
        if next(fails):
            raise RuntimeError("restarted went wrong")

    stage = await actor.stage(restarted=restarted).live(1)
    assert stage.child.failed == 2
    assert [failure.message for failure in stage.child.failures] == [
        "handle went wrong",
        "restarted went wrong",
    ]
    assert actor.events[-2:] == [("handle", 1), ("stop", "normal")]


async def test_an_error_in_stop_after_a_normal_end_fails_the_incarnation() -> None:
    """A1: and one that always fails ends in an escalation, not in a loop."""
    actor = Recorder(fail="stop", times=1)
    stage = await actor.stage().live(1)
    assert stage.child.state.value == "done"
    assert (stage.made, stage.child.failed) == (2, 1)
    actor = Recorder(fail="stop", times=99)
    stage = await actor.stage().live(1)
    assert (stage.made, str(stage.failed[0][0])) == (4, "stop went wrong")


async def test_an_error_in_stop_after_a_failure_does_not_hide_it() -> None:
    """A1: what ended the incarnation stays its cause; the other one is kept beside it."""
    actor = Recorder(fail="stop", times=99)

    async def run(ctx: trouper.ActorContext) -> None:
        raise ValueError("the real one")

    stage = await actor.stage(run=run, policy=RestartPolicy(max_restarts=0)).live()
    assert repr(stage.failed[0][0]) == "ValueError('the real one')"
    assert [f.message for f in stage.child.failures] == ["the real one", "stop went wrong"]
    assert stage.child.failed == 1


async def test_an_error_in_stop_after_a_cancel_stays_a_cancel() -> None:
    """A1, X12: it must not turn into a failure that starts the actor again."""
    actor = Recorder(fail="stop", times=99)
    stage = actor.stage()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert actor.events == ["start", "run", ("stop", "cancelled")]
    assert (stage.child.state.value, stage.child.failed) == ("cancelled", 0)
    assert [f.message for f in stage.child.failures] == ["stop went wrong"]


async def test_stop_has_a_budget_when_cancelled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """S12: it may wait although its actor is cancelled, but not for ever."""
    events: list[str] = []

    async def stop(ctx: trouper.ActorContext, reason: str) -> None:
        await trio.sleep(1)
        events.append(reason)
        await trio.sleep(60)
        events.append("never")

    async def run(ctx: trouper.ActorContext) -> None:
        await trio.sleep_forever()

    stage = Stage(run, stop=stop, shutdown=2.0)
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert events == ["cancelled"]
    assert trio.current_time() - begun == pytest.approx(2.0)
    assert "was cut after 2 s" in caplog.text


async def test_a_full_mailbox_before_start_returns() -> None:
    """X7: size 1, full before the start hook has returned: no deadlock."""
    wf = trouper.Workflow("w")
    seen: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(5):
            yield number

    class Slow:
        async def start(self, ctx: trouper.ActorContext) -> None:
            await wait_all_tasks_blocked()

        async def run(self, ctx: trouper.ActorContext) -> None:
            async for number in ctx:
                seen.append(number)  # noqa: PERF401  # seen while it goes on

    wf.add(Slow(), name="slow", depends_on="source", capacity=1)
    result = await wf.execute()
    assert result.ok
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("fresh", [True, False])
async def test_an_instance_serves_again_and_a_class_is_made_anew(fresh: bool) -> None:
    """DESIGN, Supervision: only an instance is told that it was restarted."""
    counts: list[int] = []
    told: list[str] = []

    class Counter:
        def __init__(self) -> None:
            self.count = 0

        async def run(self, ctx: trouper.ActorContext) -> None:
            async for number in ctx:
                self.count += 1
                counts.append(self.count)
                if number == 1 and ctx.message is not None and ctx.message.attempt == 1:
                    raise ValueError("once")

        async def restarted(self, cause: trouper.FailureSummary) -> None:
            told.append(str(cause))

    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    wf.add(Counter if fresh else Counter(), name="counter", depends_on="source")
    result = await wf.execute()
    assert result.ok
    assert counts == ([1, 2, 1, 2] if fresh else [1, 2, 3, 4])
    assert told == ([] if fresh else ["ValueError: once"])


async def test_a_class_that_cannot_be_made_escalates() -> None:
    """S10: its constructor fails each time; that is no endless loop."""
    made = 0

    class Broken:
        def __init__(self) -> None:
            nonlocal made
            made += 1
            raise OSError("no such device")

        async def run(self, ctx: trouper.ActorContext) -> None:
            await ctx.receive()

    wf = trouper.Workflow("w")
    wf.add(Broken, name="broken", max_restarts=2, backoff=Backoff(min=0, max=0))
    result = await wf.execute()
    assert (result.status, repr(result.error), made) == ("failed", "OSError('no such device')", 3)


async def test_a_tasks_start_fault_counts() -> None:
    """S10: the same for a batch task that may be restarted."""
    calls = 0
    wf = trouper.Workflow("w")

    @wf.task(restart="transient", max_restarts=2, backoff=Backoff(min=0, max=0))
    async def fetch() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OSError("not yet")
        return calls

    result = await wf.execute()
    assert result.unwrap() == {"fetch": 3}
    assert result.nodes["fetch"].failed == 2
