"""An actor that never reads is named, and one that only returns does not spin for ever."""

import logging
import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trouper import ActorContext, Workflow
from trouper.actors._restart import RestartedInVain
from trouper.runtime import _watchdog
from trouper.runtime._unread import UnreadInput


def graph(reader: str) -> Workflow:
    wf = Workflow("unread")

    @wf.actor(name="numbers")
    async def numbers(ctx: ActorContext[None, None, None, int]) -> None:
        for n in range(1000):
            await ctx.send(n)

    @wf.actor(name="idle", depends_on="numbers")
    async def idle(ctx: ActorContext[None, None, int]) -> None:
        if reader == "sleeps":
            await trio.sleep(math.inf)
        if reader == "reads":
            await ctx.receive()

    return wf


def said(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if part in record.getMessage()]


@pytest.mark.parametrize("reader", ["returns", "reads"])
async def test_an_actor_that_ends_unread_is_named(
    reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = await graph(reader).execute()
    assert result.status == "completed"
    lines = said(caplog, "without reading")
    assert len(lines) == (reader == "returns")
    assert all("'idle'" in line and "'numbers'" in line for line in lines)


async def test_a_sender_that_waits_for_an_actor_that_never_asks_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bad input: an actor that never reads gets one clear message, and loses nothing."""
    async with graph("sleeps").open() as run:
        unread = UnreadInput(run._execution.cells.values())
        await wait_all_tasks_blocked()
        unread.look()
        assert said(caplog, "has never asked") == []
        for _ in range(3):
            unread.look()
        (line,) = said(caplog, "has never asked")
        assert line.startswith("'numbers' waits for room in front of 'idle'")
        (edge,) = [edge for edge in run.status().edges if edge.target == "idle"]
        assert edge.queued == edge.sent == 64
        run.cancel()


async def test_the_watchdog_looks_at_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watchdog, "LOOK", 0.0)
    monkeypatch.setattr(_watchdog, "BEAT", 0.01)
    looked = trio.Event()
    with _watchdog.watch_loop(1.0, looked.set):
        await looked.wait()


async def test_a_permanent_actor_that_takes_nothing_is_given_up(autojump_clock: MockClock) -> None:
    """S1, S2: a restart after a normal end counts, unless the child has got on with its input."""
    wf = Workflow("vain")
    begun: list[float] = []

    @wf.actor
    async def source(ctx: ActorContext[None, None, None, int]) -> None:
        await ctx.send(1)
        await trio.sleep(math.inf)

    @wf.actor(depends_on="source", restart="permanent", max_restarts=3, period=60)
    async def vain(ctx: ActorContext[None, None, int]) -> None:
        begun.append(trio.current_time())

    with caplog_off():
        result = await wf.execute()
    assert result.status == "failed"
    assert isinstance(result.error, RestartedInVain)
    assert "'vain' returned without taking a message" in str(result.error)
    assert len(begun) == 4


class caplog_off:
    """The failure is expected: keep it out of the test's output."""

    def __enter__(self) -> None:
        logging.getLogger("trouper").setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("trouper").setLevel(logging.NOTSET)


async def test_a_stream_from_outside_can_not_fail_the_node() -> None:
    async with graph("sleeps").open() as run:
        with pytest.raises(ValueError, match="can't be 'fail': a slow reader outside"):
            run.stream("numbers", overflow="fail")
        run.cancel()
