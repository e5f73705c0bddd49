"""Stores, and other processes that use one at the same time."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from harness.command import PATIENCE
from harness.processes import running
from trouper.runtime.store._records import ActionRecord, NewRun
from trouper.runtime.store._store import Store, open_store

PRELUDE = """
import os, signal, sys
from pathlib import Path
from trouper.runtime.store._store import open_store
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._records import ActionRecord, NewRun
from trouper.runtime.store import _errors as errors

def say(*words):
    print(*words, flush=True)

def wait():
    sys.stdin.readline()

root = sys.argv[1]
"""


def new_run(name: str = "run-1", target: str = "etl", **more: Any) -> NewRun:
    return NewRun(name=name, target=target, **more)


def action(
    execution: int, name: str = "root", *, task: str = "t", started: float = 1.0, **more: Any
) -> ActionRecord:
    return ActionRecord(execution=execution, name=name, task=task, started=started, **more)


def open_at(root: Path, **more: Any) -> Store:
    return open_store(root, **more)


def child(code: str, root: Path, *words: object) -> "AbstractContextManager[subprocess.Popen[str]]":
    """Start a process that runs `code` below the prelude; killed at the end if still there."""
    command = [sys.executable, "-c", PRELUDE + code, root, *words]
    return running(command, stdin=subprocess.PIPE, stderr=None)


def line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that the process says."""
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, "the process ended without a word"
    return text.strip()


def go(process: "subprocess.Popen[str]") -> None:
    """Let a process go on that waits."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def told(process: "subprocess.Popen[str]") -> list[str]:
    """Wait for the end, which has to be a good one; return the lines that are left."""
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    return out.splitlines()
