"""Reading a node's output from outside, while the run goes on."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, sleeps


def numbers(n: int, **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(n, **options))
    return wf


async def test_an_open_stream_misses_nothing(autojump_clock: MockClock) -> None:
    """It blocks its sender."""
    got: list[int] = []
    async with numbers(100).open() as run, run.stream("numbers", capacity=2) as xs:
        async for x in xs:
            got.append(x)
            await trio.sleep(1)
        assert xs.dropped == 0
    assert got == list(range(100))


async def test_a_bare_loop_never_blocks_the_graph(autojump_clock: MockClock) -> None:
    """It drops the oldest, and counts them."""
    got: list[int] = []
    async with numbers(100, every=0.1).open() as run:
        xs = run.stream("numbers", capacity=4)
        assert xs.dropped == 0
        async for x in xs:
            got.append(x)
            await trio.sleep(1)
        result = await run.wait()
    assert result.seconds == pytest.approx(10, abs=0.3)
    assert len(got) + xs.dropped == 100
    assert xs.dropped > 50
    assert got[-1] == 99


async def test_a_bare_loop_may_be_left_and_taken_up_again(autojump_clock: MockClock) -> None:
    async with numbers(20, every=1).open() as run:
        xs = run.stream("numbers", capacity=3)
        async for x in xs:
            if x == 2:
                break
        await trio.sleep(10)
        rest = [x async for x in xs]
        assert rest[-1] == 19
        assert xs.dropped == 17 - len(rest) > 0


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
async def test_an_open_stream_may_drop_too(overflow: Any, autojump_clock: MockClock) -> None:
    async with (
        numbers(30, every=0.1).open() as run,
        run.stream("numbers", capacity=2, overflow=overflow) as xs,
    ):
        await trio.sleep(2)
        first = await anext(aiter(xs))
        assert xs.dropped > 10
        assert (first < 2) == (overflow == "drop_newest")


async def test_a_bare_loop_keeps_one_at_least(autojump_clock: MockClock) -> None:
    """There is no buffer of none to drop from."""
    async with numbers(5, every=1).open() as run:
        assert [x async for x in run.stream("numbers", capacity=0)][-1] == 4


async def test_a_rendezvous_stream(autojump_clock: MockClock) -> None:
    async with numbers(5).open() as run, run.stream("numbers", capacity=0) as xs:
        assert [x async for x in xs] == list(range(5))


async def test_several_streams_and_readers_in_the_graph_see_the_same() -> None:
    """R111"""
    got: list[int] = []
    wf = numbers(50)
    wf.actor(name="sink", depends_on="numbers")(collects(got))
    seen: list[list[int]] = [[], [], []]

    async def read(run: trouper.LiveRun, into: list[int]) -> None:
        async with run.stream("numbers") as xs:
            into += [x async for x in xs]

    async with wf.open() as run, trio.open_nursery() as nursery:
        for into in seen:
            nursery.start_soon(read, run, into)
    assert got == list(range(50))
    # Those that join later see a suffix without gaps (case P12).
    assert all(each == list(range(50 - len(each), 50)) for each in seen)


async def test_late_and_too_late(autojump_clock: MockClock) -> None:
    async with numbers(10, every=1).open() as run:
        await trio.sleep(4.5)
        async with run.stream("numbers") as xs:
            assert [x async for x in xs] == [5, 6, 7, 8, 9]
        async with run.stream("numbers") as xs:
            assert [x async for x in xs] == []
        assert [x async for x in run.stream("numbers")] == []


async def test_closing_lets_a_parked_sender_go_on(autojump_clock: MockClock) -> None:
    async with numbers(10, every=0.1).open() as run:
        async with run.stream("numbers", capacity=1):
            await trio.sleep(5)
            assert run.status().nodes["numbers"].blocked > 4
        result = await run.wait()
    assert result.status == "completed"
    assert result.outputs == {"numbers": 9}
    assert result.nodes["numbers"].failed == 0


async def test_closing_lets_the_other_readers_go_on(autojump_clock: MockClock) -> None:
    """G2: a laggard that leaves releases the others, and they get everything once."""
    got: list[int] = []
    wf = numbers(30)
    wf.actor(name="sink", depends_on="numbers", capacity=1)(collects(got))
    async with wf.open() as run:
        async with run.stream("numbers", capacity=3):
            await wait_all_tasks_blocked()
            assert len(got) <= 5
        await run.wait()
    assert got == list(range(30))


async def test_a_reader_that_waits_hears_of_the_close(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    async def read(xs: trouper.Stream) -> None:
        with pytest.raises(trio.ClosedResourceError):
            async for _ in xs:
                pass
        heard.append("closed")

    async with numbers(3, every=100).open() as run, trio.open_nursery() as nursery:
        async with run.stream("numbers") as xs:
            nursery.start_soon(read, xs)
            await trio.sleep(1)
        xs.close()
        await wait_all_tasks_blocked()
        assert heard == ["closed"]
        with pytest.raises(trio.ClosedResourceError):
            await anext(aiter(xs))
        with pytest.raises(RuntimeError, match=r"already open; call run\.stream\(\) again"):
            await xs.__aenter__()
        run.cancel()


async def test_closing_what_was_never_opened_does_nothing() -> None:
    async with numbers(3).open() as run:
        run.stream("numbers").close()


async def test_two_readers_need_two_streams(autojump_clock: MockClock) -> None:
    async with (
        numbers(3, every=5).open() as run,
        run.stream("numbers") as xs,
        trio.open_nursery() as nursery,
    ):
        assert await anext(aiter(xs)) == 0
        nursery.start_soon(anext, aiter(xs))
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task reads this stream of"):
            await anext(aiter(xs))


async def test_named_outputs_and_objects(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()

    @wf.actor(outputs={"side": str})
    async def main(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await ctx.send("aside", to="side")
        await trio.sleep(1)
        yield 1

    wf.task(name="batch")(sleeps(0))
    async with wf.open() as run:
        async with run.stream("main.side") as side, run.stream(main) as default:
            assert [x async for x in side] == ["aside"]
            assert [x async for x in default] == [1]
        with pytest.raises(ValueError, match="'main' has no output 'sidd'; did you mean 'side'"):
            run.stream("main.sidd")
        with pytest.raises(ValueError, match="'batch' is a batch task; read its output from the"):
            run.stream("batch")
        with pytest.raises(ValueError, match="there is no node 'mian'"):
            run.stream("mian")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"overflow": "spill"}, ValueError, "overflow of the stream of 'numbers' can't be 'spill'"),
        ({"capacity": 1.5}, TypeError, r"capacity of the stream of 'numbers' must be an int or ma"),
        ({"capacity": 0, "overflow": "fail"}, ValueError, "is 0, so there is no buffer"),
    ],
)
async def test_wrong_options_are_refused_at_once(
    options: Any, error: type[Exception], text: str
) -> None:
    """And not in the actor that sends."""
    async with numbers(3).open() as run:
        with pytest.raises(error, match=text):
            run.stream("numbers", **options)
    assert (await run.wait()).ok


async def test_a_stream_goes_on_over_a_restart(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()

    @wf.actor
    async def flaky(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        ctx.state.append(len(ctx.state))
        yield ctx.state[-1]
        if len(ctx.state) < 3:
            raise OSError

    async with wf.open(state=[]) as run, run.stream("flaky") as xs:
        assert [x async for x in xs] == [0, 1, 2]


async def test_a_stream_ends_with_a_run_that_fails(autojump_clock: MockClock) -> None:
    wf = numbers(100, every=1)

    @wf.task
    async def bad(ctx: trouper.TaskContext) -> None:
        await trio.sleep(3.5)
        raise OSError

    async with wf.open() as run, run.stream("numbers") as xs:
        assert [x async for x in xs] == [0, 1, 2, 3]
    assert (await run.wait()).status == "failed"


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_stream_asked_for_before_the_end_and_read_after_it(
    is_open: bool, autojump_clock: MockClock
) -> None:
    """It ends; nobody would ever end what is attached to an output that has ended."""
    got: list[int] = []
    async with numbers(3).open() as run:
        xs = run.stream("numbers")
        await run.wait()
        with trio.fail_after(5):
            if is_open:
                async with xs:
                    got = [x async for x in xs]
            else:
                got = [x async for x in xs]
    assert got == []


async def test_a_bare_loop_that_was_left_is_forgotten(autojump_clock: MockClock) -> None:
    """X17: else each would be sent every message until the run ends, and cost its sender time."""
    async with numbers(1000, every=1).open() as run:
        # An actor has an outlet.
        outlet = run._execution.cells["numbers"].child.outlet  # type: ignore[attr-defined]
        for _ in range(5):
            async for _x in run.stream("numbers"):
                break
            gc.collect()
            await trio.sleep(1)
            assert not outlet.lanes
        assert (await run.drain()).ok


async def test_a_bare_loop_may_be_forgotten_after_the_run(autojump_clock: MockClock) -> None:
    async with numbers(3).open() as run:
        xs = run.stream("numbers")
        assert [x async for x in xs] == [0, 1, 2]
    del xs
    gc.collect()
    await wait_all_tasks_blocked()


def test_a_bare_loop_may_be_forgotten_after_the_loop() -> None:
    async def main() -> None:
        async with numbers(3).open() as run:
            kept.append(run.stream("numbers"))
            assert [x async for x in kept[0]] == [0, 1, 2]

    kept: list[Any] = []
    trio.run(main)
    kept.clear()
    gc.collect()
