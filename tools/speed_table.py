"""Write the measured figures into README.md and docs/performance.md, between their marks.

    make bench && python tools/speed_table.py

Nothing else writes there, so no figure stands on a page that was not measured.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
_MARKED = re.compile(r"(<!-- figures: begin[^\n]*-->\n).*?(<!-- figures: end -->)", re.DOTALL)
IN_README = (
    "relays, async for + send",
    "relays, generator",
    "relays, batch API",
    "relays at capacity 1, async for",
    "fan-in of 8, trouper",
    "broadcast to 8, trouper",
    "1 ms ticker beside 10 relays, handler 10 us",
    "10,000 actors",
)
"""Beginnings of the rows that the README shows."""


def figures(results: Mapping[str, Any], only: Sequence[str] | None = None) -> str:
    """Return the table of bars as markdown.

    Raises:
        ValueError: the figures come from a smoke run.
    """
    if results["quick"]:
        raise ValueError("these are figures of --quick, which say nothing; run `make bench`")
    rows = [
        row for row in results["rows"] if only is None or any(map(row["name"].startswith, only))
    ]
    lines = ["| what | measured | asked for | |", "|---|---:|---|---|"]
    lines += [
        f"| {row['name']} | {_figure(row)} | {row['bar']} | {_verdict(row)} |" for row in rows
    ]
    machine = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    verdicts = [row["verdict"] for row in results["rows"]]
    met, missed = verdicts.count("ok"), verdicts.count("MISSED")
    told = f"Of all {met + missed} bars {met} were met and {missed} missed."
    return "\n".join([*lines, "", f"{told} Measured with `make bench` on: {machine}.", ""])


def costs(results: Mapping[str, Any]) -> str:
    """Return what each feature costs, as markdown."""
    contest = results["contests"]["cost"]
    full = contest["variants"][contest["baseline"]]["median"]
    lines = [f"\n{contest['title']}:\n", f"| with | {contest['unit']} | times |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {each['median']:,.0f} | {each['median'] / full:.2f} |"
        for name, each in contest["variants"].items()
    ]
    return "\n".join([*lines, ""])


def _figure(row: Mapping[str, Any]) -> str:
    value = row["measured"]
    if value is None:
        return "not measured"
    unit = re.search(r" (x|us|KiB)\b", row["bar"])
    return f"{value:,.{0 if value >= 100 else 2}f} {unit[1] if unit else 'x'}"


def _verdict(row: Mapping[str, Any]) -> str:
    return {"ok": "met", "MISSED": "**missed**"}.get(row["verdict"], "")


def put_into(page: str, text: str) -> str:
    """Return a page with its marked part replaced."""
    found, count = _MARKED.subn(lambda marks: f"{marks[1]}{text}{marks[2]}", page)
    if count != 1:
        raise ValueError("the page needs one pair of marks: figures: begin, figures: end")
    return found


def pages(results: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    yield ROOT / "README.md", figures(results, IN_README)
    yield ROOT / "docs" / "performance.md", figures(results) + costs(results)


def main(source: str | None = None) -> None:
    results = json.loads(Path(source or RESULTS).read_text(encoding="utf-8"))
    for page, text in pages(results):
        page.write_text(put_into(page.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
