"""Every bar in one place. A row of the table judges one of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from ._measure import Series


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What one measured ratio, or figure, must be.

    A ratio is `theirs / ours` with `at_least` (times as fast), `ours / theirs` with `at_most`
    (times the cost). Without `theirs` it is the figure itself.
    """

    name: str
    contest: str
    ours: str
    theirs: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    goal: float | None = None
    unit: str = "x"

    def figure(self, ours: float, theirs: float | None) -> float:
        if theirs is None:
            return ours
        return theirs / ours if self.at_least is not None else ours / theirs

    def holds(self, figure: float) -> bool:
        if self.at_least is not None:
            return figure >= self.at_least
        return self.at_most is None or figure <= self.at_most

    def text(self) -> str:
        if self.at_least is None and self.at_most is None:
            return "-"
        sign, least = (">=", self.at_least) if self.at_least is not None else ("<=", self.at_most)
        goal = "" if self.goal is None else f" (goal {self.goal:g})"
        return f"{sign} {least:g} {self.unit}{goal}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A bar and what was measured. None: a peer is not installed."""

    bar: Bar
    median: float | None
    """Ratio of medians."""
    minimum: float | None
    """Ratio of minima."""

    @property
    def verdict(self) -> str:
        if self.median is None:
            return "not measured"
        if self.bar.at_least is None and self.bar.at_most is None:
            return "for information"
        return "ok" if self.bar.holds(self.median) else "MISSED"


STYLES = ("async for + send", "receive + send", "generator")
RAW = "trio memory channel"
SLICE = 250.0
"""Microseconds."""
HANDLERS = {"0": 0.0, "10 us": 10.0, "1 ms": 1000.0}


def _relays() -> list[Bar]:
    bars = [
        Bar(
            name=f"relays, {style}, to {theirs}",
            contest="relays",
            ours=f"trouper, {style}",
            theirs=theirs,
            at_least=least,
            goal=goal,
        )
        for style in STYLES
        for theirs, least, goal in ((RAW, 12.0, 15.0), ("asyncio.Queue", 1.25, 1.5))
    ]
    bars.append(
        Bar(
            name="relays, batch API, to asyncio.Queue",
            contest="relays",
            ours="trouper, batch",
            theirs="asyncio.Queue",
            at_least=5.0,
        )
    )
    bars += [
        Bar(
            name=f"relays at capacity 1, {style}",
            contest="relays_one",
            ours=f"trouper, {style}",
            theirs=RAW,
            at_least=1.3,
        )
        for style in STYLES
    ]
    return bars


def _fans() -> list[Bar]:
    return [
        Bar(name=f"{label}, {ours}", contest=contest, ours=ours, theirs=RAW, at_least=8.0)
        for contest, label in (("fan_in", "fan-in of 8"), ("broadcast", "broadcast to 8"))
        for ours in ("trouper", "trouper, generator")
    ]


def _lateness() -> list[Bar]:
    """One slice and one handler for each of the ten relays."""
    return [
        Bar(
            name=f"1 ms ticker beside 10 relays, handler {name}, p99",
            contest="lateness",
            ours=f"trouper, handler {name}, p99",
            at_most=10 * (SLICE + handler),
            unit="us",
        )
        for name, handler in HANDLERS.items()
    ]


def _tasks() -> list[Bar]:
    return [
        Bar(
            name=f"1,000 tasks, {label}, to {theirs}",
            contest=contest,
            ours="trouper, execute",
            theirs=theirs,
            at_most=most,
        )
        for contest, label in (("tasks_fan", "fan-out and fan-in"), ("tasks_chain", "chain"))
        for theirs, most in (("nursery.start_soon", 3.0), ("dask, synchronous", 1.0))
    ]


def _hosts() -> list[Bar]:
    bars: list[Bar] = []
    for host in ("thread", "guest"):
        ours = f"trouper, {host}"
        bars += [
            Bar(
                name=f"call from asyncio, {host}",
                contest="hosts_call",
                ours=ours,
                theirs="asyncio.to_thread",
                at_most=1.5,
            ),
            Bar(
                name=f"calls from 64 tasks of asyncio, {host}",
                contest="hosts_callers",
                ours=ours,
                theirs="anyio's portal",
                at_least=2.5,
            ),
            Bar(
                name=f"stream into asyncio, {host}",
                contest="hosts_stream",
                ours=ours,
                theirs="asyncio.Queue",
                at_least=1.0,
            ),
        ]
    bars.append(
        Bar(
            name="1 ms ticker of asyncio beside a saturated workflow, thread, p99",
            contest="hosts_lateness",
            ours="trouper, thread p99",
            at_most=5_000.0,
            unit="us",
        )
    )
    bars.append(
        Bar(
            name="memory of a service with 1,000 clients of an event stream",
            contest="streams_memory",
            ours="trouper",
            at_most=256.0,
            unit="MiB",
        )
    )
    return bars


def _assets() -> list[Bar]:
    return [
        Bar(
            name="ctx.log(name).append, a line",
            contest="log_lines",
            ours="ctx.log(name).append, all",
            theirs="buffered file",
            at_most=4.0,
        ),
        Bar(
            name="ctx.log(name).append, the last 100,000 of a million lines to the first",
            contest="log_lines",
            ours="ctx.log(name).append, last tenth",
            theirs="ctx.log(name).append, first tenth",
            at_most=1.5,
        ),
        Bar(
            name="artifact.save of 1 KiB",
            contest="artifact_save",
            ours="artifact.save",
            theirs="bare atomic write",
            at_most=3.0,
        ),
        Bar(
            name="memory of an artifact of 256 MiB to one of 4 MiB",
            contest="artifact_memory",
            ours="of 256 MiB",
            theirs="of 4 MiB",
            at_most=1.25,
        ),
        Bar(
            name="10,000 assets from 8 processes",
            contest="asset_rows",
            ours="manifests and catalog",
            theirs="bare SQLite",
            at_most=2.0,
        ),
        Bar(
            name="query by producer of 1,000,000 assets",
            contest="asset_query",
            ours="query_assets",
            theirs="bare select",
            at_most=10.0,
        ),
    ]


BARS: tuple[Bar, ...] = (
    *_relays(),
    *_fans(),
    *_lateness(),
    Bar(
        name="cost per hop, dearest to cheapest of 1, 10, 100, 1000 stages",
        contest="stages",
        ours="*dearest",
        theirs="*cheapest",
        at_most=1.6,
    ),
    Bar(
        name="10,000 actors, one message per wake-up",
        contest="pairs",
        ours="trouper",
        theirs=RAW,
        at_least=1.0,
    ),
    Bar(name="1 MB to an int", contest="payload", ours="1 MB", theirs="an int", at_most=1.25),
    Bar(name="memory of an idle actor", contest="memory", ours="trouper", at_most=8.0, unit="KiB"),
    *(
        Bar(
            name=f"10,000 actors start and stop, {shape}",
            contest="start_stop",
            ours=f"trouper, {shape}, start and stop",
            theirs="trio task and memory channel",
            at_most=2.0,
        )
        for shape in ("chain", "star")
    ),
    *_tasks(),
    Bar(
        name="restart after a crash",
        contest="restarts",
        ours="trouper",
        theirs="bare trio task",
        at_most=2.5,
    ),
    *(
        Bar(
            name=f"stop 10,000 children instead of 1,000, {kind}",
            contest="stops",
            ours=f"{kind}, 10,000",
            theirs=f"{kind}, 1,000",
            at_most=12.0,
        )
        for kind in ("group", "pool")
    ),
    Bar(
        name="ask and reply",
        contest="asks",
        ours="trouper",
        theirs="pair of trio channels",
        at_least=2.0,
    ),
    *_hosts(),
    *_assets(),
)


def judge(bar: Bar, series: Mapping[str, Series]) -> Row:
    """Return the row of a bar, given the samples of its contest."""
    ours, theirs = _find(bar.ours, series), _find(bar.theirs, series)
    if ours is None or (theirs is None and bar.theirs is not None):
        return Row(bar=bar, median=None, minimum=None)
    return Row(
        bar=bar,
        median=bar.figure(ours.median, None if theirs is None else theirs.median),
        minimum=bar.figure(ours.minimum, None if theirs is None else theirs.minimum),
    )


def _find(variant: str | None, series: Mapping[str, Series]) -> Series | None:
    """Return the samples of a variant; `*dearest` and `*cheapest` choose by median."""
    if variant in ("*dearest", "*cheapest"):
        ordered = sorted(series.values(), key=lambda each: each.median)
        return ordered[0 if variant == "*cheapest" else -1]
    return None if variant is None else series.get(variant)
