"""Only what was measured is written into the pages, and only between the marks."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.pages import ROOT


def load_tool() -> Any:
    path = ROOT / "tools" / "speed_table.py"
    spec = importlib.util.spec_from_file_location("speed_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


speed_table = load_tool()

RESULTS: dict[str, Any] = {
    "machine": {"python": "3.11", "cores": 2},
    "quick": False,
    "rows": [
        {
            "name": "relays, generator, to asyncio.Queue",
            "bar": ">= 1.25 x (goal 1.5)",
            "measured": 1.514,
            "verdict": "ok",
        },
        {
            "name": "memory of an idle actor",
            "bar": "<= 8 KiB",
            "measured": 9.02,
            "verdict": "MISSED",
        },
        {
            "name": "1 MB to an int",
            "bar": "<= 1.25 x",
            "measured": None,
            "verdict": "not measured",
        },
        {"name": "ticker", "bar": "<= 2500 us", "measured": 8006.5, "verdict": "MISSED"},
    ],
    "contests": {
        "cost": {
            "title": "what each feature costs",
            "unit": "ns per hop",
            "baseline": "full",
            "variants": {"full": {"median": 500.0}, "copy=True": {"median": 2000.0}},
        }
    },
}


def test_a_row_holds_what_was_measured_and_what_was_asked_for() -> None:
    text = speed_table.figures(RESULTS)
    assert "| relays, generator, to asyncio.Queue | 1.51 x | >= 1.25 x (goal 1.5) | met |" in text
    assert "| memory of an idle actor | 9.02 KiB | <= 8 KiB | **missed** |" in text
    assert "| 1 MB to an int | not measured | <= 1.25 x |  |" in text
    assert "| ticker | 8,006 us | <= 2500 us | **missed** |" in text
    assert "Of all 3 bars 1 were met and 2 missed." in text
    assert "python 3.11, cores 2" in text
    assert "1 MB" not in speed_table.figures(RESULTS, ["relays", "memory"])


def test_the_readme_shows_rows_that_exist() -> None:
    command = [sys.executable, "-m", "benchmarks", "--list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = listed.stdout.splitlines()
    chosen = speed_table.IN_README
    assert [each for each in chosen if not any(row.startswith(each) for row in rows)] == []


def test_costs_are_told_as_multiples() -> None:
    assert "| copy=True | 2,000 | 4.00 |" in speed_table.costs(RESULTS)


def test_figures_of_a_smoke_run_are_refused() -> None:
    with pytest.raises(ValueError, match="make bench"):
        speed_table.figures({**RESULTS, "quick": True})


def test_the_text_between_the_marks_is_replaced_and_nothing_else() -> None:
    page = "a\n<!-- figures: begin, x -->\nold\n<!-- figures: end -->\nb\n"
    once = speed_table.put_into(page, "new\n")
    assert once == "a\n<!-- figures: begin, x -->\nnew\n<!-- figures: end -->\nb\n"
    assert speed_table.put_into(once, "new\n") == once
    with pytest.raises(ValueError, match="marks"):
        speed_table.put_into("a page without", "new")


BESIDE = {
    **RESULTS,
    "rows": [{"name": "nested", "bar": ">= 10 x", "measured": 27.06, "verdict": "ok"}],
    "contests": {
        "one_by_one": {
            "title": "300 tasks",
            "unit": "us per task",
            "baseline": "trouper",
            "variants": {
                "trouper": {"median": 25.25, "minimum": 20.0},
                "the original": {"median": 1827.4, "minimum": 1247.3},
            },
        }
    },
}


def test_figures_beside_the_original_have_a_place_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "original.json"
    source.write_text(json.dumps(BESIDE))
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "performance.md"
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    monkeypatch.setattr(speed_table, "ROOT", tmp_path)
    speed_table.main(str(source))
    after = page.read_text(encoding="utf-8")
    assert "| nested | 27.06 x | >= 10 x | met |" in after
    assert "| 300 tasks | trouper | 25.2 us per task | 20.0 |" in after
    assert "| 300 tasks | the original | 1,827 us per task | 1,247 |" in after
    assert "Measured with `make bench-peers`" in after
    # Those of `make bench` stay as they are.
    assert after.partition("## Beside the original")[0] == before.partition("## Beside")[0]
    with pytest.raises(ValueError, match="make bench-peers"):
        speed_table.figures({**BESIDE, "quick": True})


def test_the_tool_writes_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "latest.json"
    source.write_text(json.dumps(RESULTS))
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/performance.md"):
        (tmp_path / page).write_text((ROOT / page).read_text(encoding="utf-8"))
    monkeypatch.setattr(speed_table, "ROOT", tmp_path)
    speed_table.main(str(source))
    assert "1.51 x" in (tmp_path / "README.md").read_text()
    assert "copy=True | 2,000" in (tmp_path / "docs" / "performance.md").read_text()
