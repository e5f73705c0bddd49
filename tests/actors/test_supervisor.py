"""One for one: restarts, backoff, giving up, and what has to pass."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.faults import Faults, Injected
from harness.stage import Stage
from trouper import Backoff, RestartPolicy


async def crash(ctx: trouper.ActorContext) -> None:
    raise ValueError("always")


async def wait_for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()


async def take_all(ctx: trouper.ActorContext) -> None:
    async for _ in ctx:
        pass


async def test_intensity_then_the_last_failure_goes_up() -> None:
    """S2, P3: two restarts are allowed; the third failure is given up, live, with the reason."""
    policy = RestartPolicy(max_restarts=2, backoff=Backoff(min=0, max=0))
    stage = await Stage(crash, policy=policy).live()
    [(error, reason)] = stage.failed
    assert stage.made == 3
    assert isinstance(error, ValueError)
    assert reason.startswith("failed 3 times in 10 s; fix the cause")
    assert stage.child.error is error
    assert stage.child.state.value == "failed"
    assert not stage.ended
    assert not stage.outlet.lanes[0].ended, "its neighbours must not take a cut for an end"


async def test_no_intensity_gives_up_at_once() -> None:
    """S4."""
    stage = await Stage(crash, policy=RestartPolicy(max_restarts=0)).live()
    assert (stage.made, len(stage.failed)) == (1, 1)


async def test_temporary_is_never_restarted() -> None:
    """S1."""
    stage = await Stage(crash, policy=RestartPolicy(restart="temporary")).live()
    assert stage.made == 1
    assert stage.failed[0][1] == "restart='temporary' is never restarted"


async def test_permanent_starts_again_until_its_input_has_ended() -> None:
    """S1: a normal return of a permanent actor is no reason to stop."""
    seen: list[int] = []

    async def one(ctx: trouper.ActorContext) -> None:
        seen.append(await ctx.receive())

    stage = await Stage(one, policy=RestartPolicy(restart="permanent")).live(1, 2, 3)
    assert seen == [1, 2, 3]
    assert stage.made == 3
    assert stage.child.failed == 0
    assert [child.state.value for child in stage.ended] == ["done"]


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_others_end_with_a_normal_return(restart: Any) -> None:
    """S1, P4: what is left is dropped and counted, and the output ends."""

    async def one(ctx: trouper.ActorContext) -> None:
        await ctx.receive()

    stage = await Stage(one, policy=RestartPolicy(restart=restart)).live(1, 2, 3)
    assert stage.made == 1
    assert stage.lanes[0].dropped == {"reader_ended": 2}
    assert stage.outlet.lanes[0].ended


async def test_permanent_ends_when_the_run_drains() -> None:
    async def one(ctx: trouper.ActorContext) -> None:
        ctx.stopping.set()

    stage = Stage(one, policy=RestartPolicy(restart="permanent"))
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
    assert (stage.made, len(stage.ended)) == (1, 1)


async def test_restarts_wait_longer_and_longer(autojump_clock: MockClock) -> None:
    """P1: none for the first, 1, 2, 4, 8, 10, 10."""
    begun: list[float] = []

    async def crash(ctx: trouper.ActorContext) -> None:
        begun.append(trio.current_time())
        raise OSError("disk full")

    backoff = Backoff(min=1, max=10, jitter=0, reset_after=60)
    await Stage(crash, policy=RestartPolicy(max_restarts=7, period=99, backoff=backoff)).live()
    gaps = [b - a for a, b in pairwise(begun)]
    assert gaps == pytest.approx([0, 1, 2, 4, 8, 10, 10])


async def test_jitter_comes_from_the_supervisors_generator(autojump_clock: MockClock) -> None:
    """P1, X3: the same seed, the same waits."""
    traces: list[list[float]] = []
    for _ in range(2):
        begun: list[float] = []

        async def crash(ctx: trouper.ActorContext, begun: list[float] = begun) -> None:
            begun.append(trio.current_time())
            raise OSError("disk full")

        backoff = Backoff(min=1, max=10, jitter=1, reset_after=60)
        await Stage(crash, policy=RestartPolicy(max_restarts=3, period=99, backoff=backoff)).live()
        traces.append([b - a for a, b in pairwise(begun)])
    assert traces[0] == pytest.approx(traces[1])
    assert 1 < traces[0][1] < 2


async def test_a_long_enough_run_forgives(autojump_clock: MockClock) -> None:
    """P1, P3: after `reset_after` seconds of running the next restart is at once again."""
    begun: list[float] = []
    lasts = iter([0.0, 0.0, 5.0, 0.0])

    async def crash(ctx: trouper.ActorContext) -> None:
        begun.append(trio.current_time())
        await trio.sleep(next(lasts))
        raise OSError("disk full")

    backoff = Backoff(min=1, max=10, jitter=0, reset_after=5.0)
    await Stage(crash, policy=RestartPolicy(max_restarts=3, period=99, backoff=backoff)).live()
    gaps = [b - a for a, b in pairwise(begun)]
    assert gaps == pytest.approx([0, 1, 5])


@pytest.mark.parametrize("eps", [-0.001, 0.0, 0.001])
async def test_the_period_is_inclusive_on_the_clock(eps: float, autojump_clock: MockClock) -> None:
    """S2: at P-eps, P and P+eps after the first failure."""
    lasts = iter([0.0, 4.0, 6.0 + eps, 99.0])
    entered = 0

    async def crash(ctx: trouper.ActorContext) -> None:
        nonlocal entered
        entered += 1
        await trio.sleep(next(lasts))
        raise OSError("disk full")

    policy = RestartPolicy(max_restarts=2, period=10.0, backoff=Backoff(min=0, max=0))
    stage = Stage(crash, policy=policy)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(11)
        nursery.cancel_scope.cancel()
    assert (entered, len(stage.failed)) == ((3, 1) if eps <= 0 else (4, 0))


async def test_a_slow_crash_never_trips(autojump_clock: MockClock) -> None:
    """S3."""

    async def crash(ctx: trouper.ActorContext) -> None:
        await trio.sleep(2.1)
        raise OSError("disk full")

    policy = RestartPolicy(max_restarts=1, period=1.0, backoff=Backoff(min=0, max=0))
    stage = Stage(crash, policy=policy)
    with trio.move_on_after(2.1 * 40 + 1):
        await stage.live()
    assert stage.made == 41
    assert not stage.failed


async def test_cancel_while_backing_off(autojump_clock: MockClock) -> None:
    """P2: never restarted, and at once."""
    backoff = Backoff(min=30, max=30, reset_after=60)
    stage = Stage(crash, policy=RestartPolicy(max_restarts=9, period=999, backoff=backoff))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        assert stage.child.state.value == "restarting"
        nursery.cancel_scope.cancel()
    assert trio.current_time() - begun == 1
    assert (stage.made, stage.child.state.value) == (2, "cancelled")


async def test_retired_while_backing_off(autojump_clock: MockClock) -> None:
    """P2, S11: it ends at once, and its neighbours hear of it."""
    backoff = Backoff(min=30, max=30, reset_after=60)
    stage = Stage(crash, policy=RestartPolicy(max_restarts=9, period=999, backoff=backoff))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await trio.sleep(1)
        stage.child.retire()
    assert trio.current_time() - begun == 1
    assert (stage.made, stage.child.state.value) == (2, "cancelled")
    assert stage.ended == [stage.child]
    assert stage.outlet.lanes[0].ended


async def test_retired_between_two_incarnations() -> None:
    """P2: the restart was decided already, but had not begun."""

    async def crash(ctx: trouper.ActorContext) -> None:
        stage.child.retired = True
        raise ValueError("always")

    stage = Stage(crash)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
    assert (stage.made, stage.ended) == (1, [stage.child])


async def test_retired_before_it_was_ever_started() -> None:
    stage = Stage(crash)
    stage.child.retire()
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
    assert (stage.made, stage.ended) == (0, [stage.child])


async def test_retired_while_running() -> None:
    stage = Stage(wait_for_ever)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        stage.child.retire()
    assert (stage.made, stage.child.state.value, stage.ended) == (1, "cancelled", [stage.child])


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_exception_passes(fatal: type[BaseException]) -> None:
    """P8: supervision does not swallow a BaseException; the message in hand comes to light."""

    async def crash(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        raise fatal

    stage = Stage(crash)
    with pytest.raises(BaseExceptionGroup) as caught:
        await stage.live(1, 2)
    assert caught.group_contains(fatal, depth=1)
    assert (stage.made, stage.child.state.value) == (1, "cancelled")
    assert not stage.failed
    assert stage.ledger() == {"sent": 2, "queued": 1, "in hand": 1, "given up": 0}


async def test_nothing_starts_again_once_cancelled() -> None:
    """P2: a failure while the run is being cancelled is noted, and that is all."""

    async def fail_at_cancel(ctx: trouper.ActorContext) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleaning up went wrong")

    stage = Stage(fail_at_cancel)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (stage.made, stage.child.state.value) == (1, "cancelled")
    assert stage.child.failures[-1].message == "cleaning up went wrong"
    assert not stage.failed


async def test_a_failure_beside_a_cancel_does_not_leave_the_run() -> None:
    """P2: a nursery of the body raises both in one group; only the cancel may pass."""

    async def fail_at_cancel() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleaning up went wrong")

    async def body(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        async with trio.open_nursery() as inner:
            inner.start_soon(fail_at_cancel)
            inner.start_soon(trio.sleep_forever)

    stage = Stage(body)
    stage.feed(1)
    async with trio.open_nursery() as nursery:
        stage.begin(nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stage.child.state.value == "cancelled"
    assert [failure.type for failure in stage.child.failures] == ["ExceptionGroup"]


async def test_siblings_are_left_alone() -> None:
    """S5, B5t."""
    steady, shaky = Stage(take_all), Stage(crash, policy=RestartPolicy(max_restarts=0))
    async with trio.open_nursery() as nursery:
        steady.begin(nursery)
        shaky.begin(nursery)
        await wait_all_tasks_blocked()
        assert (len(shaky.failed), steady.child.state.value) == (1, "running")
        steady.end()
    assert (steady.made, steady.child.state.value) == (1, "done")


async def test_faults_of_the_harness_count_like_any() -> None:
    """S10: an incarnation that always fails to start uses up the intensity."""
    faults = Faults().fail("start", visits=range(1, 99))
    policy = RestartPolicy(max_restarts=3, backoff=Backoff(min=0, max=0))
    stage = await Stage(take_all, probe=faults, policy=policy).live(1)
    [(error, _)] = stage.failed
    assert isinstance(error, Injected)
    assert (stage.child.incarnation, stage.made) == (4, 0)


async def test_a_fault_at_the_finish_brings_the_message_back() -> None:
    seen: list[tuple[int, int]] = []

    async def one(ctx: trouper.ActorContext) -> None:
        payload = await ctx.receive()
        assert ctx.message is not None
        seen.append((payload, ctx.message.attempt))

    stage = await Stage(one, probe=Faults().fail("finish")).live(7)
    assert seen == [(7, 1), (7, 2)]
    assert stage.child.state.value == "done"
