"""`trouper runs abort`, `rerun` and `recover`, in this process and with real ones."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import trouper
from harness.command import COMMAND, PATIENCE, trouper_command
from harness.stores import new_run, open_at
from trouper.errors import RuntimeUserError

__all__ = ["trouper_command"]

Call = Callable[..., tuple[int, str, str]]

PROGRAM = """
from pathlib import Path
import trio
import trouper

env = trouper.TaskEnvironment("again")


@env.task
async def step(n: int) -> int:
    with open("steps.txt", "a") as file:
        file.write(f"{n}\\n")
    return n


@env.task
async def root(n: int) -> int:
    found = await step(n)
    if not Path("mended").exists():
        raise OSError("not mended")
    return found


@env.task
async def stays() -> None:
    print("waiting", flush=True)
    await trio.sleep_forever()


wf = trouper.Workflow("graph")


@wf.task
async def one() -> int:
    return await step(1)


if __name__ == "__main__":
    trouper.with_runcontext(name="r").run(stays)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "ws"))
    (tmp_path / "again_under_test.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def test_a_failed_run_is_recovered_and_done_again(trouper_command: Call, folder: Path) -> None:
    file = str(folder / "again_under_test.py")
    code, _, _ = trouper_command("run", file, "root", "--n", "4", "--name", "r")
    assert code == 1
    assert trouper_command("runs", "recover", "r")[0] == 1
    (folder / "mended").touch()
    code, out, _ = trouper_command("runs", "recover", "r")
    assert (code, "o0 = 4" in out) == (0, True)
    assert (folder / "steps.txt").read_text(encoding="utf-8") == "4\n"
    code, out, _ = trouper_command("runs", "rerun", "default/default/r", "--json")
    report = json.loads(out)
    assert (code, report["outputs"], report["phase"]) == (0, {"o0": 4}, "completed")
    assert (folder / "steps.txt").read_text(encoding="utf-8") == "4\n4\n"
    code, _, err = trouper_command("runs", "recover", "r")
    assert (code, "the run 'r' has completed" in err) == (2, True)


def test_a_graph_is_done_again_too(trouper_command: Call, folder: Path) -> None:
    file = f"{folder / 'again_under_test.py'}:wf"
    assert trouper_command("run", file, "--name", "g", "--label", "a=b")[0] == 0
    code, out, _ = trouper_command("runs", "rerun", "g")
    assert (code, "one = 1" in out) == (0, True)
    run = trouper.Workspace().find_run("g")
    record = run.record()
    assert record is not None
    assert (record.number, record.labels) == (2, {"a": "b"})
    assert [each.name for each in run.actions().walk()] == ["graph", "one", "one/step-1"]


def test_no_workspace_records_nothing(trouper_command: Call, folder: Path) -> None:
    file = str(folder / "again_under_test.py")
    assert trouper_command("run", f"{file}:wf", "--no-workspace")[0] == 0
    assert trouper_command("run", file, "root", "--n", "4", "--no-workspace")[0] == 1
    assert not (folder / "ws").exists()
    assert trouper_command("run", f"{file}:wf", "--workspace")[0] == 0
    assert (folder / "ws").exists()


def test_a_workspace_that_cannot_be_made_is_told(trouper_command: Call, folder: Path) -> None:
    (folder / "ws").write_text("", encoding="utf-8")
    file = str(folder / "again_under_test.py")
    for words in ([f"{file}:wf"], [file, "root", "--n", "4"]):
        code, _, err = trouper_command("run", *words)
        assert (code, "is a file; name a folder" in err) == (2, True)
    assert not (folder / "steps.txt").exists()


def test_what_cannot_be_aborted_is_told(trouper_command: Call, folder: Path) -> None:
    code, _, err = trouper_command("runs", "abort", "x")
    assert (code, "there is no workspace at" in err) == (2, True)
    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r").run(fails)
    code, _, err = trouper_command("runs", "abort", "x")
    assert (code, "no run named 'x'" in err) == (2, True)
    code, _, err = trouper_command("runs", "abort", "r")
    assert (code, "the run 'r' has ended: failed; there is nothing to abort" in err) == (2, True)
    code, _, err = trouper_command("runs", "rerun", "x")
    assert (code, "no run named 'x'" in err) == (2, True)


env = trouper.TaskEnvironment("of_this_process")


@env.task
async def fails() -> None:
    raise OSError


def test_a_run_of_another_process_is_aborted(trouper_command: Call, folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "again_under_test.py"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            # It may have heard of it by then, or not.
            code, out, _ = trouper_command("runs", "abort", "r", "--wait", "0")
            assert (code, out.startswith("r: ")) == (0, True)
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()
    code, _, err = trouper_command("runs", "abort", "r")
    assert (code, "has ended: cancelled" in err) == (2, True)


def test_a_dead_run_is_not_aborted_but_told(trouper_command: Call, folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "again_under_test.py", "stays", "--name", "r"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "waiting" in line:
                break
        process.send_signal(signal.SIGKILL)
    code, _, err = trouper_command("runs", "abort", "r")
    assert (code, "has ended: failed (process " in err) == (2, True)
    assert trouper_command("runs", "show", "r")[1].startswith("r: failed")


def test_an_abort_waits_for_the_end(trouper_command: Call, folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "again_under_test.py"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        code, out, _ = trouper_command("runs", "abort", "r", "--wait", str(PATIENCE))
    assert (code, out) == (0, "r: cancelled\n")


def test_one_that_does_not_hear_of_it_is_told(trouper_command: Call, folder: Path) -> None:
    with open_at(folder / "ws") as store:
        store.runs.claim(new_run("r"))  # nobody looks after it
        code, out, _ = trouper_command("runs", "abort", "r", "--wait", "0")
    assert (code, "r: asked to end, and goes on: process " in out) == (0, True)
