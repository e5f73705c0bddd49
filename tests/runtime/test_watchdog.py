"""A task that blocks the loop is named, with its line."""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper.runtime import _watchdog
from trouper.runtime._once_in_a_while import OnceInAWhile
from trouper.runtime._user_line import node_name, running_task, user_line
from trouper.runtime._watchdog import watch_loop
from trouper.runtime.logs._of_run import logging_of, logs_of

LIMIT = 0.05
"""Seconds. A busy machine makes a loop stall as long: what it says of that is left out."""
QUICK = trouper.Harness(watchdog=LIMIT)


@pytest.fixture(autouse=True)
def stalls_are_not_told() -> None:
    """Here they are: the fixture of this name, which silences the watchdog, is replaced."""


class Said(logging.Handler):
    """Hears what is logged: waiting for that in the loop's own thread blocks the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.warned = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if "has blocked" in self.lines[-1]:
            self.warned.set()
        else:
            self.warned.clear()


@pytest.fixture
def said() -> Iterator[Said]:
    handler = Said()
    logging.getLogger("trouper").addHandler(handler)
    yield handler
    logging.getLogger("trouper").removeHandler(handler)


def the_line() -> str:
    with open(__file__, encoding="utf-8") as file:
        [number] = [n for n, line in enumerate(file, 1) if line.rstrip().endswith("# THE LINE")]
    return f"{__file__}:{number} in "


async def test_names_node_and_line_once_and_says_when_it_is_over(
    caplog: pytest.LogCaptureFixture, said: Said
) -> None:
    wf = trouper.Workflow("blocking")
    place = the_line()

    @wf.actor
    async def rude(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        while not any(place in line for line in said.lines):
            await trio.sleep(LIMIT)  # a stall before may have been warned of: let that end
            said.warned.wait(0.5)  # THE LINE
            time.sleep(4 * LIMIT)  # noqa: ASYNC251  # a second warning would have time to come

    assert (await wf.execute(harness=QUICK)).ok
    [number] = [number for number, line in enumerate(said.lines) if place in line]
    first, second = said.lines[number : number + 2]
    assert first.startswith("'rude' has blocked the event loop for ")
    assert "trio.to_thread.run_sync" in first
    assert re.fullmatch(r"the event loop is free again after \d+\.\d s", second)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_a_task_that_is_no_nodes_is_told_too(said: Said) -> None:
    with watch_loop(LIMIT):
        said.warned.wait(200)
    assert said.lines[0].startswith("a task has blocked the event loop for")


@pytest.mark.parametrize("limit", [None, 1e6])
async def test_silent_when_switched_off_or_free(
    caplog: pytest.LogCaptureFixture, limit: float | None
) -> None:
    wf = trouper.Workflow("blocking")

    @wf.actor
    async def rude(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        time.sleep(4 * LIMIT)  # noqa: ASYNC251  # to block is what is tested
        await ctx.send(1)

    await wf.execute(harness=trouper.Harness(watchdog=limit))
    assert not caplog.messages


async def test_keeps_beating(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again after each answer, and after each warning."""
    monkeypatch.setattr(_watchdog, "QUIET", 0.0)
    with watch_loop(LIMIT):
        for _ in range(3):
            assert said.warned.wait(200)
            while said.warned.is_set():  # noqa: ASYNC110  # another thread sets it
                await trio.sleep(LIMIT)
    kinds = ["free" if "free again" in line else "blocked" for line in said.lines]
    assert kinds == ["blocked", "free"] * (len(kinds) // 2)


async def test_a_node_that_blocks_again_and_again_is_told_once_in_a_while(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a count of the stalls that were left out; those at the end are counted then."""
    seen = threading.Event()
    asked: list[OnceInAWhile] = []

    class Spy(OnceInAWhile):
        def earlier(self, kind: str, now: float) -> int | None:
            if "spying_stall" not in kind:
                return None  # a busy machine's
            asked.append(self)
            found = super().earlier(kind, now)
            seen.set()
            return found

    def spying_stall() -> None:
        seen.clear()
        seen.wait(200)

    monkeypatch.setattr(_watchdog, "OnceInAWhile", Spy)
    with watch_loop(LIMIT):
        for period in (1e9, 1e9, 1e9, 0.0, 1e9):
            if asked:
                asked[0].period = period
            spying_stall()
            await trio.sleep(LIMIT)
    told = [line for line in said.lines if "spying_stall" in line]
    assert ["(and 2 times more since this was told last)" in line for line in told[:2]] == [
        False,
        True,
    ]
    assert told[2].startswith(
        "the event loop was blocked 1 time more, which was not told each time: mostly by a task at"
    )
    assert len(told) == 3


def test_each_kind_is_told_once_in_a_period() -> None:
    while_ = OnceInAWhile(10)
    told = [while_.earlier(kind, now) for kind, now in (("a", 0), ("b", 1), ("a", 9.9), ("a", 9.9))]
    assert told == [0, 0, None, None]
    assert while_.left_out() == {"a": 2}
    assert while_.earlier("a", 10) == 2
    assert while_.left_out() == {}
    assert [while_.earlier("a", 30), while_.earlier("a", 30.1)] == [0, None]
    assert while_.left_out() == {"a": 1}


async def test_a_stall_is_told_once_however_many_runs_the_loop_has(said: Said) -> None:
    """By one thread for all; as a record of the run that blocks the loop, and of no other."""
    contexts = [trouper.RunContext(run_name=name) for name in ("first", "rude", "last")]
    begun: list[trio.Event] = [trio.Event() for _ in contexts]
    over = trio.Event()
    place = "in stall"

    async def run(number: int) -> None:
        wf = trouper.Workflow("watched")

        @wf.actor
        async def waits(ctx: trouper.ActorContext[None, None, None, int]) -> None:
            begun[number].set()
            await over.wait()

        @wf.actor
        async def rude(ctx: trouper.ActorContext[None, None, None, int]) -> None:
            for each in begun:
                await each.wait()
            if number == 1:
                assert [each.name for each in threading.enumerate()].count("trouper watchdog") == 1
                while not any(place in line for line in said.lines):
                    await trio.sleep(LIMIT)
                    stall(said)
                over.set()

        context = contexts[number]
        with logging_of(context):
            assert (await wf.execute(run_context=context, harness=QUICK)).ok

    async with trio.open_nursery() as nursery:
        for number in range(len(contexts)):
            nursery.start_soon(run, number)
    assert len([line for line in said.lines if place in line]) == 1
    kept = [[line for line in logs_of(each).lines() if place in line.message] for each in contexts]
    assert [[line.actor for line in lines] for lines in kept] == [[], ["rude"], []]


def stall(said: Said) -> None:
    said.warned.wait(0.5)


async def test_a_run_that_ends_leaves_the_watch_to_the_others(said: Said) -> None:
    """And the smallest limit of those that are there holds."""
    with watch_loop(1e6):
        with watch_loop(LIMIT):
            said.warned.wait(200)
        before = len(said.lines)
        time.sleep(4 * LIMIT)  # noqa: ASYNC251  # to block is what is tested
        assert watching()
    # The stall before may have ended only now.
    assert "has blocked" not in "".join(said.lines[before:])
    with watch_loop(LIMIT):
        said.warned.clear()
        said.warned.wait(200)
    assert "has blocked" in said.lines[-2]


async def test_nothing_on_a_mock_clock(autojump_clock: MockClock) -> None:
    before = threading.active_count()
    with watch_loop(0.01):
        assert threading.active_count() == before


def watching() -> bool:
    return "trouper watchdog" in [thread.name for thread in threading.enumerate()]


async def test_its_thread_goes_with_the_run() -> None:
    """Case X6. Nobody waits for it: it is one of trio's, which are kept for the next one."""
    for limit in (0.01, 1e3):
        with watch_loop(limit):
            with trio.fail_after(60):
                while not watching():  # noqa: ASYNC110  # a thread sets it
                    await trio.sleep(0.001)
        with trio.fail_after(60):
            while watching():  # noqa: ASYNC110  # a thread sets it
                await trio.sleep(0.001)


async def test_says_nothing_any_more_of_a_run_that_has_ended(said: Said) -> None:
    with watch_loop(LIMIT):
        pass
    time.sleep(4 * LIMIT)  # noqa: ASYNC251  # to block is what is tested
    assert not said.lines


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


async def test_the_task_that_runs_is_found_in_the_frames_of_its_thread() -> None:
    assert running_task(sys._getframe()) is trio.lowlevel.current_task()
    others: list[trio.lowlevel.Task | None] = []
    await trio.to_thread.run_sync(lambda: others.append(running_task(sys._getframe())))
    assert others == [None]


def test_only_a_child_has_a_node_name() -> None:
    def incarnate(self: object) -> str | None:
        return node_name(sys._getframe())

    assert incarnate(object()) is None
