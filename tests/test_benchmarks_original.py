"""`make bench-peers` measures every row; a stand-in takes the part of the original SDK."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STAND_IN = """
import asyncio

__version__ = "0"

class TaskEnvironment:
    def __init__(self, name): ...
    def task(self, function): return function

class Run:
    def __init__(self, value): self.value = value
    def outputs(self): return (self.value,)

class Runner:
    def run(self, task, *args): return Run(asyncio.run(task(*args)))

def with_runcontext(**_): return Runner()
def init(): print("noise on stdout")
"""


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """Return what starts a Python that has the stand-in."""
    (tmp_path / "flyte.py").write_text(STAND_IN, encoding="utf-8")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


def test_every_row_is_measured_and_runs_are_recorded(peer: Path, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    words = ["--quick", "--peer", str(peer), "--json", str(path)]
    command = [sys.executable, "-m", "benchmarks.original", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(path.read_text(encoding="utf-8"))
    assert [row["contest"] for row in document["rows"]] == [
        *("one_by_one", "side_by_side", "with_list", "imports", "imports"),
    ]
    assert all(row["measured"] > 0 for row in document["rows"])
    assert not [row["name"] for row in document["rows"] if f"| {row['name']} |" not in done.stdout]
    assert document["quick"] is True
    folders = {str(ROOT), sys.prefix, os.path.expanduser("~")} - {"/"}
    assert not [folder for folder in folders if folder in json.dumps(document)]


def test_a_peer_that_can_t_run_is_named(tmp_path: Path) -> None:
    words = ["--quick", "--peer", str(tmp_path / "python"), "--json", str(tmp_path / "f")]
    command = [sys.executable, "-m", "benchmarks.original", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "python" in done.stderr
