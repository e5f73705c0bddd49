"""What the machine does, from what it has counted.

Rule 1: rates come from counters and real seconds; a counter that starts again counts as still.
Rule 2: nothing here waits for anything but the kernel; callers choose the thread.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from .plain import plain

try:
    import psutil  # type: ignore[import-untyped]  # it has no annotations
except ImportError:
    raise ImportError(
        "the system monitor needs psutil; install it: pip install 'trouper[monitor]'"
    ) from None


class Vitals(msgspec.Struct, frozen=True):
    """The machine as a whole, between two looks."""

    at: datetime
    cpu: tuple[float, ...]
    """Percent, of each core."""
    memory: float
    """Percent."""
    rates: Mapping[str, float]
    """Bytes a second: `disk read`, `disk write`, `net in`, `net out`."""


class Process(msgspec.Struct, frozen=True):
    """One process, between two looks."""

    pid: int
    name: str
    cpu: float
    """Percent of one core."""
    memory: int
    """Bytes resident."""


class Counters(msgspec.Struct, frozen=True):
    """What the machine has counted so far."""

    seconds: float
    cores: tuple[tuple[float, float], ...]
    """Seconds busy and seconds in all, of each core."""
    totals: Mapping[str, int]
    """Bytes."""
    memory: float
    """Percent in use right now."""


def read_counters() -> Counters:
    """Read the counters of the whole machine."""
    disk, net = _read(psutil.disk_io_counters), _read(psutil.net_io_counters)
    places = {
        "disk read": (disk, "read_bytes"),
        "disk write": (disk, "write_bytes"),
        "net in": (net, "bytes_recv"),
        "net out": (net, "bytes_sent"),
    }
    return Counters(
        seconds=time.monotonic(),
        cores=tuple(_core(times) for times in psutil.cpu_times(percpu=True)),
        totals={name: getattr(found, field, 0) for name, (found, field) in places.items()},
        memory=psutil.virtual_memory().percent,
    )


def _read(counters: Callable[[], Any]) -> Any:
    """Return counters; None where the machine (a container, say) does not show them."""
    try:
        return counters()
    except (OSError, NotImplementedError, RuntimeError):
        return None


def _core(times: Any) -> tuple[float, float]:
    # A guest's seconds are counted among the user's too.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def compute_vitals(before: Counters, after: Counters) -> Vitals:
    """Return what happened between two looks."""
    seconds = max(after.seconds - before.seconds, 1e-9)
    return Vitals(
        at=datetime.now(UTC),
        # A core may have come or gone in between: then the shorter list rules.
        cpu=tuple(
            _percent(now[0] - then[0], now[1] - then[1])
            for then, now in zip(before.cores, after.cores, strict=False)
        ),
        memory=after.memory,
        rates={
            name: max(0, total - before.totals.get(name, total)) / seconds
            for name, total in after.totals.items()
        },
    )


def _percent(part: float, whole: float) -> float:
    return min(100.0, max(0.0, 100 * part / whole)) if whole > 0 else 0.0


class Used(msgspec.Struct, frozen=True):
    """What one process has used so far."""

    name: str
    cpu: float
    """Seconds."""
    memory: int
    """Bytes resident."""


class Usage(msgspec.Struct, frozen=True):
    """What all processes have used so far."""

    seconds: float
    processes: Mapping[tuple[int, float], Used]
    """By pid and birth: a pid alone may have been given out again."""


def read_usage() -> Usage:
    """Look at every process; with thousands of them this takes a while."""
    found: dict[tuple[int, float], Used] = {}
    fields = ["pid", "name", "cpu_times", "memory_info", "create_time"]
    for process in psutil.process_iter(fields):
        info: Mapping[str, Any] = process.info
        cpu, memory = info["cpu_times"], info["memory_info"]
        if cpu is not None:  # None: we may not look
            found[info["pid"], info["create_time"] or 0.0] = Used(
                plain(info["name"] or "?"), cpu.user + cpu.system, memory.rss if memory else 0
            )
    return Usage(time.monotonic(), found)


def find_busiest(before: Usage, after: Usage, top: int) -> tuple[Process, ...]:
    """Return the `top` processes that used most CPU between two looks, busiest first."""
    seconds = max(after.seconds - before.seconds, 1e-9)
    found = [
        Process(pid, used.name, max(0.0, 100 * (used.cpu - then.cpu) / seconds), used.memory)
        for (pid, born), used in after.processes.items()
        if (then := before.processes.get((pid, born))) is not None
    ]
    return tuple(sorted(found, key=lambda process: (-process.cpu, process.pid))[:top])
