"""A task that blocks the loop is named, with its line."""

import json
import logging
import sys
import threading
import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.runtime._user_line import node_name, user_line
from trouper.runtime._watchdog import watch_loop

QUICK = trouper.Harness(watchdog=0.05)


def blocking(seconds: float) -> trouper.Workflow:
    wf = trouper.Workflow("blocking")

    @wf.actor
    async def rude(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # THE LINE
        await ctx.send(1)

    return wf


def the_line() -> str:
    with open(__file__, encoding="utf-8") as file:
        [number] = [n for n, line in enumerate(file, 1) if line.rstrip().endswith("# THE LINE")]
    return f"{__file__}:{number} in "


async def test_names_node_and_line_once_and_says_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = await blocking(0.3).execute(harness=QUICK)
    assert result.ok
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("'rude' has blocked the event loop for 0.")
    assert the_line() in first
    assert "trio.to_thread.run_sync" in first
    assert second.startswith("the event loop is free again after 0.")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_a_task_that_is_no_nodes_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    with watch_loop(0.05):
        time.sleep(0.2)  # noqa: ASYNC251
    assert caplog.messages[0].startswith("a task has blocked the event loop for")


@pytest.mark.parametrize("limit", [None, 5.0])
async def test_silent_when_switched_off_or_free(
    caplog: pytest.LogCaptureFixture, limit: float | None
) -> None:
    await blocking(0.2).execute(harness=trouper.Harness(watchdog=limit))
    assert not caplog.messages


async def test_keeps_beating(caplog: pytest.LogCaptureFixture) -> None:
    with watch_loop(0.1):
        await trio.sleep(0.7)
        time.sleep(0.9)  # noqa: ASYNC251
        await trio.sleep(0.05)
    assert [message.split()[-1] for message in caplog.messages][1:] == ["s"]


async def test_nothing_on_a_mock_clock(autojump_clock: MockClock) -> None:
    before = threading.active_count()
    with watch_loop(0.01):
        assert threading.active_count() == before


async def test_its_thread_ends_with_the_run() -> None:
    """Case X6."""
    for limit in (0.01, 10.0):
        with watch_loop(limit):
            assert "trouper watchdog" in [thread.name for thread in threading.enumerate()]
        assert "trouper watchdog" not in [thread.name for thread in threading.enumerate()]


async def test_starting_it_costs_next_to_nothing() -> None:
    took: list[float] = []
    for _ in range(50):
        began = time.perf_counter()
        with watch_loop(1.0):
            took.append(time.perf_counter() - began)
    assert min(took) < 0.5e-3  # 0.08 ms on an idle machine


def test_the_users_own_line_is_preferred_to_the_library_it_called() -> None:
    places: list[str] = []

    class Encoder(json.JSONEncoder):
        def default(self, o: object) -> str:
            outer = sys._getframe().f_back
            assert outer is not None
            places.append(user_line(outer))
            return ""

    json.dumps([object()], cls=Encoder, indent=1)
    [place] = places
    assert place.startswith(f"{__file__}:")
    assert "test_the_users_own_line" in place
    assert "(in " in place
    assert "encoder.py:" in place


def test_without_any_users_line_the_innermost_is_told() -> None:
    """Whoever called `trio.run` is not to blame."""
    places: list[str] = []
    ours: dict[str, Any] = {"__name__": "trouper.x", "sys": sys}
    ours["tell"] = lambda frame: places.append(user_line(frame))
    exec(compile("def look(): tell(sys._getframe())", "<ours>", "exec"), ours)
    trios: dict[str, Any] = {"__name__": "trio._core._run", "look": ours["look"]}
    exec(compile("def unrolled_run(): look()", "<trio>", "exec"), trios)
    trios["unrolled_run"]()
    assert places == ["<ours>:1 in look"]


def test_only_a_child_has_a_node_name() -> None:
    def incarnate(self: object) -> str | None:
        return node_name(sys._getframe())

    assert incarnate(object()) is None
