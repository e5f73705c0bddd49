"""Measure trouper beside its peers: `python -m benchmarks [--quick] [--only NAME ...] [--strict]`.

Everything in one run, the variants of each contest in turn, judged by ratios of medians. A full run
takes some minutes.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import (
    _asks,
    _assets,
    _cost,
    _fans,
    _hosts,
    _idle,
    _lateness,
    _relays,
    _restarts,
    _scale,
    _stops,
    _streams,
    _tasks,
)
from ._bars import BARS, judge
from ._measure import Contest, Scale, Series, measure
from ._report import bar_table, contest_table, machine_line, write_json

CONTESTS: Mapping[str, Callable[[Scale], Contest]] = {
    "relays": _relays.relays,
    "relays_one": _relays.relays_one,
    "cost": _cost.cost,
    "fan_in": _fans.fan_in,
    "broadcast": _fans.broadcast,
    "lateness": _lateness.lateness,
    "stages": _scale.stages,
    "pairs": _scale.pairs,
    "payload": _scale.payload,
    "memory": _idle.memory,
    "start_stop": _idle.start_stop,
    "tasks_fan": _tasks.tasks_fan,
    "tasks_chain": _tasks.tasks_chain,
    "restarts": _restarts.restarts,
    "stops": _stops.stops,
    "asks": _asks.asks,
    "hosts_call": _hosts.hosts_call,
    "hosts_callers": _hosts.hosts_callers,
    "hosts_stream": _hosts.hosts_stream,
    "hosts_lateness": _hosts.hosts_lateness,
    "streams_memory": _streams.streams_memory,
    "log_lines": _assets.log_lines,
    "artifact_save": _assets.artifact_save,
    "artifact_memory": _assets.artifact_memory,
    "asset_rows": _assets.asset_rows,
    "asset_query": _assets.asset_query,
}
RESULTS = Path(__file__).parent / "results" / "latest.json"


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    _, details = (__doc__ or "").split("\n\n", 1)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=details)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say nothing")
    parser.add_argument(
        "--only", action="append", choices=CONTESTS, metavar="NAME", help=f"{', '.join(CONTESTS)}"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each contest (default: its own)")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--list", action="store_true", help="name the rows and leave")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = _arguments(given)
    names = options.only or list(CONTESTS)
    bars = [bar for bar in BARS if bar.contest in names]
    if options.list:
        print("\n".join(bar.name for bar in bars))
        return 0
    # Crashes on purpose and busy handlers are what is measured; nobody needs to hear of them.
    logging.getLogger("trouper").setLevel(logging.CRITICAL)
    scale = Scale(quick=options.quick)
    print(f"# Speed\n\n{machine_line()}{', --quick: smoke only' if scale.quick else ''}")
    measured: dict[str, tuple[Contest, Mapping[str, Series]]] = {}
    for name in names:
        contest = CONTESTS[name](scale)
        series = measure(contest, options.rounds or scale.rounds(contest.rounds))
        measured[name] = contest, series
        print("\n".join(contest_table(contest, series)), flush=True)
    rows = [judge(bar, measured[bar.contest][1]) for bar in bars]
    print("\n".join(bar_table(rows)))
    write_json(options.json, rows, list(measured.values()), quick=scale.quick)
    missed = any(row.verdict == "MISSED" for row in rows)
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
