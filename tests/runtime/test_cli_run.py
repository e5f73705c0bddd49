"""`trouper run` away from a terminal: lines, the report, JSON, configuration and exit codes."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.command import run_process, trouper_command, write
from trouper.runtime import _cli_run
from trouper.runtime._cli_plain import PlainView
from trouper.runtime._cli_report import closing_report

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mock_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command runs, it runs on a clock that jumps."""
    run = trio.run

    def run_on_mock_clock(main: Any) -> Any:
        return run(main, clock=MockClock(autojump_threshold=0))

    monkeypatch.setattr(trio, "run", run_on_mock_clock)


def report_of(out: str) -> dict[str, object]:
    report = json.loads(out)
    assert isinstance(report, dict)
    return report


@pytest.mark.usefixtures("mock_clock")
def test_lines_tell_start_and_end(trouper_command: Call, tmp_path: Path) -> None:
    code, out, err = trouper_command("run", write(tmp_path))
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert "of stream: started, 2 nodes" in lines[0]
    assert ": completed after 0.0 s" in out
    assert "source -> work     5  =      5     0" in out
    assert "the ledger is closed on the edge" in out


def test_configuration_comes_from_file_profile_and_overrides(
    trouper_command: Call, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("n: 3\nprofiles: {big: {n: 40, poison: 1}}\n")
    words = ["run", write(tmp_path), "--config", tmp_path / "c.yaml"]
    assert "source -> work     3" in trouper_command(*words)[1]
    big = ["--profile", "big", "--override", "poison=2", "--override", "text='a b'"]
    _, out, _ = trouper_command(*words, *big)
    assert "source -> work    40" in out
    assert "ValueError: a b" in out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--for", "soon"], ["--for takes seconds", "'soon'", "--for 15"]),
        (["--for", "0"], ["--for takes seconds"]),
        (["--for", "nan"], ["--for takes seconds"]),
        (["--for", "inf"], ["--for takes seconds"]),
        (["--profile", "bug"], ["there is no profile 'bug'"]),
        (["--config", "none.yaml"], ["--config none.yaml can't be read", "check the path"]),
        (["--config", "bad.yaml"], ["bad.yaml, line 1", "correct the file"]),
        (["--config", "c.yaml", "--profile", "bug"], ["'bug'; did you mean 'big'?"]),
        (["--override", "n"], ["has no '='; write KEY=VALUE"]),
        (
            ["--override", "n=1", "--override", "n.x=2"],
            ["goes into 'n'", "'n' as a whole"],
        ),
        (["--bogus"], ["--bogus", "see: trouper run --help"]),
        ([], ["FILE[:OBJECT]", "see: trouper run --help"]),
    ],
)
def test_bad_words_get_one_message_with_the_fix(
    trouper_command: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("profiles: {big: {n: 4}}\n")
    (tmp_path / "bad.yaml").write_text("a: b: c\n")
    target = [write(tmp_path)] if words else []
    code, out, err = trouper_command("run", *target, *words)
    assert (code, out) == (2, "")
    assert not [part for part in parts if part not in err], err
    assert "Traceback" not in err


def test_every_problem_of_a_graph_stands_on_a_line(trouper_command: Call, tmp_path: Path) -> None:
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.actor(depends_on='nowhere')\nasync def one(ctx):\n    yield 1\n"
        "@wf.actor(depends_on='elsewhere')\nasync def two(ctx):\n    yield 1\n"
    )
    path = write(tmp_path, text)
    for command in ("run", "check", "graph"):
        code, _, err = trouper_command(command, path)
        assert code == 2
        [first] = [line for line in err.splitlines() if "'nowhere'" in line]
        [second] = [line for line in err.splitlines() if "'elsewhere'" in line]
        assert first != second


def test_a_failed_run_says_why(trouper_command: Call, tmp_path: Path) -> None:
    """Known fault F12: the error, where it was, and exit code 1."""
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.task\ndef fine() -> int: return 1\n"
        "@wf.task(depends_on='fine')\ndef fail(n: int) -> int:\n"
        "    raise ValueError('\x1b[2J[red]no' + '\\n' * 30)\n"
    )
    path = write(tmp_path, text)
    code, out, _ = trouper_command("run", path)
    assert code == 1
    assert "of w: failed after" in out
    assert "what failed fail" in out
    assert r"ValueError: \x1b[2J[red]no" in out
    assert f"at {path}:7 in fail" in out or "more lines" in out
    assert "runtime/_" not in out
    assert "\x1b" not in out


def test_restarts_dead_letters_and_the_ledger_are_told(
    trouper_command: Call, tmp_path: Path
) -> None:
    path = write(tmp_path)
    text = "text=\x1b]0;title\x07"
    code, out, _ = trouper_command("run", path, "--override", "poison=2", "--override", text)
    assert code == 0
    [node] = [line.split() for line in out.splitlines() if line.startswith("  work ")]
    assert node == ["work", "actor", "done", "5", "0", "3", "2", "1"]
    assert "source -> work     5  =      4     1" in out
    assert "1 dead letter\n  work: source:3, attempt 3, max_attempts: 2\n" in out
    assert rf"ValueError: \x1b]0;title\x07, at {path}:" in out
    assert "\x1b" not in out


def test_only_the_last_dead_letters_are_shown(trouper_command: Call, tmp_path: Path) -> None:
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.actor\nasync def source(ctx):\n    for n in range(7): yield n\n"
        "@wf.actor(depends_on='source', max_attempts=1, max_restarts=99,"
        " backoff=trouper.Backoff(min=0, max=0))\n"
        "async def work(ctx):\n    async for n in ctx: raise ValueError(n)\n"
    )
    _, out, _ = trouper_command("run", write(tmp_path, text))
    assert "7 dead letters, the last five" in out
    assert "source:2," not in out
    assert "source:3," in out


def test_json_and_nothing_else_goes_to_stdout(tmp_path: Path) -> None:
    text = (
        "import os, sys, trouper\nprint('while loading')\nwf = trouper.Workflow('w')\n"
        "@wf.task\ndef one() -> dict[str, object]:\n    print('in the body')\n"
        "    os.system('echo in a child')\n    sys.__stdout__.write('by the back door')\n"
        "    return {'nan': float('nan'), 'bytes': '\\udcff', 1: (1, {2}), 'obj': object()}\n"
    )
    done = run_process("run", write(tmp_path, text), "--json")
    report = report_of(done.stdout)
    assert done.returncode == report["exit_code"] == 0
    outputs = report["outputs"]
    assert isinstance(outputs, dict)
    one = outputs["one"]
    assert (one["nan"], one["bytes"], one["1"]) == (None, "\udcff", [1, [2]])
    assert one["obj"].startswith("<object object")
    for noise in ("while loading", "in the body", "in a child", "by the back door", "started"):
        assert noise in done.stderr


def test_json_tells_failures_ledger_and_dead_letters(trouper_command: Call, tmp_path: Path) -> None:
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.actor\nasync def source(ctx):\n    for n in range(3): yield {(n,): n}\n"
        "@wf.actor(depends_on='source', max_attempts=1)\n"
        "async def work(ctx):\n    async for n in ctx: raise ValueError('x' * 9)\n"
        "@wf.task(depends_on='work', default=1)\ndef last(n: int) -> int:\n"
        "    raise RuntimeError('the end')\n"
    )
    code, out, _ = trouper_command("run", write(tmp_path, text), "--json")
    report = report_of(out)
    assert code == report["exit_code"] == 1
    assert (report["status"], report["failed_node"]) == ("failed", "last")
    assert report["is_ledger_closed"] is True
    error, letters, nodes = report["error"], report["dead_letters"], report["nodes"]
    assert isinstance(error, dict)
    assert isinstance(letters, dict)
    assert isinstance(nodes, dict)
    assert (error["type"], error["message"]) == ("RuntimeError", "the end")
    assert letters["kept"] == 3
    assert letters["last"][0]["payload"] == "{(0,): 0}"
    assert letters["last"][0]["failures"][0]["message"] == "xxxxxxxxx"
    assert nodes["work"]["failures"][0]["type"] == "ValueError"


def test_json_of_a_value_that_cannot_even_be_shown(trouper_command: Call, tmp_path: Path) -> None:
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "class Rude:\n    def __repr__(self): raise RuntimeError\n"
        "@wf.task\ndef rude() -> object: return Rude()\n"
        "@wf.task\ndef long() -> object: return {('x' * 9000,): 1}\n"
    )
    _, out, _ = trouper_command("run", write(tmp_path, text), "--json")
    outputs = report_of(out)["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["rude"] == "(its repr can't be made: RuntimeError)"
    assert len(outputs["long"]) == 2000


@pytest.mark.usefixtures("mock_clock")
def test_for_drains_after_so_many_seconds(trouper_command: Call, tmp_path: Path) -> None:
    path = write(tmp_path)
    code, out, _ = trouper_command("run", path, "--for", "0.3", "--override", "endless=true")
    assert code == 0
    assert ": completed after 0.3 s" in out


@pytest.mark.usefixtures("mock_clock")
def test_what_the_drain_cut_short_is_named(
    trouper_command: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cli_run, "DRAIN_BUDGET", 0.2)
    words = ["run", write(tmp_path), "--for", "0.1", "--override", "stuck=2"]
    code, out, _ = trouper_command(*words)
    assert code == 1
    assert "cut short when the drain's time was up: work" in out


def test_exit_in_a_body_ends_the_run_with_a_report(trouper_command: Call, tmp_path: Path) -> None:
    """Case P8: it passes through supervision, and what was done is told."""
    code, out, _ = trouper_command("run", write(tmp_path), "--override", "exit=2")
    assert code == 1
    assert "broken off by SystemExit(3) in 'work', at " in out
    assert "stream_under_test.py:" in out
    assert "work  " in out


def test_a_fault_of_ours_is_told_as_one(
    trouper_command: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(_cli_run, "_view", fail)
    code, _, err = trouper_command("run", write(tmp_path))
    assert code == 1
    assert "this is a fault in trouper, please report it" in err
    assert "RuntimeError: boom" in err
    assert "Traceback" not in err


async def test_status_lines_every_five_seconds(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow("slow")

    @wf.actor
    async def beat(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        async for n in ctx.every(0.1):
            await ctx.send(n)

    for number in range(8):

        @wf.actor(name=f"sink{number}", depends_on="beat")
        async def sink(ctx: trouper.ActorContext[None, None, int]) -> None:
            async for _ in ctx:
                pass

    stream = io.StringIO()
    async with wf.open() as run, trio.open_nursery() as nursery:
        nursery.start_soon(PlainView(stream).watch, run)
        await trio.sleep(11)
        nursery.cancel_scope.cancel()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("[   5.0 s] running: beat ")
    assert "sink0 10/s" in lines[2]
    assert "3 more; 0 restarts, 0 dead letters" in lines[2]


def test_interrupted_before_anything_ran(
    trouper_command: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_cli_run, "run_to_end", interrupt)
    code, _, err = trouper_command("run", write(tmp_path))
    assert (code, err) == (130, "trouper: interrupted\n")


def report(*edges: trouper.EdgeReport, **over: object) -> list[str]:
    values: dict[str, object] = {
        "run_name": "r\x1b",
        "workflow": "w",
        "status": "completed",
        "outputs": {},
        "results": {},
        "error": None,
        "failed_node": None,
        "reason": "",
        "dead_letters": (),
        "nodes": {},
        "edges": edges,
        "seconds": 1.0,
    }
    # A mapping of fields has no types.
    return list(closing_report(trouper.WorkflowResult(**{**values, **over})))  # type: ignore[arg-type]


def test_a_long_error_is_cut() -> None:
    lines = report(error=ValueError("\n".join(map(str, range(30)))), failed_node="a")
    assert lines[-1] == "  and 18 more lines"
    assert len(lines) < 20


def test_an_open_ledger_is_told() -> None:
    numbers = ("acknowledged", "dead_lettered", "expired", "leased", "peak", "blocked")
    edge = trouper.EdgeReport(
        source="a",
        target="b",
        sent=3,
        queued=3,
        dropped={},
        capacity=64,
        overflow="block",
        **dict.fromkeys(numbers, 0),
    )
    text = "\n".join(report(edge, edge))
    assert "OPEN" in text
    assert "the ledger is open on 2 of 2 edges" in text


def test_a_report_of_nothing_is_short() -> None:
    lines = report(cut_short=("a\x1b",))
    assert lines[1] == r"run r\x1b of w: completed after 1.0 s"
    assert lines[2].endswith(r"time was up: a\x1b")
    assert "edge" not in "".join(lines)


async def test_a_small_graph_fits_on_its_status_line(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow("w")

    @wf.actor
    async def beat(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        async for n in ctx.every(0.5):
            await ctx.send(n)

    stream = io.StringIO()
    async with wf.open() as run, trio.open_nursery() as nursery:
        nursery.start_soon(PlainView(stream).watch, run)
        await trio.sleep(6)
        nursery.cancel_scope.cancel()
    assert " more;" not in stream.getvalue()
