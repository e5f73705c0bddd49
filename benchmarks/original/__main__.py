"""Measure trouper beside the original SDK: `python -m benchmarks.original --peer PYTHON`.

PYTHON is that of an environment which holds it; `make bench-peers` makes one.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from .._bars import Bar, judge
from .._measure import Contest, Scale, Series, measure
from .._report import bar_table, contest_table, machine_line, write_json
from ._recorded import refuse_unrecorded
from ._workers import Worker, both, import_seconds

RESULTS = Path(__file__).parents[1] / "results" / "original.json"
OURS, THEIRS, BASE = "trouper", "the original", "trio, msgspec, anyio, attrs"
CALLS = 300
LENGTH = 10_000

BARS = (
    *(
        Bar(
            name=f"{CALLS} nested tasks, {what}, recorded",
            contest=contest,
            ours=OURS,
            theirs=THEIRS,
            at_least=10.0,
        )
        for contest, what in (("one_by_one", "one by one"), ("side_by_side", "side by side"))
    ),
    Bar(
        name=f"a list of {LENGTH:,} int as argument and result",
        contest="with_list",
        ours=OURS,
        theirs=THEIRS,
        at_least=100.0,
    ),
    Bar(
        name="import trouper, to its base libraries",
        contest="imports",
        ours=OURS,
        theirs=BASE,
        at_most=1.3,
    ),
    Bar(
        name="import trouper, to the original's",
        contest="imports",
        ours=OURS,
        theirs=THEIRS,
        at_most=1.0,
    ),
)


def contests(scale: Scale, ours: Worker, theirs: Worker, peer: str, folder: Path) -> list[Contest]:
    """Return what is measured."""
    calls, length = scale.n(CALLS), scale.n(LENGTH)
    made = [
        Contest(
            name=name,
            title=f"{calls} trivial tasks, {title}",
            unit="us per task",
            variants={
                label: partial(_us_per_call, worker, name, calls)
                for label, worker in ((OURS, ours), (THEIRS, theirs))
            },
            rounds=9,
            baseline=OURS,
        )
        for name, title in (("one_by_one", "one by one"), ("side_by_side", "side by side"))
    ]
    made.append(
        Contest(
            name="with_list",
            title=f"a list of {length:,} int to a task and back",
            unit="us per task",
            variants={
                OURS: partial(_us_with_list, ours, 20, length),
                THEIRS: partial(_us_with_list, theirs, 2, length),
            },
            rounds=5,
            baseline=OURS,
        )
    )
    imports = {
        OURS: (sys.executable, "trouper"),
        "trouper, with tasks": (sys.executable, "trouper; trouper.TaskEnvironment"),
        BASE: (sys.executable, "trio, msgspec, anyio, attrs"),
        THEIRS: (peer, "flyte"),
    }
    made.append(
        Contest(
            name="imports",
            title="processor time of an import",
            unit="ms",
            variants={
                label: partial(_ms_of_import, python, modules, folder)
                for label, (python, modules) in imports.items()
            },
            rounds=15,
            baseline=BASE,
        )
    )
    return made


def _us_per_call(worker: Worker, task: str, calls: int) -> float:
    return worker.seconds(task, calls, output=calls) * 1e6 / calls


def _us_with_list(worker: Worker, calls: int, length: int) -> float:
    return worker.seconds("with_list", calls, length, output=length) * 1e6 / calls


def _ms_of_import(python: str, modules: str, folder: Path) -> float:
    return import_seconds(python, modules, folder) * 1e3


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.original", description=__doc__)
    parser.add_argument("--peer", required=True, help="the Python that has the original SDK")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say nothing")
    parser.add_argument("--rounds", type=int, help="rounds of each contest (default: its own)")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the JSON goes")
    options = parser.parse_args(given)
    # Not resolved: the link is what makes it an environment's.
    peer = str(Path(options.peer).absolute())
    scale = Scale(quick=options.quick)
    measured: dict[str, tuple[Contest, Mapping[str, Series]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with both(peer, folder) as (ours, theirs):
            print(f"# Beside the original\n\n{machine_line()}, flyte {theirs.about['version']}")
            for contest in contests(scale, ours, theirs, peer, folder):
                series = measure(contest, options.rounds or scale.rounds(contest.rounds))
                measured[contest.name] = contest, series
                print("\n".join(contest_table(contest, series)), flush=True)
        refuse_unrecorded(folder / "ours", CALLS if not scale.quick else scale.n(CALLS))
    rows = [judge(bar, measured[bar.contest][1]) for bar in BARS]
    print("\n".join(bar_table(rows)))
    write_json(options.json, rows, list(measured.values()), quick=scale.quick)
    missed = any(row.verdict == "MISSED" for row in rows)
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
