"""`run.redeliver` of letters whose node was spawned, or has ended: the others are put back."""

import logging
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.ids import assert_edges_closed
from trouper import ActorContext


class Boss:
    """Spawns a child that refuses everything until it is told otherwise."""

    def __init__(self) -> None:
        self.is_bad = True
        self.got: list[tuple[Any, int]] = []
        self.child: trouper.Spawned | None = None

    async def serve(self, ctx: ActorContext) -> None:
        async for x in ctx:
            if self.is_bad:
                ctx.reject("not yet")
            else:
                assert ctx.message is not None
                self.got.append((x, ctx.message.attempt))

    async def run(self, ctx: ActorContext) -> None:
        async for x in ctx:
            if x == "stop":
                assert self.child is not None
                await self.child.stop()
            elif x == "begin":
                self.child = await ctx.spawn(self.serve, name="child", max_attempts=1)
            elif x == "fail":
                ctx.reject("as it was told")
            else:
                assert self.child is not None
                await self.child.send(x)


async def tell(run: trouper.LiveRun, *words: Any) -> None:
    for word in words:
        await run.send(word, "boss")
        await wait_all_tasks_blocked()


def graph(boss: Boss) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.add(boss, name="boss", max_attempts=1)
    return wf


async def test_a_letter_of_a_child_that_is_there_goes_back() -> None:
    """D1: a child is a node; the ledger of its edge counts the letter as leased again."""
    boss = Boss()
    async with graph(boss).open() as run:
        await tell(run, "begin", 1, 2)
        assert [letter.node for letter in run.dead_letters()] == ["boss/child"] * 2
        boss.is_bad = False
        assert await run.redeliver(lambda _: True) == 2
        await wait_all_tasks_blocked()
        assert boss.got == [(1, 1), (2, 1)]
        edge = next(each for each in run.status().edges if each.target == "boss/child")
        assert (edge.sent, edge.acknowledged, edge.dead_lettered) == (2, 2, 0)
        assert run.dead_letters() == ()


async def test_letters_of_a_child_that_has_ended_stay_and_the_others_go_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """K2: who chooses among all gets what can be put back; what stays is counted."""
    boss = Boss()
    async with graph(boss).open() as run:
        await tell(run, "begin", 1, 2, "stop", "fail")
        assert len(run.dead_letters()) == 3
        with caplog.at_level(logging.WARNING, "trouper"):
            assert await run.redeliver(lambda _: True) == 1
        assert "2 of the letters chosen stay dead letters" in caplog.text
        assert "'boss/child' (2)" in caplog.text
        await wait_all_tasks_blocked()  # it fails again
        assert len(run.dead_letters()) == 3
        with pytest.raises(trouper.NodeEnded, match=r"a child of ctx\.spawn, has ended") as found:
            await run.redeliver(run.dead_letters()[0])
        assert found.value.payload == 1
        result = await run.drain()
    assert len(result.dead_letters) == 3
    assert_edges_closed(result)


async def test_a_letter_of_a_former_child_goes_to_the_one_of_its_name() -> None:
    """D1: it enters the new one's edge as if it was sent again, once, and leaves the letters."""
    boss = Boss()
    async with graph(boss).open() as run:
        await tell(run, "begin", 1, "stop", "begin")
        boss.is_bad = False
        [letter] = run.dead_letters()
        assert await run.redeliver([letter, letter]) == 1
        await wait_all_tasks_blocked()
        assert boss.got == [(1, 1)]
        assert run.dead_letters() == ()
        assert await run.redeliver(letter) == 0
        edge = next(each for each in run.status().edges if each.target == "boss/child")
        assert (edge.sent, edge.acknowledged) == (1, 1)


async def test_letters_of_an_actor_that_was_stopped_are_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wf = trouper.Workflow()
    bad = {1, 2}

    async def refuse(ctx: ActorContext) -> None:
        async for x in ctx:
            if x in bad:
                ctx.reject("no")

    for name in ("here", "gone"):
        wf.actor(name=name, max_attempts=1)(refuse)
    async with wf.open() as run:
        await run.send(1, "gone")
        await run.send(2, "here")
        await wait_all_tasks_blocked()
        await run.stop("gone")
        bad.clear()
        assert await run.redeliver(lambda _: True) == 1
        assert "1 of the letters chosen stay dead letters" in caplog.text
        assert [letter.node for letter in run.dead_letters()] == ["gone"]
        with pytest.raises(trouper.NodeEnded, match="'gone' takes nothing more"):
            await run.redeliver(run.dead_letters())


async def test_a_node_that_ends_during_the_wait_for_room_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wf = trouper.Workflow()
    go_on = trio.Event()

    @wf.actor(max_attempts=1, capacity=1)
    async def node(ctx: ActorContext) -> None:
        async for x in ctx:
            if x == "wait":
                await go_on.wait()
            else:
                ctx.reject("no")

    @wf.actor
    async def other(ctx: ActorContext) -> None:
        async for _ in ctx:
            pass

    counts: list[int] = []
    async with wf.open() as run, trio.open_nursery() as nursery:
        for x in (1, 2, 3, "wait"):
            await run.send(x, "node")
        await wait_all_tasks_blocked()
        assert len(run.dead_letters()) == 3

        @nursery.start_soon
        async def put_back() -> None:
            counts.append(await run.redeliver(lambda _: True))

        await wait_all_tasks_blocked()
        assert counts == []
        run.kill("node")
        await wait_all_tasks_blocked()
        assert counts == [1]
        assert "2 of the letters chosen stay dead letters" in caplog.text
