"""`trouper check`, `trouper graph` and the help."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.command import run_process, trouper_command, write

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

IMPORT = "import cyclopts, cyclopts.help, rich.console, rich.table, rich.panel"

HELP = "from trouper.runtime.cli import main; main(['--help'])"

KINDS = """
import functools
import trouper
wf = trouper.Workflow("kinds")

class Count:
    def __init__(self, start=0): self.n = start
    async def run(self, ctx):
        yield self.n

class FetchTask:
    async def execute(self, ctx): return 1

wf.add(Count(), name="same")
wf.add(Count, name="fresh")
wf.add(functools.partial(Count, 3), name="made")
wf.add(FetchTask)

@wf.actor(depends_on=["same", "fresh"])
async def both(ctx):
    async for n in ctx: yield n
"""


def test_check_says_what_a_restart_meets(trouper_command: Call, tmp_path: Path) -> None:
    code, out, err = trouper_command("check", write(tmp_path, KINDS))
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert (code, err) == (0, "")
    assert "kinds can run: 5 nodes, 2 edges" in out
    assert "instance" in lines["same"]
    assert "its state stays" in lines["same"]
    for name in ("fresh", "made", "fetch"):
        assert "class or factory" in lines[name]
        assert "fresh state" in lines[name]
    assert "function both: called anew" in lines["both"]
    assert "same, fresh" in lines["both"]
    assert " task " in lines["fetch"]


SHAPES = """
import math
import trouper

inner = trouper.Workflow("inner")
inner.task(name="numbers")(lambda: [1, 2])
wf = trouper.Workflow("shapes")
wf.add(inner)
wf.map(math.factorial, over="inner", concurrency=4, executor="process")
wf.task(name="one", executor="process", depends_on="sum")(math.factorial)

@wf.task(depends_on="factorial")
async def sum(numbers): return 3

@wf.actor(concurrency=3, fan_out="balance")
async def source(ctx):
    yield 1

wf.map(math.sqrt, over="source")

@wf.actor(depends_on="source")
async def other(ctx):
    async for n in ctx: yield n
"""


def test_check_says_what_a_node_is(trouper_command: Call, tmp_path: Path) -> None:
    code, out, err = trouper_command("check", f"{write(tmp_path, SHAPES)}:wf")
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert (code, err) == (0, "")
    assert "  task  " in lines["inner/numbers"]
    assert "  map over a list x4, in processes  inner  " in lines["factorial"]
    assert "  task, in processes  " in lines["one"]
    assert "  actor x3  " in lines["source"]
    assert "  map over a stream  " in lines["sqrt"]
    code, out, err = trouper_command("graph", f"{write(tmp_path, SHAPES)}:wf")
    assert '-->|"balance"|' in out
    assert 'subgraph w0["inner"]' in out


def test_check_runs_nothing(trouper_command: Call, tmp_path: Path) -> None:
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.task\ndef one() -> None: raise SystemExit('it ran')\n"
    )
    assert trouper_command("check", write(tmp_path, text))[0] == 0


def test_graph_prints_mermaid(trouper_command: Call, tmp_path: Path) -> None:
    code, out, err = trouper_command("graph", write(tmp_path, KINDS))
    assert (code, err) == (0, "")
    assert out.startswith("flowchart LR\n")
    assert '("both")' in out


def test_help_teaches() -> None:
    done = run_process("--help")
    assert done.returncode == 0
    for part in ("@wf.actor(depends_on=", "trouper run hello.py --for 10", "Exit codes: 0", "130"):
        assert part in done.stdout
    of_run = run_process("run", "--help").stdout
    flags = ("--for", "--config", "--profile", "--override", "--json", "--plain", "FILE[:OBJECT]")
    assert not [flag for flag in flags if flag not in of_run]
    assert "trouper run monitor.py --for 15 --override chaos=true" in of_run


def test_without_a_command_there_is_the_help() -> None:
    done = run_process()
    assert done.returncode == 0
    assert "trouper check hello.py" in done.stdout


def test_version(trouper_command: Call) -> None:
    assert trouper_command("--version")[:2] == (0, "trouper 0.1.0\n")


def test_an_unknown_command_is_a_usage_error(trouper_command: Call) -> None:
    code, out, err = trouper_command("rnu\x1b")
    assert (code, out) == (2, "")
    assert "Available commands: " in err
    assert " run, check, " in err
    assert err.endswith("see: trouper --help\n")
    assert "\x1b" not in err


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["run"]])
def test_help_and_usage_errors_load_nothing_heavy(words: list[str]) -> None:
    """What they cost is cyclopts and rich; trio, msgspec and the rest would double it."""
    program = (
        "import sys; from trouper.runtime.cli import main; main(sys.argv[1:]); "
        "sys.stdout = sys.stderr; print('loaded', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.rpartition("loaded")[2].split())
    assert "trouper.runtime.cli" in loaded
    assert not loaded & {"trio", "msgspec", "beartype", "ruamel.yaml", "rich.live", "logging"}


def test_help_loads_hardly_more_than_what_draws_it() -> None:
    """So it takes 0.15 s on an idle machine, most of which is their import."""
    loaded: list[set[str]] = []
    for program in (f"import sys; {IMPORT}", f"import sys; {HELP}"):
        program += "; print('loaded', *sys.modules, file=sys.stderr)"
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        loaded.append(set(done.stderr.rpartition("loaded")[2].split()))
    libraries, of_help = loaded
    assert "rich.table" in libraries & of_help
    assert len(of_help - libraries) < 80


def test_public_names_are_loaded_when_used() -> None:
    program = (
        "import sys, trouper; assert 'trio' not in sys.modules; trouper.Workflow('w');"
        "from trouper import *; assert issubclass(EndOfInput, BaseException);"
        "assert 'open_channel' in dir(trouper); assert not hasattr(trouper, 'no_such_name');"
        "assert not hasattr(trouper, '__wrapped__'); assert trouper.channels.__name__"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
