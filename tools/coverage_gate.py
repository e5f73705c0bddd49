"""Hold the coverage limits: 100 % of channels/ and actors/, 95 % of the rest, branches included.

Run after `coverage json`: python tools/coverage_gate.py coverage.json
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    folders: tuple[str, ...]
    least: float
    """Percent of lines and branches together."""


GROUPS = (
    Group("channels", ("channels",), 100.0),
    Group("actors", ("actors",), 100.0),
    Group("the rest", ("runtime", "src/trouper"), 95.0),
)


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of a file can be run, and how much was: lines and branches."""

    possible: int
    covered: int


def tally(summary: Mapping[str, Any]) -> Tally:
    return Tally(
        summary["num_statements"] + summary["num_branches"],
        summary["covered_lines"] + summary["covered_branches"],
    )


def group_of(path: str) -> Group | None:
    for group in GROUPS:
        if any(path.startswith(f"{folder}/") for folder in group.folders):
            return group
    return None


def judge(measured: Mapping[str, Tally], on_disk: Iterable[str]) -> Sequence[str]:
    """Return one line for each broken limit; none when all hold."""
    faults = [f"{path}: not measured" for path in sorted(set(on_disk) - set(measured))]
    faults += [f"{path}: in no group" for path in sorted(measured) if group_of(path) is None]
    if not sum(each.possible for each in measured.values()):
        faults.append("nothing was measured: run `coverage run -m pytest` from the top folder")
    for group in GROUPS:
        files = [each for path, each in measured.items() if group_of(path) is group]
        possible = sum(each.possible for each in files)
        covered = sum(each.covered for each in files)
        if 100.0 * covered < group.least * possible:
            percent = 100.0 * covered / possible
            faults.append(f"{group.name}: {percent:.2f} %, must be {group.least:g} %")
    return faults


def sources(root: Path) -> Iterable[str]:
    """Every module, by its real path: links are not followed, so each comes once."""
    for group in GROUPS:
        for folder in group.folders:
            for path in sorted((root / folder).rglob("*.py")):
                if path.resolve() == path.absolute():
                    yield path.relative_to(root).as_posix()


def main(report: Path) -> int:
    root = Path(__file__).resolve().parent.parent
    files: Mapping[str, Any] = json.loads(report.read_text())["files"]
    measured = {path: tally(each["summary"]) for path, each in files.items()}
    faults = judge(measured, sources(root))
    for fault in faults:
        print(f"coverage: {fault}", file=sys.stderr)
    if not faults:
        print(f"coverage: the limits hold ({len(measured)} files)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
