"""The benchmark suite runs and measures every row. No time is asserted: this is a smoke test."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Return what a quick run printed, and its JSON."""
    path = tmp_path_factory.mktemp("benchmarks") / "quick.json"
    done = run("--quick", "--json", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_json_and_table_have_every_row(quick: tuple[str, dict[str, Any]]) -> None:
    table, document = quick
    promised = run("--list").stdout.splitlines()
    assert len(promised) > 20
    assert [row["name"] for row in document["rows"]] == promised
    assert not [name for name in promised if f"| {name} |" not in table]


def test_every_row_has_a_figure_or_lacks_a_peer(quick: tuple[str, dict[str, Any]]) -> None:
    _, document = quick
    peers = {"dask"} - set(document["machine"])
    for row in document["rows"]:
        if row["measured"] is None:
            assert any(peer in row["name"] for peer in peers), row
        else:
            assert math.isfinite(row["measured"])
            assert row["measured"] > 0


def test_json_says_what_the_figures_depend_on(quick: tuple[str, dict[str, Any]]) -> None:
    _, document = quick
    assert {"python", "trio", "cores"} <= set(document["machine"])
    assert document["quick"] is True


def test_json_names_neither_the_machine_nor_its_folders(quick: tuple[str, dict[str, Any]]) -> None:
    _, document = quick
    versions = {"trouper", "trio", "anyio", "msgspec", "uvloop", "dask"}
    told = {"python", "implementation", "system", "architecture", "cores", *versions}
    assert set(document["machine"]) <= told
    folders = {str(ROOT), sys.prefix, os.path.expanduser("~")} - {"/"}
    assert not [folder for folder in folders if folder in json.dumps(document)]


def test_only_measures_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "only.json"
    done = run("--quick", "--only", "payload", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert list(json.loads(path.read_text(encoding="utf-8"))["contests"]) == ["payload"]
