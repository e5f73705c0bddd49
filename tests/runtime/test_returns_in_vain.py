"""A permanent actor that returns without having taken anything: a failure, or it would spin."""

from itertools import pairwise
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.actors._restart import RestartedInVain

AT_ONCE = trouper.Backoff(min=0, max=0)
LASTING = 8.0
"""Seconds that forgive what was before, with `FORGIVING`."""
FORGIVING = trouper.Backoff(min=1, max=1, jitter=0, reset_after=LASTING)


@pytest.mark.parametrize("sends", [False, True])
async def test_a_source_that_returns_at_once_does_not_spin(
    sends: bool, autojump_clock: MockClock
) -> None:
    """S2: counted by OTP's rule also without any delay, so that the run ends and time goes on."""
    wf, starts = trouper.Workflow(), list[int]()

    @wf.actor(restart="permanent", max_restarts=3, backoff=AT_ONCE)
    async def source(ctx: trouper.ActorContext) -> None:
        starts.append(1)
        if sends:
            await ctx.send(1)

    async with wf.open() as run:
        result = await run.wait()
    assert len(starts) == 4
    assert isinstance(result.error, RestartedInVain)
    assert "failed 4 times in 10 s" in result.reason


async def test_others_have_their_turn_while_one_returns_at_once(autojump_clock: MockClock) -> None:
    """S2: a restart is a cancel point, and lets others run, however many are allowed."""
    wf, starts = trouper.Workflow(), list[int]()

    @wf.actor(restart="permanent", max_restarts=1_000_000, backoff=AT_ONCE)
    async def source(ctx: trouper.ActorContext) -> None:
        starts.append(1)

    async with wf.open() as run:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert len(starts) > 1
        run.cancel("enough")
    assert (await run.wait()).status == "cancelled"


async def test_one_that_ran_for_long_enough_starts_again_without_delay(
    autojump_clock: MockClock,
) -> None:
    """P1, P3: a long run forgives, also if it ended by a return that took no message."""
    wf, starts = trouper.Workflow(), list[float]()

    @wf.actor(restart="permanent", max_restarts=100, backoff=FORGIVING)
    async def source(ctx: trouper.ActorContext) -> None:
        starts.append(trio.current_time())
        await trio.sleep(LASTING if len(starts) > 3 else 0)

    async with wf.open() as run:
        await trio.sleep(2 + 5 * LASTING + 1)
        run.cancel()
    gaps = [later - sooner for sooner, later in pairwise(starts)]
    assert gaps == pytest.approx([0, 1, 1, LASTING, LASTING, LASTING, LASTING, LASTING])


@pytest.mark.parametrize("limits", [(1000, 3), (3, 1000)])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_a_return_in_vain_counts_for_the_group_too(
    strategy: Literal["one_for_one", "one_for_all"],
    limits: tuple[int, int],
    autojump_clock: MockClock,
) -> None:
    """S2: a member whose own limit is high may not wear out the patience of its group."""
    wf, starts = trouper.Workflow(), list[int]()
    of_node, of_group = limits
    group = wf.group("g", strategy=strategy, max_restarts=of_group)

    @group.actor(restart="permanent", max_restarts=of_node, backoff=AT_ONCE)
    async def idle(ctx: trouper.ActorContext) -> None:
        starts.append(1)

    async with wf.open() as run:
        result = await run.wait()
    assert len(starts) == 4
    assert isinstance(result.error, RestartedInVain)
    assert "failed 4 times in 10 s" in result.reason
    assert ("the members of group 'g' failed" in result.reason) is (of_group == 3)


async def test_a_child_that_returns_at_once_is_given_up(autojump_clock: MockClock) -> None:
    """S2: of what `ctx.spawn` starts likewise; it fails whoever has spawned it."""
    wf, starts = trouper.Workflow(), list[int]()

    async def idle(ctx: trouper.ActorContext) -> None:
        starts.append(1)

    @wf.actor(restart="temporary")
    async def boss(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(idle, restart="permanent", max_restarts=3, backoff=AT_ONCE)
        await trio.sleep_forever()

    result = await wf.execute()
    assert len(starts) == 4
    assert isinstance(result.error, trouper.ChildFailed)
