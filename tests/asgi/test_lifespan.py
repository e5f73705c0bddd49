"""A run that begins and ends with a service: signals, failures, health, and what streams keep."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

import trouper
import trouper.asgi
from trouper.runtime.asgi._hub import KEPT_BYTES, LOT_BYTES


class Task(msgspec.Struct):
    name: str


def busy() -> trouper.Workflow:
    workflow = trouper.Workflow("busy")

    @workflow.actor(backoff=trouper.Backoff(min=5.0, max=5.0), max_attempts=None)
    async def work(ctx: trouper.ActorContext[None, None, Task, str]) -> AsyncIterator[str]:
        async for task in ctx:
            if task.name == "fails":
                raise ValueError("on purpose")
            if task.name == "long":
                await trio.sleep(60)
            if task.name == "short":
                await trio.sleep(3)
            yield task.name

    @workflow.actor
    async def text(ctx: trouper.ActorContext[None, None, int, str]) -> AsyncIterator[str]:
        async for length in ctx:
            yield "x" * length

    return workflow


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What handled SIGTERM before: a server, which would shut down now."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


async def test_a_server_that_never_shuts_down_does_not_hold_up_the_drain(
    autojump_clock: trio.testing.MockClock, heard: list[int]
) -> None:
    """X25: a response whose client does not read holds up the server's shutdown for ever."""
    lifespan = trouper.asgi.lifespan(busy(), drain_budget=10)
    async with lifespan(None):
        await lifespan.run.send(Task("short"), to="work")
        signal.raise_signal(signal.SIGTERM)
        result = await lifespan.run.wait()
        assert result.status == "completed"
        assert trio.current_time() == pytest.approx(3.0)
        assert heard == [signal.SIGTERM]
    assert lifespan.result is not None
    assert lifespan.result.drain is not None
    assert lifespan.result.drain.acknowledged == 1
    assert lifespan.result.drain.budget == pytest.approx(8.0)


async def test_the_budget_counts_from_the_signal(
    autojump_clock: trio.testing.MockClock, heard: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """X25: what is in hand when it is spent is given up, and reported as that."""
    caplog.set_level("INFO", "trouper")
    lifespan = trouper.asgi.lifespan(busy(), drain_budget=10)
    async with lifespan(None):
        await lifespan.run.send(Task("long"), to="work")
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep(1)  # the server ends what it has open
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(9.0)
    assert lifespan.result is not None
    assert lifespan.result.cut_short == ("work",)
    (line,) = [each for each in caplog.records if "drained in" in each.getMessage()]
    assert (line.levelname, line.getMessage()) == (
        "WARNING",  # shown by a service that has not set up its logging
        "busy: drained in 9.0 s of 9 s, cancelled: "
        "0 acknowledged, 0 redelivered, 0 dead-lettered, 1 abandoned; cut short: work",
    )


async def test_a_drain_with_nothing_to_do_is_told_in_words(
    autojump_clock: trio.testing.MockClock, heard: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """No row of zeros, in which one would look for a number."""
    caplog.set_level("INFO", "trouper")
    lifespan = trouper.asgi.lifespan(busy(), drain_budget=10)
    async with lifespan(None):
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
    (line,) = [each.getMessage() for each in caplog.records if "drained in" in each.getMessage()]
    assert line == "busy: drained in 0.0 s of 10 s, completed: no message was under way"


async def test_a_second_signal_cancels(
    autojump_clock: trio.testing.MockClock, heard: list[int]
) -> None:
    """X12: what was in hand is no failure."""
    lifespan = trouper.asgi.lifespan(busy())
    async with lifespan(None):
        await lifespan.run.send(Task("long"), to="work")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        result = await lifespan.run.wait()
        assert (result.status, result.reason) == ("cancelled", "signalled twice")
        assert result.nodes["work"].failed == 0
    assert trio.current_time() == 0.0


async def test_it_is_not_ready_while_a_node_waits_for_its_restart_or_drains(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lifespan = trouper.asgi.lifespan(busy())
    assert lifespan.why_not_ready() == "starting"
    async with lifespan(None):
        await trio.testing.wait_all_tasks_blocked()
        assert lifespan.why_not_ready() == ""
        await lifespan.run.send(Task("fails"), to="work")
        await trio.sleep(1)  # the first restart is at once, the next one waits
        assert lifespan.why_not_ready() == "restarting: work"
        lifespan.run.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lifespan.run.wait)
        assert lifespan.why_not_ready() == "cancelled"
    assert lifespan.why_not_ready() == "draining"


@pytest.mark.parametrize("on_failure", ["not_ready", "exit"])
async def test_a_workflow_that_fails_in_the_middle(
    on_failure: Any, heard: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Not ready from then on; with "exit" the process gets what a server shuts down by."""
    workflow = trouper.Workflow("fragile")

    @workflow.actor(max_restarts=0)
    async def fragile(ctx: trouper.ActorContext[None, None, Task, None]) -> None:
        async for task in ctx:
            raise ValueError(task.name) from KeyError("the cause")

    lifespan = trouper.asgi.lifespan(workflow, on_failure=on_failure)
    async with lifespan(None):
        await lifespan.run.send(Task("bad"), to="fragile")
        await lifespan.run.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert lifespan.why_not_ready() == ("failed" if on_failure == "not_ready" else "draining")
        assert await lifespan.hub("fragile") is None
    assert heard == ([signal.SIGTERM] if on_failure == "exit" else [])
    assert lifespan.result is not None
    assert isinstance(lifespan.result.error, ValueError)
    assert isinstance(lifespan.result.error.__cause__, KeyError)
    assert any("fragile failed" in each.getMessage() for each in caplog.records)


async def test_a_workflow_that_can_not_start_is_logged_as_loud_as_can_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not every server ends with an error then."""
    workflow = busy()
    workflow.task(name="lost", depends_on=["nobody"])(print)
    with pytest.raises(trouper.GraphError):
        async with trouper.asgi.lifespan(workflow)(None):
            raise AssertionError("it has started")
    (record,) = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert "workflow busy can't start: 'lost' depends on 'nobody'" in record.getMessage()


async def test_a_lifespan_serves_one_app_at_a_time() -> None:
    lifespan = trouper.asgi.lifespan(busy())
    for _ in range(2):
        async with lifespan(None):
            with pytest.raises(RuntimeError, match="make one for each app"):
                async with lifespan(None):
                    raise AssertionError("it was opened twice")
            assert not lifespan.run.has_ended
        assert lifespan.run.has_ended


@pytest.mark.parametrize(
    "runs", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"]
)
def test_a_block_that_raises_gets_its_exception_itself(
    runs: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """In no group; and what was accepted is handled."""
    lifespan = trouper.asgi.lifespan(busy())
    error = KeyError("of the app")

    async def main() -> None:
        async with lifespan(None):
            await lifespan.run.send(Task("any"), to="work")
            raise error

    with pytest.raises(KeyError) as caught:
        runs(main())
    assert caught.value is error
    assert lifespan.result is not None
    (edge,) = [each for each in lifespan.result.edges if each.target == "work"]
    assert (edge.sent, edge.acknowledged) == (1, 1)


async def test_a_stream_that_fails_takes_no_service_along(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The defect is logged, and its clients' streams end."""
    lifespan = trouper.asgi.lifespan(busy())
    async with lifespan(None):
        with monkeypatch.context() as patch:
            patch.setattr(lifespan.run, "stream", lambda _: object())
            hub = await lifespan.hub("text")
        assert hub is not None
        assert [lot async for lot in hub.events(None)] == []
        assert lifespan.why_not_ready() == ""
    assert "busy: the event stream of 'text' has ended" in caplog.text


async def test_a_fork_of_the_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lifespan = trouper.asgi.lifespan(busy())
    async with lifespan(None):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(RuntimeError, match="start the app in each worker"):
                _ = lifespan.run


async def test_a_stream_keeps_so_many_bytes() -> None:
    """Bounded memory, however long the events are."""
    lifespan = trouper.asgi.lifespan(busy())
    async with lifespan(None):
        hub = await lifespan.hub("text")
        assert hub is not None
        for length in (10, KEPT_BYTES // 2, KEPT_BYTES // 2, KEPT_BYTES + 1):
            await lifespan.run.send(length, to="text")
        await lifespan.run.drain()
        await trio.testing.wait_all_tasks_blocked()  # it has read all of it
        # The newest is kept however long it is; it has pushed out all others.
        missed, kept = [lot async for lot in hub.events(f"{hub.epoch}-0")]
        assert missed == b"event: missed\ndata: 3\n\n"
        assert len(kept) > KEPT_BYTES


async def test_a_lot_has_so_many_bytes() -> None:
    """Bounded memory for each client: one that does not read holds one lot."""
    lifespan = trouper.asgi.lifespan(busy())
    async with lifespan(None):
        hub = await lifespan.hub("text")
        assert hub is not None
        for length in (10, 20, LOT_BYTES, LOT_BYTES // 2, 30):
            await lifespan.run.send(length, to="text")
        await lifespan.run.drain()
        await trio.testing.wait_all_tasks_blocked()
        lots = [lot.count(b"id: ") async for lot in hub.events(f"{hub.epoch}-0")]
    assert lots == [2, 1, 2]
