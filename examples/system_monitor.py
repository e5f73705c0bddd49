"""Watch this machine: vitals, busiest processes, a log file; write an alert for what is unusual.

    trouper run examples/system_monitor.py         draws the graph, and the machine below it
    python examples/system_monitor.py              draws the machine

Ctrl-C, or `--for SECONDS`, drains: all that was read is judged and written before it ends. Needs
psutil: `pip install 'trouper[monitor]'`. Configuration, each as `--override KEY=VALUE`:

    log=PATH             follow this log file through rotation; it need not exist yet
    alerts=PATH          where alerts go, one JSON object a line (.trouper/alerts.jsonl)
    limits.cpu=90        percent, the mean of all cores; likewise memory, and process (of one core)
    limits.jump=10       how many times its usual value a disk or network rate may be, ...
    limits.floor=1e6     ... once it is above so many bytes a second
    limits.pattern=RE    lines of the log that are alerts, in upper or lower case
    pace.vitals=0.5      seconds between two looks; likewise pace.processes and pace.log
    top=5                how many processes are watched
    table=false          don't draw the machine (only a terminal ever is drawn on)
    chaos=true           `anomalies` crashes on every fifth look, and each time on every third list
                         of processes, which ends as a dead letter; limits are a twentieth, so that
                         there are alerts to lose

Rule 1: a crash loses no alert and writes none twice. The outputs of `anomalies` are held until its
message is done, and what it remembers between messages belongs to the run, not to an incarnation.
Rule 2: what is drawn may be skipped (`latest`), what is judged may not (`block`).
Rule 3: text from outside is made plain where it enters, so no later place can forget it.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Set
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import trio
from monitoring.log_tail import LogTail
from monitoring.machine import (
    Process,
    Vitals,
    compute_vitals,
    find_busiest,
    read_counters,
    read_usage,
)
from monitoring.screen import closing_report, open_screen

import trouper
from trouper import ActorContext, Backoff, Edge, Envelope, TaskContext

wf = trouper.Workflow("system-monitor")

# -- configuration -----------------------------------------------------------------------------

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Above these an alert is raised; below nine tenths it is cleared."""

    cpu: Positive = 90.0
    memory: Positive = 90.0
    process: Positive = 80.0
    jump: Positive = 10.0
    floor: Positive = 1e6
    pattern: str = r"\b(error|critical|fatal|panic|traceback)\b"


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds between two looks."""

    vitals: Positive = 0.5
    processes: Positive = 2.0
    log: Positive = 0.25


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ctx.config`, checked."""

    log: str | None = None
    alerts: str | None = None
    limits: Limits = Limits()
    pace: Pace = Pace()
    top: Annotated[int, msgspec.Meta(ge=1)] = 5
    table: bool = True
    chaos: bool = False

    @property
    def alerts_path(self) -> Path:
        home = os.environ.get("TROUPER_HOME") or ".trouper"
        return Path(self.alerts or Path(home) / "alerts.jsonl")


def check_settings(ctx: TaskContext[Any, Any, Any]) -> Settings:
    """Return what was configured.

    Raises:
        ValueError: a key is unknown or a value is not legal; the text names both.
    """
    try:
        return msgspec.convert(ctx.config.to_dict(), Settings)
    except msgspec.ValidationError as problem:
        known = ", ".join(Settings.__struct_fields__)
        raise ValueError(f"the configuration can't be used: {problem}; keys: {known}") from None


def read_settings(ctx: TaskContext[Any, Any, Any]) -> Settings:
    """Return what was configured; if that is not legal, the defaults.

    Then `thresholds` is about to end the run, and one complaint is enough.
    """
    try:
        return check_settings(ctx)
    except ValueError:
        return Settings(table=False)


@wf.task
def thresholds(ctx: TaskContext[None, None, None]) -> Limits:
    """Check the whole configuration before anything is judged, and give the limits."""
    settings = check_settings(ctx)
    limits = settings.limits
    try:
        re.compile(limits.pattern)
    except re.error as problem:
        raise ValueError(f"limits.pattern={limits.pattern!r} is no pattern: {problem}") from None
    if settings.log is not None and Path(settings.log).is_dir():
        raise ValueError(f"log={settings.log!r} is a folder; name a file in it")
    if settings.alerts_path.is_dir():
        raise ValueError(f"alerts={settings.alerts!r} is a folder; name a file in it")
    settings.alerts_path.parent.mkdir(parents=True, exist_ok=True)
    if not settings.chaos:
        return limits
    lower = {name: getattr(limits, name) / 20 for name in ("cpu", "memory", "process")}
    return msgspec.structs.replace(limits, **lower)


# -- three sources, each at its own pace -------------------------------------------------------


class Busiest(msgspec.Struct, frozen=True):
    """The busiest processes, busiest first."""

    at: datetime
    processes: tuple[Process, ...]


class LogLine(msgspec.Struct, frozen=True):
    """One line that was appended to the log."""

    at: datetime
    text: str


@wf.actor
async def vitals(ctx: ActorContext[None, None, None, Vitals]) -> None:
    """Look at the machine as a whole."""
    before = await trio.to_thread.run_sync(read_counters)
    async for tick in ctx.every(read_settings(ctx).pace.vitals):
        if tick:
            after = await trio.to_thread.run_sync(read_counters)
            await ctx.send(compute_vitals(before, after))
            before = after


@wf.actor
async def processes(ctx: ActorContext[None, None, None, Busiest]) -> None:
    """Look for the busiest processes."""
    settings = read_settings(ctx)
    before = await trio.to_thread.run_sync(read_usage)
    async for tick in ctx.every(settings.pace.processes):
        if tick:
            after = await trio.to_thread.run_sync(read_usage)
            found = find_busiest(before, after, settings.top)
            await ctx.send(Busiest(datetime.now(UTC), found))
            before = after


@wf.actor
async def log_lines(ctx: ActorContext[None, None, None, LogLine]) -> None:
    """Follow the log, if there is one to follow; otherwise end at once."""
    settings = read_settings(ctx)
    if settings.log is None:
        return
    with closing(LogTail(settings.log)) as tail:
        async for _ in ctx.every(settings.pace.log):
            # Abandoned, because a file on a dead network drive would hold up the end of the run.
            while lines := await trio.to_thread.run_sync(tail.poll, abandon_on_cancel=True):
                now = datetime.now(UTC)
                await ctx.send_many([LogLine(now, line) for line in lines])


# -- the judge ---------------------------------------------------------------------------------


class Alert(msgspec.Struct, frozen=True):
    """One line of the alerts file."""

    at: datetime
    about: str
    change: Literal["raised", "cleared", "logged"]
    value: float | None = None
    limit: float | None = None
    text: str = ""


class Memory(msgspec.Struct, frozen=True):
    """What the judge remembers between two messages."""

    raised: Mapping[str, Set[str]] = {}
    """Source -> what it has raised an alert about."""
    usual: Mapping[str, float] = {}
    """Rate -> its moving mean, bytes a second."""


class Settled(TypedDict):
    """What stands in `ctx.inputs`."""

    thresholds: Limits


class Seen(Settled, total=False):
    """What each message has one of."""

    vitals: Vitals
    processes: Busiest
    log_lines: LogLine


Measures = Mapping[str, tuple[float, float]]
"""What about -> value and limit."""


def judge(seen: Seen, limits: Limits, memory: Memory) -> tuple[list[Alert], Memory]:
    """Return the alerts for one message, and what to remember."""
    if "vitals" in seen:
        look = seen["vitals"]
        alerts, memory = compare("vitals", look.at, measure(look, limits, memory), memory)
        usual = {
            name: 0.9 * memory.usual.get(name, rate) + 0.1 * rate
            for name, rate in look.rates.items()
        }
        return alerts, msgspec.structs.replace(memory, usual=usual)
    if "processes" in seen:
        found = seen["processes"]
        shares = {
            f"process {each.pid} {each.name}": (each.cpu, limits.process)
            for each in found.processes
        }
        return compare("processes", found.at, shares, memory)
    if "log_lines" in seen:
        line = seen["log_lines"]
        if re.search(limits.pattern, line.text, re.IGNORECASE):
            return [Alert(line.at, "log", "logged", text=line.text)], memory
    return [], memory


def measure(look: Vitals, limits: Limits, memory: Memory) -> Measures:
    mean = sum(look.cpu) / max(1, len(look.cpu))
    rates = {
        name: (rate, max(limits.floor, limits.jump * memory.usual.get(name, rate)))
        for name, rate in look.rates.items()
    }
    return {"cpu": (mean, limits.cpu), "memory": (look.memory, limits.memory), **rates}


def compare(
    source: str, at: datetime, measures: Measures, memory: Memory
) -> tuple[list[Alert], Memory]:
    """Return an alert for all that went above its limit, or came back well below it."""
    before = memory.raised.get(source, frozenset())
    over = {
        about
        for about, (value, limit) in measures.items()
        if value > limit or (about in before and value > 0.9 * limit)
    }
    alerts = [Alert(at, about, "raised", *measures[about]) for about in sorted(over - before)]
    for about in sorted(before - over):
        # What is no longer seen (a process that has ended) has no value any more.
        value, limit = measures.get(about, (None, None))
        alerts.append(Alert(at, about, "cleared", value, limit))
    return alerts, msgspec.structs.replace(memory, raised={**memory.raised, source: over})


@wf.actor(
    depends_on=["thresholds", "vitals", "processes", "log_lines"],
    outputs={"alerts": Alert},
    on_redelivery="hold",
    max_restarts=20,
    backoff=Backoff(min=0.02, max=0.1, reset_after=0.5),
)
async def anomalies(ctx: ActorContext[None, None, Seen]) -> None:
    """Tell what is unusual."""
    limits, chaos = ctx.inputs["thresholds"], read_settings(ctx).chaos
    async for seen in ctx:
        alerts, memory = judge(seen, limits, ctx.get_result("memory", Memory()))
        for alert in alerts:
            await ctx.send(alert, to="alerts")
        if chaos and ctx.message is not None:
            cause_chaos(ctx.message)
        # Last: a crash before this line leaves the message as if it had never been looked at.
        ctx.set_result("memory", memory)


class Chaos(Exception):
    """Not a bug: `chaos=true`."""


def cause_chaos(message: Envelope[Any]) -> None:
    if message.source == "processes" and message.seq % 3 == 0:
        raise Chaos(f"list {message.seq} of processes is poison, attempt {message.attempt}")
    if message.source == "vitals" and message.seq % 5 == 0 and message.attempt == 1:
        raise Chaos(f"look {message.seq} at the vitals")


# -- the sink ----------------------------------------------------------------------------------

Shown = TypedDict(
    "Shown", {"anomalies.alerts": Alert, "vitals": Vitals, "processes": Busiest}, total=False
)


@wf.actor(
    depends_on={
        "anomalies.alerts": Edge(),
        "vitals": Edge(overflow="latest"),
        "processes": Edge(overflow="latest"),
    }
)
async def sink(ctx: ActorContext[None, None, Shown]) -> None:
    """Write alerts as JSON lines, and draw the machine if that is wanted."""
    settings = read_settings(ctx)
    with open_screen(settings.table) as screen:
        async for seen in ctx:
            alert, busiest = seen.get("anomalies.alerts"), seen.get("processes")
            # In threads: a disk may be slow, and a terminal may be stopped.
            if alert is not None:
                line = msgspec.json.encode(alert)
                await trio.to_thread.run_sync(append_line, settings.alerts_path, line)
            if screen.is_on:
                change = partial(
                    screen.show,
                    vitals=seen.get("vitals"),
                    processes=None if busiest is None else busiest.processes,
                    alert=None if alert is None else describe(alert),
                )
                await trio.to_thread.run_sync(change)


def describe(alert: Alert) -> str:
    """Return one line for people."""
    value = "" if alert.value is None else f" {alert.value:,.1f} (limit {alert.limit:,.1f})"
    return f"{alert.at:%H:%M:%S} {alert.about} {alert.change}{value} {alert.text}".rstrip()


def append_line(path: Path, line: bytes) -> None:
    """Append one line, whole, to whatever file has that name now."""
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # someone was killed in the middle of a line
                line = b"\n" + line
        file.write(line + b"\n")


# -- without the command line tool -------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Watch this machine; more in the file itself.")
    parser.add_argument("--for", dest="seconds", type=float, help="end after so many seconds")
    parser.add_argument("--log", help="follow this log file")
    parser.add_argument("--alerts", help="where alerts go (.trouper/alerts.jsonl)")
    parser.add_argument("--chaos", action="store_true", help="make a part of it crash")
    given = parser.parse_args()
    config = {key: value for key, value in vars(given).items() if key != "seconds"}
    result = trouper.run(wf, duration=given.seconds, config=config)
    print(closing_report(result))
    return 130 if result.interrupted else int(not result.ok)


if __name__ == "__main__":
    sys.exit(main())
