"""`run.redeliver` where it can't be done: nothing is lost, and it is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.dead_letters import Picky, feed, give_up_five, letter_of, picky_graph, stubborn
from harness.ids import assert_edges_closed
from trouper import ActorContext, DeadLetter

REFUSED: list[tuple[Any, type[Exception], str]] = [
    (letter_of("pickie"), ValueError, "'pickie', which is no actor of this graph; did you mean"),
    (letter_of("picky", "names"), ValueError, "came from 'names', which is no stream into 'picky'"),
    (5, TypeError, "takes dead letters, or a function that chooses among them, got 5"),
    ([letter_of("picky"), "x"], TypeError, "got 'x'"),
    ([letter_of("picky"), letter_of("pickie")], ValueError, "no actor of this graph"),
]


@pytest.mark.parametrize(("what", "error", "text"), REFUSED)
async def test_what_fits_nowhere_is_refused_before_anything_is_put_back(
    what: Any, error: type[Exception], text: str
) -> None:
    picky = Picky()
    async with picky_graph(picky).open() as run:
        with pytest.raises(error, match=text):
            await run.redeliver(what)
    assert picky.seen == []


async def test_a_choice_that_raises_puts_nothing_back() -> None:
    picky = Picky(1, 2)
    async with picky_graph(picky).open() as run:
        await feed(run, 1, 2)

        def choose(letter: DeadLetter) -> bool:
            if letter.envelope.payload == 2:
                raise KeyError("no")
            return True

        with pytest.raises(KeyError):
            await run.redeliver(choose)
        assert len(run.dead_letters()) == 2


async def test_a_joined_letter_needs_a_join() -> None:
    wf = trouper.Workflow("joins")
    for name in ("a", "b"):

        @wf.actor(name=name)
        async def relay(ctx: ActorContext) -> AsyncIterator[Any]:
            async for x in ctx:
                yield x

    wf.add(Picky(), name="picky", depends_on=["a", "b"], fan_in="zip")
    async with wf.open() as run:
        with pytest.raises(ValueError, match="takes joined messages now, and it is none"):
            await run.redeliver(letter_of("picky", "a"))


async def test_the_type_of_a_foreign_payload_is_checked() -> None:
    wf = trouper.Workflow("typed")

    @wf.actor
    async def typed(ctx: ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            pass

    async with wf.open() as run:
        with pytest.raises(TypeError, match="'typed'"):
            await run.redeliver(letter_of("typed", "@run", "x"))


@pytest.mark.parametrize("when", ["drains", "waits for room"])
async def test_a_node_that_takes_nothing_more(when: str) -> None:
    """K2: what is not put back stays in the dead letters."""
    go_on, done = trio.Event(), list[Any]()
    async with stubborn(go_on, done).open() as run, trio.open_nursery() as nursery:
        letters = await give_up_five(run)

        async def put_back() -> None:
            with pytest.raises(trouper.NodeEnded, match="'node' takes nothing more"):
                await run.redeliver(letters)
            done.append("refused")

        if when == "drains":
            nursery.start_soon(run.drain)
            await wait_all_tasks_blocked()
        nursery.start_soon(put_back)
        await wait_all_tasks_blocked()
        if when == "drains":
            go_on.set()
        else:
            assert done == []
            run.cancel()
    assert done == ["refused"]
    result = await run.wait()
    stay = letters if when == "drains" else letters[2:]
    assert result.dead_letters[: len(stay)] == stay
    # What was put back, and then abandoned with the message in hand, are letters again.
    assert [letter.reason for letter in result.dead_letters[len(stay) :]] == (
        [] if when == "drains" else ["stopped"] * 3
    )
    assert_edges_closed(result)


async def test_late_replies_are_left_where_they_are() -> None:
    """They were messages to no node, and no edge counts them."""
    workflow = trouper.Workflow()
    go_on = trio.Event()

    @workflow.actor
    async def slow(ctx: ActorContext) -> None:
        async for _ in ctx:
            await go_on.wait()
            await ctx.reply("late")

    async with workflow.open() as run:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.ask, 1, "slow")
                await wait_all_tasks_blocked()
                scope.cancel()
        go_on.set()
        await wait_all_tasks_blocked()
        assert [letter.reason for letter in run.dead_letters()] == ["late_reply"]
        assert await run.redeliver(run.dead_letters()) == 0
        assert await run.redeliver(lambda _: True) == 0
        result = await run.drain()
    assert [letter.reason for letter in result.dead_letters] == ["late_reply"]
    assert_edges_closed(result)
