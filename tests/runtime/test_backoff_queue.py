"""What becomes of messages to an actor that waits to be restarted."""

from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper import Backoff, Edge

Numbers = trouper.ActorContext[None, None, int]


def graph(overflow: Literal["block", "drop_oldest", "drop_newest"], got: list[Any]) -> Any:
    wf = trouper.Workflow()

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        for n in range(10):
            await trio.sleep(1)
            await ctx.send(n)

    edge = Edge(capacity=3, overflow=overflow, keep_dropped=overflow != "block")

    @wf.actor(depends_on={"source": edge}, backoff=Backoff(min=100, max=100, jitter=0))
    async def node(ctx: Numbers) -> None:
        async for n in ctx:
            assert ctx.message is not None
            if n == 0 and ctx.message.attempt < 3:
                raise OSError("not yet")  # the first restart is at once, the second after 100 s
            got.append((n, trio.current_time() - begun))

    begun = trio.current_time()
    return wf


@pytest.mark.parametrize(
    ("overflow", "kept", "dropped"),
    [
        ("drop_newest", [1, 2, 3], [4, 5, 6, 7, 8, 9]),
        ("drop_oldest", [7, 8, 9], [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_what_has_room_waits_and_the_rest_is_dropped_with_the_reason(
    overflow: Any, kept: list[int], dropped: list[int], autojump_clock: MockClock
) -> None:
    """P5: never silently; what was in hand comes first."""
    got: list[tuple[int, float]] = []
    result = await graph(overflow, got).execute()
    assert result.ok
    assert [n for n, _ in got] == [0, *kept]
    assert {round(at) for _, at in got} == {101}
    [edge] = result.edges
    assert edge.dropped == {overflow: len(dropped)}
    letters = [(each.envelope.payload, each.reason) for each in result.dead_letters]
    assert letters == [(n, overflow) for n in dropped]
    assert edge.is_closed


async def test_where_nothing_may_be_dropped_the_sender_waits(autojump_clock: MockClock) -> None:
    """P5"""
    got: list[tuple[int, float]] = []
    result = await graph("block", got).execute()
    assert [n for n, _ in got] == list(range(10))
    assert got[0][1] == pytest.approx(101)
    assert result.dead_letters == ()
    [edge] = result.edges
    assert edge.blocked > 90
