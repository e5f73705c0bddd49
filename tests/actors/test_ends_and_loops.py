"""When an actor has ended: its own end of input or output, and no other; loops and consumers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.faults import Faults
from harness.ids import Ledger
from harness.stage import Stage
from trouper import Backoff, RestartPolicy

ONCE = RestartPolicy(max_restarts=0)


async def drive(body: Any, *payloads: Any) -> Stage:
    return await Stage(body, policy=ONCE).live(*payloads)


# -- whose end is it -----------------------------------------------------------------------------


async def in_group(ctx: trouper.ActorContext, times: int) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(ctx.receive)


async def ends(style: str, ctx: trouper.ActorContext) -> None:
    match style:
        case "bare":
            await ctx.receive()
            await ctx.receive()
        case "in a group":
            await in_group(ctx, 1)
        case "in groups of groups":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(in_group, ctx, 1)
        case "of another channel":
            send, receive = trouper.open_channel[int](1)
            await send.aclose()
            async with receive:
                await receive.receive()
        case "of another channel in a group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ends, "of another channel", ctx)
        case _:
            raise ExceptionGroup("two", [trouper.EndOfInput("a", stage_of(ctx)), ValueError("b")])


def stage_of(ctx: trouper.ActorContext) -> object:
    return ctx._mailbox


@pytest.mark.parametrize("generator", [True, False])
@pytest.mark.parametrize(
    ("style", "is_normal"),
    [
        ("bare", True),
        ("in a group", True),
        ("in groups of groups", True),
        ("of another channel", False),
        ("of another channel in a group", False),
        ("beside another failure", False),
    ],
)
async def test_only_its_own_end_of_input_is_a_normal_end(
    style: str, is_normal: bool, generator: bool
) -> None:
    """DESIGN, End of input: bare or as the only leaf of a group."""

    async def coroutine(ctx: trouper.ActorContext) -> None:
        await ends(style, ctx)

    async def generating(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await ends(style, ctx)
        yield 1

    payloads = [1] if style == "bare" else []
    stage = await drive(generating if generator else coroutine, *payloads)
    assert stage.child.state.value == ("done" if is_normal else "failed")


@pytest.mark.parametrize("generator", [True, False])
async def test_the_end_of_another_actors_input_is_a_failure(generator: bool) -> None:
    other = Stage(drive)
    other.end()

    async def coroutine(ctx: trouper.ActorContext) -> None:
        await other.box.take_slow()

    async def generating(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await coroutine(ctx)
        yield 1

    stage = await drive(generating if generator else coroutine)
    assert isinstance(stage.failed[0][0], trouper.EndOfInput)


@pytest.mark.parametrize("generator", [True, False])
async def test_the_end_of_its_own_output_is_a_normal_end(generator: bool) -> None:
    async def coroutine(ctx: trouper.ActorContext) -> None:
        stage.reader.close()
        await ctx.send(1)
        raise AssertionError("never")

    async def generating(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await coroutine(ctx)
        yield 1

    stage = Stage(generating if generator else coroutine, policy=ONCE)
    await stage.live()
    assert (stage.child.state.value, stage.failed) == ("done", [])


# -- loops over the input ------------------------------------------------------------------------


async def test_leaving_a_loop_and_looping_again() -> None:
    """C8: `break` loses nothing: the message stays in hand until the next one is asked for."""
    seen: list[tuple[str, int]] = []

    async def body(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for number in ctx:
            seen.append(("first", number))
            if number == 2:
                break
        assert ctx.message is not None
        seen.append(("between", await ctx.receive()))
        async for number in ctx:
            seen.append(("second", number))
            yield number
        assert [number async for number in ctx] == [], "after the end there is nothing"

    stage = await drive(body, *range(1, 8))
    assert seen[:3] == [("first", 1), ("first", 2), ("between", 3)]
    assert seen[3:] == [("second", number) for number in (4, 5, 6, 7)]
    assert stage.sent() == [4, 5, 6, 7]


async def test_a_loop_inside_a_loop_goes_on_where_it_is() -> None:
    seen: list[list[int]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        async for first in ctx:
            async for second in ctx:
                seen.append([first, second])
                break

    await drive(body, 1, 2, 3, 4)
    assert seen == [[1, 2], [3, 4]]


async def test_keyed_messages_in_a_loop() -> None:
    seen: list[dict[str, int]] = []

    async def body(ctx: trouper.ActorContext) -> None:
        seen.extend([message async for message in ctx])

    stage = Stage(body, sources=("a", "b"), keyed=True, policy=ONCE)
    stage.feed(1, 2, lane=0)
    stage.feed(3, lane=1)
    await stage.live()
    assert seen == [{"a": 1}, {"b": 3}, {"a": 2}]
    with pytest.raises(TypeError):
        seen[0]["a"] = 9


# -- consumers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [0, 1, 64])
async def test_a_consumer_that_crashes_meanwhile(capacity: int) -> None:
    """B5t: the producer's yield goes on when the consumer is back; nothing is lost."""
    ledger = Ledger()
    faults = Faults().fail("handle", "sink", visits=(2, 5, 9))
    wf = trouper.Workflow("w")
    wf.actor(ledger.source(20))
    sink = ledger.sink(faults=faults)
    wf.actor(depends_on="source", capacity=capacity, backoff=Backoff(min=0, max=0))(sink)
    result = await wf.execute(harness=faults.harness(operations=3))
    assert result.nodes["sink"].failed == 3
    assert result.nodes["source"].incarnation == 1, "only who crashed starts again"
    ledger.assert_at_least_once()
    ledger.assert_accounted(result)
    assert ledger.sinks["sink"].seen.total() == 23


async def test_a_reader_from_outside_that_leaves_meanwhile() -> None:
    """C8: the yield that waits for it goes on without it."""
    wf = trouper.Workflow("w")
    sent: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(5):
            yield number
            sent.append(number)

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            pass

    async with wf.open() as run:
        async with run.stream("source", capacity=1) as xs:
            await wait_all_tasks_blocked()
            assert len(sent) < 5
            assert await anext(aiter(xs)) == 0
        result = await run.wait()
    assert sent == [0, 1, 2, 3, 4]
    assert result.ok
