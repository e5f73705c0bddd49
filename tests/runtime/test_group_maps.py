"""Maps as members of a group."""

from typing import Any

import pytest

import trouper
from harness.bodies import collects

AT_ONCE = trouper.Backoff(min=0, max=0)


async def test_a_map_takes_part_in_the_strategy_of_its_group() -> None:
    """S6, K1: when a call fails, the source in its group starts again too; nothing is lost."""
    wf = trouper.Workflow()
    group = wf.group("group", strategy="one_for_all")
    starts: list[str] = []
    failed: list[int] = []

    @group.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        starts.append("source")
        if len(starts) == 1:
            for n in range(3):
                await ctx.send(n)
            await ctx.stopping.wait()

    @group.map(over=source, backoff=AT_ONCE)
    def half(n: int) -> int:
        if n == 1 and not failed:
            failed.append(n)
            raise OSError("once")
        return n * 2

    got: list[Any] = []
    wf.actor(name="sink", depends_on=half)(collects(got))
    result = await wf.execute()
    result.unwrap()
    assert starts == ["source", "source"]
    assert got == [0, 2, 4]
    assert result.groups["group"].members == ("source", "half")
    assert [result.nodes[name].failed for name in ("source", "half")] == [0, 1]


async def test_a_significant_map_ends_its_group() -> None:
    """S14"""
    wf = trouper.Workflow()
    group = wf.group("group", auto_shutdown="any_significant")

    @wf.task
    def numbers() -> list[int]:
        return [1, 2]

    @group.actor
    async def for_ever(ctx: trouper.ActorContext) -> None:
        await ctx.stopping.wait()

    def negative(n: int) -> int:
        return -n

    group.map(negative, over=numbers, significant=True)
    result = await wf.execute()
    assert result.outputs["negative"] == [-1, -2]
    assert result.groups["group"].state == "done"


def test_options_of_a_map_are_checked_in_a_group_too() -> None:
    """S13"""
    wf = trouper.Workflow()
    group = wf.group("group")
    wf.task(name="numbers")(lambda: [1])
    with pytest.raises(ValueError, match="significant=True of 'abs' has no effect: group 'group'"):
        group.map(abs, over="numbers", significant=True)
    with pytest.raises(ValueError, match="significant=True of 'abs' has an effect only in a group"):
        wf.map(abs, over="numbers", significant=True)
    with pytest.raises(ValueError, match="concurrency of 'abs' must be an int >= 1, got 0"):
        group.map(abs, over="numbers", concurrency=0)
