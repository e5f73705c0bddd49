"""The live handle: entering, leaving, failing, looking."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, fails, relays, sleeps
from harness.faults import deterministic
from harness.ids import assert_edges_closed
from harness.schedules import run_on_mock_clock, schedules


def endless(cleaned: list[str] | None = None) -> trouper.Workflow:
    wf = trouper.Workflow("endless")

    @wf.actor
    async def ticks(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        try:
            async for tick in ctx.every(1):
                yield tick
        finally:
            if cleaned is not None:
                cleaned.append("ticks")

    wf.actor(name="sink", depends_on="ticks")(collects([]))
    return wf


async def test_an_exception_in_the_block_cancels_and_arrives_bare(
    autojump_clock: MockClock,
) -> None:
    """X6: and nothing of the run is left."""
    cleaned: list[str] = []
    error = KeyError("mine")
    run = endless(cleaned).open()
    with pytest.raises(KeyError) as caught:
        async with run:
            await trio.sleep(2.5)
            raise error
    assert caught.value is error
    result = await run.wait()
    assert result.status == "cancelled"
    assert result.reason == "the block that opened it raised KeyError('mine')"
    assert cleaned == ["ticks"]
    assert {node.state for node in result.nodes.values()} == {"cancelled"}
    assert_edges_closed(result)


async def test_a_failed_node_does_not_raise_out_of_the_block(autojump_clock: MockClock) -> None:
    wf = endless()
    error = OSError("bad")
    wf.task(name="bad")(fails(error, after=2))
    async with wf.open() as run:
        result = await run.wait()
    assert (result.status, result.error, result.failed_node) == ("failed", error, "bad")
    assert_edges_closed(result)


async def test_a_cancel_from_outside_goes_through(autojump_clock: MockClock) -> None:
    """X6, X12: and the record of the run is honest."""
    cleaned: list[str] = []
    run = endless(cleaned).open()
    with trio.move_on_after(3.5) as scope:
        async with run:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    result = await run.wait()
    assert result.status == "cancelled"
    assert cleaned == ["ticks"]
    assert_edges_closed(result)
    with trio.move_on_after(2.5) as scope:
        await endless(cleaned).execute()
    assert scope.cancelled_caught
    assert cleaned == ["ticks", "ticks"]


async def test_a_run_that_is_entered_after_its_cancel_ends_in_good_order() -> None:
    wf = trouper.Workflow()
    wf.task(name="t")(sleeps(0))
    run = wf.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with run:
            await trio.lowlevel.checkpoint()
            pytest.fail("the block went on")  # pragma: no cover - it does not
    assert scope.cancelled_caught
    assert run.status().status == "cancelled"


async def test_a_cancel_during_the_drain_goes_through(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.actor(name="stuck")(sleeps(1000))
    run = wf.open()
    with trio.move_on_after(3) as scope:
        async with run:
            await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert (await run.wait()).status == "cancelled"


class Exit(BaseException): ...


async def test_what_is_no_exception_passes_through_every_supervisor(
    autojump_clock: MockClock,
) -> None:
    """P8"""
    wf = endless()

    @wf.actor(restart="permanent")
    async def fatal(ctx: trouper.ActorContext) -> None:
        await trio.sleep(1)
        raise Exit

    run = wf.open()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with run:
            await trio.sleep_forever()
    matching, rest = caught.value.split(Exit)
    assert matching is not None
    assert rest is None
    result = await run.wait()
    assert result.status == "cancelled"
    line = fatal.__code__.co_firstlineno + 3
    assert result.reason == (
        f"broken off by Exit() in 'fatal', at {__file__}:{line} in {fatal.__qualname__}"
    )
    assert result.nodes["fatal"].incarnation == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_what_breaks_a_run_off_is_placed_in_a_task_too(kind: type[BaseException]) -> None:
    """P8: below the body it is the innermost place of the user's, wherever that raised."""
    wf = trouper.Workflow("broken-off")

    def below() -> None:
        raise kind(3)

    async def body() -> None:
        below()

    wf.task(name="ok")(sleeps(0))
    wf.task(name="leaves", depends_on="ok")(body)
    run = wf.open()
    with pytest.raises(BaseExceptionGroup):
        async with run:
            await trio.sleep_forever()
    line = below.__code__.co_firstlineno + 1
    result = await run.wait()
    assert result.reason == (
        f"broken off by {kind.__name__}(3) in 'leaves', at {__file__}:{line} in "
        f"{below.__qualname__}"
    )


async def test_a_cancel_from_outside_has_no_place(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.task(name="slow")(sleeps(10))
    execution = wf.prepare()
    with trio.move_on_after(1):
        await execution.run()
    reason = execution.result().reason
    assert "Cancelled(" in reason
    assert " in 'slow'" not in reason


async def test_a_run_is_entered_once_and_before_it_is_used() -> None:
    wf = trouper.Workflow()
    wf.task(name="t")(sleeps(0))
    run = wf.open()
    text = r"before the run has begun; write `async with wf\.open\(\) as run:`"
    for use in (run.wait, run.drain, lambda: run.send(1)):
        with pytest.raises(RuntimeError, match=text):
            await use()
    async with run:
        with pytest.raises(RuntimeError, match="entered before"):
            await run.__aenter__()
    with pytest.raises(RuntimeError, match=r"call wf\.open\(\) again for another"):
        async with run:
            pass


async def test_a_cancel_after_the_end_changes_nothing() -> None:
    wf = trouper.Workflow()
    wf.task(name="t")(sleeps(0, 1))
    run = wf.open()
    with contextlib.suppress(KeyError):
        async with run:
            await run.wait()
            run.cancel("late")
            raise KeyError
    result = await run.wait()
    assert (result.status, result.reason, result.outputs) == ("completed", "", {"t": 1})


async def test_a_run_has_a_name_of_its_own_or_the_given_one() -> None:
    wf = trouper.Workflow("flow")
    wf.task(name="t")(sleeps(0))
    async with wf.open() as run:
        assert run.name.startswith("flow-")
        assert run.status().run_name == run.name
    context = trouper.RunContext(run_name="mine", project="p")
    result = await wf.execute(run_context=context)
    assert (result.run_name, result.workflow) == ("mine", "flow")


async def test_what_is_no_run_is_refused_with_the_way_out() -> None:
    wf = trouper.Workflow()
    wf.task(name="t")(sleeps(0))
    with pytest.raises(TypeError, match=r"run= takes a run, from experiment\.run\(\), got 'x'"):
        await wf.execute(run="x")


# -- looking -------------------------------------------------------------------------------------


async def test_status_tells_what_goes_on(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(8, every=1))
    wf.actor(name="slow", depends_on="numbers", capacity=2)(relays(seconds=4))
    wf.task(name="last", depends_on="slow")(lambda n: n)
    async with wf.open() as run:
        await trio.sleep(6.5)
        status = run.status()
        assert (status.status, status.workflow, status.dead_letters) == ("running", "workflow", 0)
        assert status.seconds == pytest.approx(6.5)
        states = {name: node.state for name, node in status.nodes.items()}
        assert states == {"numbers": "running", "slow": "running", "last": "waiting"}
        numbers, slow = status.nodes["numbers"], status.nodes["slow"]
        assert (numbers.kind, slow.kind, status.nodes["last"].kind) == ("actor", "actor", "task")
        assert (slow.received, slow.sent) == (2, 1)
        assert slow.depth in (1, 2)
        assert numbers.sent == slow.received + slow.depth
        assert numbers.sent_per_s == pytest.approx(numbers.sent / 6.5)
        assert slow.received_per_s == pytest.approx(2 / 6.5)
        edge = next(edge for edge in status.edges if edge.target == "slow")
        assert (edge.queued, edge.leased, edge.acknowledged) == (slow.depth, 1, 1)
        assert edge.peak == 2
        assert not edge.is_closed
        await trio.sleep(2)
        again = run.status()
        assert again.nodes["slow"].received_per_s == pytest.approx(0.5)
        run.cancel()
    final = run.status()
    assert final.status == "cancelled"
    assert final.seconds == pytest.approx(8.5)
    await trio.sleep(5)
    assert run.status().seconds == pytest.approx(8.5)


async def test_a_wait_that_goes_on_is_counted(autojump_clock: MockClock) -> None:
    """X15: a sender that has been stuck for 60 s reads 60 s, and a starved reader likewise."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(8))

    @wf.actor(depends_on="numbers", capacity=1)
    async def stuck(ctx: trouper.ActorContext) -> None:
        await ctx.receive()
        await trio.sleep_forever()

    wf.actor(name="hungry", depends_on="stuck")(collects([]))
    async with wf.open() as run:
        await trio.sleep(60)
        nodes, edges = run.status().nodes, run.status().edges
        assert nodes["numbers"].blocked == pytest.approx(60)
        assert nodes["hungry"].starved == pytest.approx(60)
        assert nodes["stuck"].starved == pytest.approx(0)
        assert next(e for e in edges if e.target == "stuck").blocked == pytest.approx(60)
        run.cancel()


async def test_rates_are_finite_and_not_negative(autojump_clock: MockClock) -> None:
    """Two looks at one instant, and a reader from outside that leaves."""
    async with endless().open() as run:
        async with run.stream("ticks") as xs:
            async for tick in xs:
                if tick == 3:
                    break
            looks = [run.status(), run.status()]
        await trio.sleep(0.5)
        looks.append(run.status())
        rates = [(node.sent_per_s, node.received_per_s) for s in looks for node in s.nodes.values()]
        assert all(0 <= rate < 100 for pair in rates for rate in pair)


async def test_results_and_dead_letters_can_be_read_meanwhile(autojump_clock: MockClock) -> None:
    """F10"""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(3, every=1))

    @wf.actor(depends_on="numbers", max_attempts=1)
    async def picky(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            ctx.set_result("seen", ctx.get_result("seen", 0) + 1)
            if number == 1:
                raise ValueError(number)

    async with wf.open() as run:
        await trio.sleep(1.5)
        assert run.results == {"seen": 2}
        assert [letter.envelope.payload for letter in run.dead_letters()] == [1]
        assert run.status().dead_letters == 1
        assert run.status().nodes["picky"].incarnation == 2
    assert (await run.wait()).results == {"seen": 3}


async def test_the_result_of_a_handle_is_that_of_execute() -> None:
    def build() -> trouper.Workflow:
        wf = trouper.Workflow("same")
        wf.actor(name="numbers")(counts(20))
        wf.actor(name="relay", depends_on="numbers")(relays())
        wf.task(name="all", depends_on="relay", collect="all")(lambda n: n)
        return wf

    async with build().open() as run:
        opened: Any = await run.wait()
    executed = await build().execute()
    assert opened.outputs == executed.outputs
    ledgers = [
        [(e.source, e.target, e.sent, e.acknowledged) for e in edges if e.source != "@run"]
        for edges in (opened.edges, executed.edges)
    ]
    assert ledgers[0] == ledgers[1] != []


@settings(max_examples=20)
@given(schedule=schedules())
def test_a_cancelled_run_is_never_told_as_completed(schedule: Any) -> None:
    """Also if what it was about to cancel ended by itself, at the drain that follows."""

    async def example() -> None:
        wf = trouper.Workflow("busy")

        @wf.actor
        async def busy(ctx: trouper.ActorContext) -> AsyncIterator[int]:
            while True:
                yield 1

        async with wf.open(harness=deterministic(operations=1_000_000)) as run:
            run.cancel()
        assert (await run.wait()).status == "cancelled"

    run_on_mock_clock(example)
