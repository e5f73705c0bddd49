"""A cancel crosses into asyncio, and both sides wait for the other's clean-up."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import trio

import trouper
from harness.hosts import HOSTS, Host, run_in, side_by_side, until
from trouper.runtime.host import _asyncio_side

pytestmark = pytest.mark.parametrize("host", HOSTS)


class Seen(list[str]):
    """What has happened there, in order."""

    async def waits(self, _: object) -> None:
        """Wait for ever; clean up in two steps."""
        self.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            self.append("cleaned up")


def test_a_cancelled_run_waits_for_the_clean_up(host: Host) -> None:
    """X12: the message is given back, and that is no failed attempt. X6: nothing is left."""
    seen = Seen()
    workflow = trouper.Workflow("waiting")
    workflow.add(trouper.asyncio_bridge(seen.waits))

    async def use(run: Any) -> None:
        before = None if host == "trio" else asyncio.all_tasks()
        await run.send(1, to="waits")
        await until(lambda: seen)
        run.cancel("enough")
        await run.wait()
        assert seen == ["begun", "cancelled", "cleaned up"]
        assert before is None or asyncio.all_tasks() == before

    result = run_in(host, workflow, use)
    assert result.reason == "enough"
    assert result.nodes["waits"].failed == 0
    (edge,) = result.edges
    assert (edge.acknowledged, edge.sent) == (0, 1)
    (letter,) = result.dead_letters
    assert (letter.reason, letter.attempts) == ("stopped", ())


def restarting_together(workflow: trouper.Workflow, *bridges: Any) -> None:
    """Add bridges to a group whose members are all restarted when a message comes to `failing`."""
    group = workflow.group("together", strategy="one_for_all")
    for bridge in bridges:
        group.add(bridge)

    @group.actor(max_attempts=1)
    async def failing(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            raise ValueError("fails")


def test_a_restarted_actor_gets_its_message_again(host: Host) -> None:
    """X12: another member of its group has failed, not this one."""
    seen = Seen()
    workflow = trouper.Workflow("together")
    restarting_together(workflow, trouper.asyncio_bridge(seen.waits))

    async def use(run: Any) -> None:
        await run.send(1, to="waits")
        await until(lambda: seen == ["begun"])
        await run.send(1, to="failing")
        await until(lambda: seen[3:] == ["begun"])
        run.cancel("enough")

    result = run_in(host, workflow, use)
    assert seen == ["begun", "cancelled", "cleaned up"] * 2
    assert (result.nodes["waits"].redelivered, result.nodes["waits"].failed) == (1, 0)


def test_a_timeout_crosses(host: Host) -> None:
    """A handler that takes too long is cancelled there, and its attempt has failed."""
    seen = Seen()
    workflow = trouper.Workflow("slow")
    workflow.add(trouper.asyncio_bridge(seen.waits), timeout=0.1, max_attempts=1)

    async def use(run: Any) -> None:
        with pytest.raises(trouper.AskFailed, match="HandlerTimeout"):
            await run.ask(1, to="waits")

    run_in(host, workflow, use)
    # On a slow machine the time may be up before it has begun there; then it never does.
    assert seen in ([], ["begun", "cancelled", "cleaned up"])


def test_a_cancelled_call_in_a_body_waits_for_its_clean_up(host: Host) -> None:
    seen = Seen()
    workflow = trouper.Workflow("scoped")

    @workflow.actor
    async def body(ctx: trouper.ActorContext[None, None, None, None]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trouper.asyncio_bridge(seen.waits), None)
                await until(lambda: seen)
                scope.cancel()
        seen.append("left")
        # It is not begun in what is cancelled already.
        with trio.CancelScope() as scope:
            scope.cancel()
            await trouper.asyncio_bridge(seen.waits)(None)

    assert run_in(host, workflow).status == "completed"
    assert seen == ["begun", "cancelled", "cleaned up", "left"]


def test_a_clean_up_that_fails_is_told(host: Host) -> None:
    """The failure of the clean-up is the actor's; the cancel itself was none."""

    async def careless(_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError("in the clean-up")

    begun = threading.Event()
    workflow = trouper.Workflow("careless")
    workflow.add(trouper.asyncio_bridge(careless))

    async def use(run: Any) -> None:
        await run.send(1, to="careless")
        await until(begun.is_set)
        run.cancel("enough")

    result = run_in(host, workflow, use)
    assert "in the clean-up" in str(result.nodes["careless"].failures)


@pytest.mark.parametrize("again", [1, 3])
def test_what_swallows_its_cancel_is_cancelled_again_then_abandoned_and_named(
    host: Host, again: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once swallowed it ends late; thrice, the run ends without it, and the log says so."""
    monkeypatch.setattr(_asyncio_side, "LAST", 60 if again == 1 else 0.01)
    begun, free = threading.Event(), threading.Event()
    swallowed: list[int] = []

    async def deaf(_: object) -> None:
        begun.set()
        while len(swallowed) < again and not free.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                swallowed.append(1)

    workflow = trouper.Workflow("deaf")
    workflow.add(trouper.asyncio_bridge(deaf, shutdown=0.01))

    async def use(run: Any) -> None:
        await run.send(1, to="deaf")
        await until(begun.is_set)
        run.cancel("enough")
        await run.wait()
        free.set()

    with caplog.at_level(logging.WARNING, logger="trouper"):
        result = run_in(host, workflow, use)
    assert result.status == "cancelled"
    assert ("deaf ignored its cancel in asyncio for 0.01 s" in caplog.text) == (again == 3)


def test_a_drain_waits_for_calls_under_way_then_gives_the_rest_back(host: Host) -> None:
    """X25: what is done within the budget is acknowledged during the shutdown; the rest is not."""
    begun, free = threading.Event(), threading.Event()
    written: list[int] = []
    seen = Seen()

    async def write(number: int) -> None:
        begun.set()
        await until(free.is_set)
        written.append(number)
        if number == 3:
            await seen.waits(number)

    workflow = trouper.Workflow("draining")
    workflow.add(trouper.asyncio_bridge(write))

    async def use(run: Any) -> None:
        for number in (1, 2, 3, 4):
            await run.send(number, to="write")
        await until(begun.is_set)

        async def cut() -> None:
            await until(lambda: run.status().status == "draining")
            free.set()
            await until(lambda: seen)
            run.cancel("the time is up")

        await side_by_side(partial(run.drain, 60), cut)

    result = run_in(host, workflow, use)
    assert written == [1, 2, 3]
    assert seen == ["begun", "cancelled", "cleaned up"]
    (edge,) = result.edges
    assert (edge.sent, edge.acknowledged) == (4, 2)
    assert result.nodes["write"].failed == 0
    assert all(letter.attempts == () for letter in result.dead_letters)


# -- sources ---------------------------------------------------------------------------------


def test_a_drain_ends_a_source_where_it_waits(host: Host) -> None:
    """X25: what it has yielded is handled to the last one; it was not cut short."""
    seen = Seen()
    made: list[int] = []

    async def consume() -> AsyncIterator[int]:
        try:
            for number in range(100):
                made.append(number)
                yield number
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    got: list[int] = []

    async def write(number: int) -> None:
        got.append(number)

    workflow = trouper.Workflow("draining")
    source = workflow.add(trouper.asyncio_bridge(consume))
    workflow.add(trouper.asyncio_bridge(write), depends_on=[source], capacity=1)

    async def use(run: Any) -> None:
        await until(lambda: got)  # some are still under way

    result = run_in(host, workflow, use)
    assert (result.status, result.cut_short, seen) == ("completed", (), ["closed"])
    assert got == made
    (edge,) = [each for each in result.edges if each.target == "write"]
    assert edge.sent == edge.acknowledged == len(made)


def test_a_source_that_yields_on_when_it_is_to_end_ends_at_that_yield(host: Host) -> None:
    """The message of that yield is accepted, as from any source that is drained."""

    async def stubborn() -> AsyncIterator[str]:
        while True:
            try:
                yield "first"
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield "last"
                raise AssertionError("it went on") from None

    got: list[str] = []
    workflow = trouper.Workflow("stubborn")
    source = workflow.add(trouper.asyncio_bridge(stubborn))

    @workflow.actor(depends_on=[source])
    async def collect(ctx: trouper.ActorContext[None, None, str, None]) -> None:
        async for each in ctx:
            got.append(each)  # noqa: PERF401  # seen while it goes on

    async def use(run: Any) -> None:
        await until(lambda: got)

    result = run_in(host, workflow, use)
    assert (result.status, got) == ("completed", ["first", "last"])


def test_a_source_that_is_not_read_any_more_is_closed(host: Host) -> None:
    seen = Seen()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    workflow = trouper.Workflow("unread")
    source = workflow.add(trouper.asyncio_bridge(endless))

    @workflow.actor(depends_on=[source])
    async def one(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        await ctx.receive()

    assert run_in(host, workflow).status == "completed"
    assert seen == ["closed"]


def test_a_source_that_fails_in_its_clean_up_fails_the_actor(host: Host) -> None:
    """What it had yielded is handled first."""

    starts: list[int] = []

    async def careless() -> AsyncIterator[int]:
        starts.append(1)
        try:
            while True:
                yield 1
        finally:
            if len(starts) == 1:
                raise ZeroDivisionError("in the clean-up")

    workflow = trouper.Workflow("careless")
    source = workflow.add(trouper.asyncio_bridge(careless))
    got: list[int] = []

    @workflow.actor(depends_on=[source])
    async def collect(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for each in ctx:
            got.append(each)  # noqa: PERF401  # seen while it goes on

    async def use(run: Any) -> None:
        await until(lambda: got)

    result = run_in(host, workflow, use)
    assert result.status == "completed"
    assert "in the clean-up" in str(result.nodes["careless"].failures)
    assert len(got) == result.edges[-1].sent


def test_a_source_that_is_restarted_sends_first_what_it_had_yielded(host: Host) -> None:
    """What a cancel keeps from being sent is not lost: the next incarnation begins with it."""
    starts: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        starts.append(1)
        for number in range(10):
            yield len(starts) * 100 + number
        made.set()
        await asyncio.Event().wait()

    made, free = threading.Event(), threading.Event()
    got: list[int] = []
    workflow = trouper.Workflow("together")
    source = trouper.asyncio_bridge(numbers)
    restarting_together(workflow, source)

    @workflow.actor(depends_on=[source], capacity=1)
    async def collect(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for each in ctx:
            got.append(each)
            await until(free.is_set)

    async def use(run: Any) -> None:
        await until(lambda: made.is_set() and got)
        await run.send(1, to="failing")
        await until(lambda: len(starts) == 2)
        free.set()
        await until(lambda: len(got) == 20)

    result = run_in(host, workflow, use)
    assert result.status == "completed"
    assert got == [*range(100, 110), *range(200, 210)]


def test_what_a_cancelled_source_has_not_sent_is_told(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    made = threading.Event()

    async def numbers() -> AsyncIterator[int]:
        for number in range(10):
            yield number
        made.set()

    workflow = trouper.Workflow("cut")
    source = workflow.add(trouper.asyncio_bridge(numbers))

    @workflow.actor(depends_on=[source], capacity=1)
    async def stuck(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        await ctx.receive()
        await trio.sleep_forever()

    async def use(run: Any) -> None:
        await until(lambda: made.is_set() and run.status().edges[-1].leased)
        run.cancel("enough")

    with caplog.at_level(logging.WARNING, logger="trouper"):
        result = run_in(host, workflow, use)
    left = 10 - result.edges[-1].sent
    assert left
    assert f"{left} messages that 'numbers' had yielded in asyncio were not sent" in caplog.text
