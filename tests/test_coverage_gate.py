"""The gate says no when it should: too little covered, a file left out, nothing measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GATE = ROOT / "tools" / "coverage_gate.py"


def summary(possible: int, covered: int) -> dict[str, dict[str, int]]:
    lines = {"num_statements": possible, "covered_lines": covered}
    return {"summary": {**lines, "num_branches": 0, "covered_branches": 0}}


def every_file(covered: int) -> dict[str, dict[str, dict[str, int]]]:
    folders = ("channels", "actors", "runtime")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    paths += (ROOT / "src" / "trouper").glob("*.py")
    return {path.relative_to(ROOT).as_posix(): summary(100, covered) for path in paths}


def gate(tmp_path: Path, files: object) -> subprocess.CompletedProcess[str]:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    return subprocess.run(
        [sys.executable, str(GATE), str(report)], capture_output=True, text=True, check=False
    )


def test_everything_covered_passes(tmp_path: Path) -> None:
    assert gate(tmp_path, every_file(100)).returncode == 0


@pytest.mark.parametrize("layer", ["channels", "actors"])
def test_one_missed_line_of_a_core_layer_fails(tmp_path: Path, layer: str) -> None:
    ended = gate(tmp_path, every_file(100) | {f"{layer}/__init__.py": summary(100, 99)})
    assert ended.returncode == 1
    assert f"{layer}: 9" in ended.stderr


def test_the_rest_may_miss_a_twentieth_and_no_more(tmp_path: Path) -> None:
    files = every_file(100)
    rest = [path for path in files if path.startswith(("runtime/", "src/"))]
    assert gate(tmp_path, files | dict.fromkeys(rest, summary(100, 95))).returncode == 0
    assert gate(tmp_path, files | dict.fromkeys(rest, summary(100, 94))).returncode == 1


def test_a_file_left_out_fails(tmp_path: Path) -> None:
    files = every_file(100)
    del files["actors/__init__.py"]
    ended = gate(tmp_path, files)
    assert ended.returncode == 1
    assert "actors/__init__.py: not measured" in ended.stderr


def test_nothing_measured_fails(tmp_path: Path) -> None:
    ended = gate(tmp_path, {})
    assert ended.returncode == 1
    assert "nothing was measured" in ended.stderr


def test_a_file_under_a_link_fails(tmp_path: Path) -> None:
    ended = gate(tmp_path, every_file(100) | {"trouper/channels/_a.py": summary(1, 1)})
    assert ended.returncode == 1
    assert "in no group" in ended.stderr
