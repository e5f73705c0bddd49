"""The deadlock at the start, where an output balances: any reader that reads keeps it moving."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import trouper
from harness.graphs import actor, check, only, task
from trouper import Edge


def test_another_reader_takes_what_a_late_one_does_not() -> None:
    nodes = [actor("s", fan_out="balance"), actor("now", "s"), task("t", "now")]
    assert check(*nodes, actor("late", ["t", "s"])) == []


@pytest.mark.parametrize("fan_out", ["broadcast", trouper.Partition(lambda x: x)])
def test_where_each_reader_gets_its_own_it_is_refused(fan_out: Any) -> None:
    nodes = [actor("s", fan_out=fan_out), actor("now", "s"), task("t", "now")]
    assert "'late' would wait for itself" in only(*nodes, actor("late", ["t", "s"]))


def test_if_all_readers_are_late_it_is_refused() -> None:
    nodes = [actor("s", fan_out="balance", outputs={"end": int}), task("t", "s.end", collect="all")]
    late = [actor("late", ["t", "s"]), actor("later", ["t", "s"])]
    problems = check(*nodes, *late)
    assert [each.split(" would")[0] for each in problems] == ["'late'", "'later'"]
    assert check(*nodes, *late, actor("now", "s")) == []
    assert check(*nodes, late[0], actor("later", {"t": Edge(), "s": Edge(overflow="latest")})) == []


def test_a_reader_that_waits_for_a_late_one_is_as_late() -> None:
    nodes = [actor("s", fan_out="balance", outputs={"end": int}), task("t", "s.end", collect="all")]
    late = [actor("late", ["t", "s"]), actor("now", "s"), actor("behind", ["t", "now"])]
    assert any("'behind' would wait for itself" in each for each in check(*nodes, *late))


async def test_what_is_let_through_comes_to_its_end() -> None:
    """DESIGN, Inputs: many times what fits into the edge of the reader that starts late."""
    wf, got = trouper.Workflow(), list[int]()

    @wf.actor(fan_out="balance")
    async def s(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for n in range(500):
            yield n

    @wf.actor(depends_on="s", capacity=4)
    async def now(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for n in ctx:
            got.append(n)
            yield n

    @wf.task(depends_on="now", collect="all")
    async def t(values: list[int]) -> int:
        return len(values)

    @wf.actor(depends_on=["t", "s"], capacity=4)
    async def late(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            got.append(message["s"])

    with trio.fail_after(60):
        (await wf.execute()).unwrap()
    assert sorted(got) == [*range(500)]
