"""The live picture, drawn and on a real (pseudo) terminal."""

import io
import math
import signal
from pathlib import Path

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from harness.command import on_terminal, write
from trouper import ActorContext, EdgeReport, FailureSummary, NodeReport, StatusReport, Workflow
from trouper.runtime._cli_live import LiveView, draw
from trouper.runtime._cli_rates import Rates


def node(name: str, **over: object) -> NodeReport:
    values: dict[str, object] = {
        "name": name,
        "kind": "actor",
        "state": "running",
        "incarnation": 1,
        "failures": (FailureSummary(type="ValueError", message="no"),),
    }
    zero = dict.fromkeys(set(NodeReport.__struct_fields__) - set(values), 0)
    # A mapping of fields has no types.
    return NodeReport(**{**zero, **values, **over})  # type: ignore[arg-type]


def edge(source: str, target: str, **over: object) -> EdgeReport:
    values: dict[str, object] = {
        "source": source,
        "target": target,
        "overflow": "block",
        "dropped": {},
        "capacity": 64,
    }
    zero = dict.fromkeys(set(EdgeReport.__struct_fields__) - set(values), 0)
    return EdgeReport(**{**zero, **values, **over})  # type: ignore[arg-type]  # likewise


def status(seconds: float, nodes: list[NodeReport], *edges: EdgeReport) -> StatusReport:
    return StatusReport(
        run_name="r",
        workflow="w",
        status="running",
        seconds=seconds,
        nodes={each.name: each for each in nodes},
        edges=edges,
        dead_letters=2,
    )


def drawn(report: StatusReport, rates: Rates, rows: int = 30) -> list[str]:
    console = Console(width=110, height=40, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(draw(report, rates, rows=rows))
    return capture.get().splitlines()


def test_picture_tells_state_rates_depth_restarts_and_dead_letters() -> None:
    names = [node("a"), node("b")]
    rates = Rates({each.name: each for each in names})
    report = status(
        2.0,
        [node("a", sent=200), node("b", state="restarting", incarnation=4, received=20, depth=64)],
        edge("a", "b", queued=64, dropped={"drop_oldest": 3}, blocked=1.25, peak=64),
        edge("b", "a", capacity=math.inf),
    )
    lines = [line.split() for line in drawn(report, rates)]
    assert lines[0] == [
        "w",
        "running",
        "2.0",
        "s",
        "3",
        "restarts",
        "2",
        "dead",
        "letters",
        "Ctrl-C",
        "drains",
    ]
    assert ["a", "running", "1", "0/s", "100/s", "0", "0", "0"] in lines
    assert ["b", "restarting", "4", "10/s", "0/s", "64", "3", "0"] in lines
    assert ["a", "->", "b", "block", "64", "64", "64", "3", "1.2", "s"] in lines
    assert ["b", "->", "a", "block", "0", "inf", "0", "0", "0.0", "s"] in lines


def test_names_are_shown_and_not_obeyed() -> None:
    report = status(1.0, [node("[red]\x1b[2J")], edge("[bold]\x07", "x"))
    text = "\n".join(drawn(report, Rates(report.nodes)))
    assert r"[red]\x1b[2J" in text
    assert r"[bold]\x07 -> x" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("rows", [-5, 1, 5, 20])
def test_a_large_graph_fits_the_screen(rows: int) -> None:
    report = status(
        1.0, [node(f"n{i}") for i in range(500)], *(edge(f"n{i}", "x") for i in range(500))
    )
    lines = drawn(report, Rates(report.nodes), rows)
    assert len(lines) <= max(rows, 2) + 6
    assert sum("more" in line for line in lines) == 2


def test_rates_are_taken_over_a_window() -> None:
    rates = Rates({"a": node("a")})
    for tenth in range(99):
        rates.look(tenth / 10, {"a": node("a", sent=tenth * 10, received=tenth)})
    found = rates.look(9.9, {"a": node("a", sent=990, received=99)})
    assert found["a"] == pytest.approx((10.0, 100.0))
    stopped = rates.look(30.0, {"a": node("a", sent=990, received=99)})
    assert stopped["a"][1] < 5


async def test_at_most_four_pictures_a_second(autojump_clock: MockClock) -> None:
    wf = Workflow("w")

    @wf.actor
    async def beat(ctx: ActorContext[None, None, None, int]) -> None:
        async for n in ctx.every(0.01):
            await ctx.send(n)

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, height=30)
    with LiveView(console) as view:
        async with wf.open() as run, trio.open_nursery() as nursery:
            nursery.start_soon(view.watch, run)
            for _ in range(101):
                await trio.sleep(0.1)
                view.say("[red]line")
            nursery.cancel_scope.cancel()
        pictures = stream.getvalue().count("Ctrl-C drains")
    assert 38 <= pictures <= 42
    assert stream.getvalue().count("[red]line") == 101


DRAWING = """
import rich, trio, trouper
from rich.live import Live

wf = trouper.Workflow("drawing")

@wf.actor
async def beat(ctx):
    async for n in ctx.every(0.05):
        yield n

@wf.actor(depends_on="beat", max_restarts=99)
async def evil(ctx):
    async for n in ctx:
        if n == 3 and ctx.message.attempt == 1:
            print("a print from a body")
            raise ValueError("\\x1b]0;owned\\x07 [red]text")

@wf.actor(depends_on="beat")
async def table(ctx):
    with Live("own picture", auto_refresh=False) as live:
        async for n in ctx:
            live.update(f"own picture {n}")
"""


def test_live_picture_on_a_terminal(tmp_path: Path) -> None:
    with on_terminal("run", write(tmp_path, DRAWING)) as terminal:
        for text in ("own picture", "a print from a body", r"owned\x07 [red]text"):
            terminal.read_until(text)
        terminal.read_until("Ctrl-C drains", 3)
        terminal.process.send_signal(signal.SIGINT)
        code, shown = terminal.finish()
    assert code == 130
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "drawing" in shown
    assert "'evil' failed in incarnation 1, attempt 1 of the message in hand" in shown
    assert r"\x1b]0;owned\x07 [red]text" in shown
    assert "\x1b]" not in shown
    assert "the ledger is closed on all 2 edges" in shown.replace("\r", "")


@pytest.mark.parametrize(
    ("words", "kind"), [(["--plain"], "xterm-256color"), ([], "dumb")], ids=["plain", "dumb"]
)
def test_plain_lines_on_a_terminal(tmp_path: Path, words: list[str], kind: str) -> None:
    with on_terminal("run", write(tmp_path), *words, kind=kind) as terminal:
        code, shown = terminal.finish()
    assert code == 0
    assert "\x1b" not in shown
    assert "started, 2 nodes" in shown


def test_ctrl_c_on_a_terminal_drains(tmp_path: Path) -> None:
    path = write(tmp_path)
    with on_terminal("run", path, "--override", "endless=true") as terminal:
        terminal.read_until("running")
        terminal.process.send_signal(signal.SIGINT)
        code, shown = terminal.finish()
    assert code == 130
    assert "draining, 10 s at most" in shown
    assert "completed, interrupted after" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_leaving_at_once_shows_the_cursor_again(tmp_path: Path) -> None:
    words = ["run", write(tmp_path), "--override", "block=3", "--override", "seconds=600"]
    with on_terminal(*words) as terminal:
        terminal.read_until("blocking")
        # Two kinds, because two of one kind that nobody has seen yet are one.
        terminal.process.send_signal(signal.SIGINT)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.read_until("a task blocks the event loop; once more to leave at once")
        terminal.process.send_signal(signal.SIGINT)
        code, shown = terminal.finish()
    assert code == 130
    assert "leaving at once" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
