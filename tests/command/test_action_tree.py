"""The tree of actions: what is shown where there is room for all, for some, and on a terminal."""

import io
import signal
import time
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.command import PATIENCE, on_terminal, read_until, started, write
from trouper.runtime.command._action_tree import (
    plain_line,
    tally,
    tree_lines,
    whole_at_a_glance,
)
from trouper.runtime.command._task_picture import LiveTaskView, draw_actions
from trouper.runtime.command._task_views import PlainTaskView, status_line
from trouper.runtime.tasks._action import Action, ActionReport, Phase, report
from trouper.runtime.tasks._calls import Calls
from trouper.runtime.tasks._glance import glance

PHASES: tuple[Phase, ...] = ("waiting", "running", "completed", "failed", "cancelled")


def action(
    name: str, phase: Phase = "completed", *children: ActionReport, attempts: int = 1
) -> ActionReport:
    return ActionReport(
        name=name,
        task=name.rpartition("/")[2],
        phase=phase,
        attempts=attempts,
        started=0.0 if phase == "waiting" else 100.0,
        ended=0.0 if phase in ("waiting", "running") else 101.5,
        children=children,
    )


def texts(root: ActionReport, most: int) -> list[str]:
    return [plain_line(each) for each in tree_lines(root, most=most, now=103.0)]


def wide(completed: int, *others: ActionReport) -> ActionReport:
    calls = [action(f"root/a-{number}") for number in range(1, completed + 1)]
    return action("root", "running", *calls, *others)


def test_all_is_shown_where_there_is_room() -> None:
    deep = action("root/b-1", "running", action("root/b-1/c-1", "waiting"))
    assert texts(wide(1, deep), 10) == [
        "  root  running  3.0 s",
        "    a-1  completed  1.5 s",
        "    b-1  running  3.0 s",
        "      c-1  waiting",
    ]


def test_what_was_cached_and_what_waits_for_a_place_says_so() -> None:
    found = msgspec.structs.replace(action("root/a-1"), is_cached=True)
    queued = msgspec.structs.replace(action("root/b-1", "waiting"), queue="gpu")
    works = msgspec.structs.replace(action("root/b-2", "running"), queue="gpu")
    assert texts(action("root", "running", found, queued, works), 10) == [
        "  root  running  3.0 s",
        "    a-1  completed  1.5 s, cached",
        "    b-1  waiting  for a place in gpu",
        "    b-2  running  3.0 s",
    ]


def test_what_goes_on_or_failed_is_shown_first() -> None:
    more = (action("root/b-1", "running"), action("root/c-1", "completed", attempts=2))
    assert texts(wide(100, *more), 8) == [
        "  root  running  3.0 s",
        "    97 calls completed",
        "    a-98  completed  1.5 s",
        "    a-99  completed  1.5 s",
        "    a-100  completed  1.5 s",
        "    b-1  running  3.0 s",
        "    c-1  completed  1.5 s, 2 attempts",
    ]
    assert texts(wide(100, *more), 4) == [
        "  root  running  3.0 s",
        "    100 calls completed",
        "    b-1  running  3.0 s",
        "    c-1  completed  1.5 s, 2 attempts",
    ]
    assert texts(wide(100, *more), 2) == ["  root  running  3.0 s", "  and more"]


@given(st.data(), st.integers(1, 30))
def test_there_are_never_more_lines_than_room(data: st.DataObject, most: int) -> None:
    def grow(name: str, level: int) -> ActionReport:
        below = data.draw(st.integers(0, 5 if level < 3 else 0))
        calls = [grow(f"{name}/t-{number}", level + 1) for number in range(below)]
        return action(name, data.draw(st.sampled_from(PHASES)), *calls)

    root = grow("root", 0)
    lines = tree_lines(root, most=most)
    assert 1 <= len(lines) <= most
    assert lines[0].name == ("root" if most > 1 or len(root.walk()) == 1 else "and more")
    if len(root.walk()) <= most:
        assert len(lines) == len(root.walk())


def test_a_deep_tree_costs_no_stack() -> None:
    root = action("leaf")
    for _ in range(3_000):
        root = action("root", "completed", root)
    assert len(tree_lines(root, most=5_000)) == 3_001
    assert tally(whole_at_a_glance(root)).counts == {"completed": 3_001}


def test_names_from_outside_are_harmless() -> None:
    root = action("root\x1b[2J", "running")
    assert texts(root, 3) == [r"  root\x1b[2J  running  3.0 s"]


def called(name: str, parent: Action | None, phase: Phase = "completed") -> Action:
    made = Action(name, "t", Calls() if parent is None else parent.calls, parent, None)
    made.calls.add(made)
    made.phase, made.attempts = phase, 1
    return made


def test_a_glance_counts_all_and_gives_some() -> None:
    root = called("root", None, "running")
    for number in range(100):
        call = called(f"root/a-{number}", root)
        called(f"root/a-{number}/x-1", call)
    busy = called("root/b-1", root, "running")
    called("root/b-1/c-1", busy, "running")
    called("root/d-1", root, "failed")
    seen = glance(root, 2)
    assert seen.counts == {"completed": 200, "running": 3, "failed": 1}
    assert seen.running == ["root/b-1/c-1"]
    assert [each.name for each in seen.root.walk()] == [
        *("root", "root/a-98", "root/a-99", "root/b-1", "root/d-1", "root/b-1/c-1"),
    ]
    assert seen.left_out == {"root": 98, "root/a-98": 1, "root/a-99": 1}
    assert tally(seen).text() == "200 of 204 actions done, 3 running, 1 failed"
    lines = [plain_line(each) for each in tree_lines(seen.root, most=9, left_out=seen.left_out)]
    assert [line.split("  completed")[0] for line in lines[1:3]] == [
        "    98 calls completed",
        "    a-98",
    ]
    assert len(glance(root, 1_000).root.walk()) == 104  # what lies below a-1 is only counted


@given(st.data(), st.integers(0, 5))
def test_a_glance_is_a_part_of_the_whole(data: st.DataObject, most: int) -> None:
    root = called("root", None, data.draw(st.sampled_from(PHASES)))
    order = [root]
    for each in order[:20]:
        for number in range(data.draw(st.integers(0, 4))):
            phase = data.draw(st.sampled_from(PHASES))
            order.append(called(f"{each.name}/t-{number}", each, phase))
    whole, seen = report(root), glance(root, most)
    names = {each.name for each in whole.walk()}
    assert {each.name for each in seen.root.walk()} <= names
    assert sum(seen.counts.values()) == len(names)
    assert seen.counts == whole_at_a_glance(whole).counts
    assert all(len(each.children) <= 2 * most for each in seen.root.walk())


def test_the_picture_is_drawn() -> None:
    console = Console(width=80, height=20, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(draw_actions("[red]r", whole_at_a_glance(wide(50)), seconds=2.0, rows=5))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines[0] == "[red]r  running 2.0 s  50 of 51 actions done, 1 running  Ctrl-C cancels"
    assert lines[2] == "  47 calls completed"
    assert lines[-1] == "  a-50  completed  1.5 s"
    assert len(lines) == 6


env = trouper.TaskEnvironment("views")


@env.task
async def nap(seconds: float) -> None:
    await trio.sleep(seconds)


@env.task
async def naps() -> None:
    for _ in range(3):
        await nap(4)


async def test_a_status_line_comes_every_few_seconds(autojump_clock: MockClock) -> None:
    stream = io.StringIO()
    view = PlainTaskView(stream)
    async with trouper.with_runcontext(name="n").open(naps) as run, trio.open_nursery() as nursery:
        nursery.start_soon(view.watch_task, run)
        await wait_all_tasks_blocked()  # until it has begun
        await run.wait.aio()
        nursery.cancel_scope.cancel()
    first, *lines = stream.getvalue().splitlines()
    assert first == "run n of naps: started; Ctrl-C cancels it"
    assert [line.partition("] ")[2] for line in lines] == [
        "running, 1 of 3 actions done, 2 running: naps/nap-2",
        "running, 2 of 4 actions done, 2 running: naps/nap-3",
    ]
    assert status_line(run, 12.0) == "[  12.0 s] completed, 4 of 4 actions done"


async def test_the_live_view_draws_until_the_end(autojump_clock: MockClock) -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    view = LiveTaskView(console)
    opened = trouper.with_runcontext(name="n").open(naps)
    with view:
        async with opened as run, trio.open_nursery() as nursery:
            nursery.start_soon(view.watch_task, run)
            await wait_all_tasks_blocked()
            await run.wait.aio()
            nursery.cancel_scope.cancel()
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "nap-3" in shown
    assert "Ctrl-C cancels" in shown


STAYS = """
import sys
import trio, trouper

env = trouper.TaskEnvironment("stays")

@env.task
async def stays() -> None:
    try:
        print("waiting", file=sys.stderr, flush=True)
        await trio.sleep_forever()
    finally:
        print("finally", file=sys.stderr, flush=True)

@env.task
async def root(forever: bool = True) -> int:
    if forever:
        await stays()
    return 42
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_and_is_told(tmp_path: Path, number: signal.Signals) -> None:
    """F36: no cancellation was seen, and no `finally` ran. DESIGN: exit code 130."""
    with started("run", write(tmp_path, STAYS), "root") as process:
        read_until(process, "waiting")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "finally" in err
    assert "of root: cancelled, interrupted after" in out
    assert "stays-1  cancelled" in out


def test_when_nobody_reads_the_run_is_aborted(tmp_path: Path) -> None:
    """As `trouper run FILE TASK | head -1`."""
    with started("run", write(tmp_path, STAYS), "root") as process:
        read_until(process, "waiting")
        assert process.stdout is not None
        process.stdout.close()
        read_until(process, "finally")
        assert process.wait(timeout=PATIENCE) == 1


def test_a_terminal_shows_the_tree(tmp_path: Path) -> None:
    with on_terminal("run", write(tmp_path, STAYS), "root") as terminal:
        terminal.read_until("stays-1")
        terminal.process.send_signal(signal.SIGINT)
        code, shown = terminal.finish()
    assert code == 130
    assert "cancelled, interrupted after" in shown
    assert shown.rindex("\x1b[?25h") > shown.index("\x1b[?25l")


def test_plain_and_dumb_terminals_get_lines(tmp_path: Path) -> None:
    path = write(tmp_path, STAYS)
    for words, kind in (("--plain",), "xterm-256color"), ((), "dumb"):
        with on_terminal("run", *words, path, "root", "--no-forever", kind=kind) as terminal:
            code, shown = terminal.finish()
        assert code == 0
        assert "started; Ctrl-C cancels it" in shown
        assert "\x1b[?25l" not in shown


def test_the_time_of_what_goes_on_is_up_to_now() -> None:
    before = time.time()
    root = ActionReport(
        name="r", task="r", phase="running", attempts=1, started=before - 5.0, ended=0.0
    )
    [line] = tree_lines(root, most=3)
    assert float(line.rest.removesuffix(" s")) >= 5.0
