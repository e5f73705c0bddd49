"""The table for people and the JSON for machines. Neither names the machine or its folders."""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._bars import Row
from ._measure import Contest, Series
from ._peers import is_installed

PACKAGES = ("trouper", "trio", "anyio", "msgspec", "uvloop", "dask")


def machine() -> Mapping[str, Any]:
    """Return what the figures depend on."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES if is_installed(name)}
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": sys.platform,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        **versions,
    }


def machine_line() -> str:
    return ", ".join(f"{key} {value}" for key, value in machine().items())


def contest_table(contest: Contest, series: Mapping[str, Series]) -> Iterator[str]:
    """Yield a contest's figures as markdown."""
    yield f"\n### {contest.name}: {contest.title}\n"
    yield f"| variant | median, {contest.unit} | minimum | to baseline (medians) | (minima) |"
    yield "|---|---:|---:|---:|---:|"
    base = series.get(contest.baseline)
    for name, each in series.items():
        figures = f"{_number(each.median)} | {_number(each.minimum)}"
        if base is None:
            ratios = " | "
        else:
            ratios = f"{each.median / base.median:.2f} | {each.minimum / base.minimum:.2f}"
        yield f"| {name} | {figures} | {ratios} |"


def bar_table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the judged rows as markdown."""
    yield "\n## Bars\n"
    yield "| what | bar | measured (medians) | (minima) | |"
    yield "|---|---|---:|---:|---|"
    for row in rows:
        bar, verdict = row.bar, row.verdict
        mark = "**MISSED**" if verdict == "MISSED" else verdict
        median, minimum = _figure(row.median), _figure(row.minimum)
        yield f"| {bar.name} | {bar.text()} | {median} | {minimum} | {mark} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def write_json(
    path: Path,
    rows: Sequence[Row],
    measured: Sequence[tuple[Contest, Mapping[str, Series]]],
    *,
    quick: bool,
) -> None:
    """Write all that was measured."""
    document = {
        "machine": machine(),
        "quick": quick,
        "rows": [
            {
                "name": row.bar.name,
                "contest": row.bar.contest,
                "bar": row.bar.text(),
                "goal": row.bar.goal,
                "measured": row.median,
                "measured_by_minima": row.minimum,
                "verdict": row.verdict,
            }
            for row in rows
        ],
        "contests": {
            contest.name: {
                "title": contest.title,
                "unit": contest.unit,
                "baseline": contest.baseline or None,
                "variants": {
                    name: {"median": each.median, "minimum": each.minimum, "rounds": each.values}
                    for name, each in series.items()
                },
            }
            for contest, series in measured
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
