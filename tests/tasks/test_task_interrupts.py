"""Ctrl-C and SIGTERM while tasks run, with real signals to real processes."""

import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.command import PATIENCE, read_until
from harness.processes import running

PROGRAM = """
import sys, threading
import trio, trouper

env = trouper.TaskEnvironment("interrupted")

def say(text):
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()

@env.task
async def stays():
    try:
        say("waiting")
        await trio.sleep_forever()
    finally:
        say("finally of the child")

@env.task
def in_thread():
    try:
        stays()
    finally:
        say("finally of the thread")

@env.task
async def root():
    try:
        await in_thread()
    finally:
        say("finally of the root")

@env.task
async def deaf():
    try:
        say("waiting")
        await trio.sleep_forever()
    finally:
        say("stuck")
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

def start():
    try:
        trouper.with_runcontext(name="interrupted").run(globals()[sys.argv[1]])
    except KeyboardInterrupt:
        say("KeyboardInterrupt")
        sys.exit(130)

start()
"""


def program(folder: Path, task: str) -> "AbstractContextManager[subprocess.Popen[str]]":
    path = folder / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return running([sys.executable, path, task], stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_reaches_every_task(tmp_path: Path, number: signal.Signals) -> None:
    """F36: tasks saw no cancellation, and no `finally` ran."""
    with program(tmp_path, "root") as process:
        read_until(process, "waiting")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    # Without what a busy machine makes the watchdog say.
    ours = ("cancelling", "finally", "KeyboardInterrupt")
    said = [line for line in err.splitlines() if line.startswith(ours)]
    assert said == [
        "cancelling; twice more to leave at once",
        "finally of the child",
        "finally of the thread",
        "finally of the root",
        "KeyboardInterrupt",
    ]


def test_the_third_one_leaves_at_once(tmp_path: Path) -> None:
    with program(tmp_path, "deaf") as process:
        read_until(process, "waiting")
        process.send_signal(signal.SIGINT)
        read_until(process, "stuck")
        process.send_signal(signal.SIGINT)
        read_until(process, "once more to leave at once")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted three times: leaving at once" in err
