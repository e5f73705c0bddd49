"""Write the measured figures into README.md and docs/performance.md, between their marks.

    make bench && python tools/speed_table.py
    make bench-peers && python tools/speed_table.py benchmarks/results/original.json

Which of the two a file is of stands in it. Nothing else writes there, so no figure stands on a
page that was not measured.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
_MARKED = r"(<!-- {mark}: begin[^\n]*-->\n).*?(<!-- {mark}: end -->)"
FIGURES, ORIGINAL = "figures", "original"
"""The marks: of `make bench`, and of `make bench-peers`."""
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
    target = _target(results)
    if results["quick"]:
        raise ValueError(f"these are figures of --quick, which say nothing; run `{target}`")
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
    return "\n".join([*lines, "", f"{told} Measured with `{target}` on: {machine}.", ""])


def _target(results: Mapping[str, Any]) -> str:
    return "make bench-peers" if is_beside_original(results) else "make bench"


def is_beside_original(results: Mapping[str, Any]) -> bool:
    """Return whether these are the figures of `make bench-peers`."""
    return "one_by_one" in results["contests"]


def contests(results: Mapping[str, Any]) -> str:
    """Return the medians of each contest, as markdown."""
    lines = ["\n| | | median | fastest |", "|---|---|---:|---:|"]
    for contest in results["contests"].values():
        lines += [
            f"| {contest['title']} | {name} | {_rounded(each['median'])} {contest['unit']} | "
            f"{_rounded(each['minimum'])} |"
            for name, each in contest["variants"].items()
        ]
    return "\n".join([*lines, ""])


def _rounded(value: float) -> str:
    return f"{value:,.{0 if value >= 100 else 1}f}"


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


def put_into(page: str, text: str, mark: str = FIGURES) -> str:
    """Return a page with its marked part replaced."""
    marked = re.compile(_MARKED.format(mark=mark), re.DOTALL)
    found, count = marked.subn(lambda marks: f"{marks[1]}{text}{marks[2]}", page)
    if count != 1:
        raise ValueError(f"the page needs one pair of marks: {mark}: begin, {mark}: end")
    return found


def pages(results: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield each page, the mark of the part that is written, and its text."""
    performance = ROOT / "docs" / "performance.md"
    if is_beside_original(results):
        yield performance, ORIGINAL, figures(results) + contests(results)
        return
    yield ROOT / "README.md", FIGURES, figures(results, IN_README)
    yield performance, FIGURES, figures(results) + costs(results)


def main(source: str | None = None) -> None:
    results = json.loads(Path(source or RESULTS).read_text(encoding="utf-8"))
    for page, mark, text in pages(results):
        page.write_text(put_into(page.read_text(encoding="utf-8"), text, mark), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
