"""Which process does a thing, and whether it still lives: told, never guessed.

Rule 1: on the same host a process is its id and the instant it was born; ids come again.
Rule 2: of another host only the heartbeat is known. Silence has to last before it means death,
and a heartbeat from the future says that the clocks differ: then nothing is known.
"""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

Liveness = Literal["alive", "dead", "unknown"]

BEAT = 5.0
"""Seconds between two heartbeats of a process that owns something."""
SILENCE = 120.0
"""Seconds without a heartbeat after which a process on another host is dead. The clocks of hosts
that share a workspace have to agree within a minute."""


class Owner(msgspec.Struct, frozen=True):
    """A process, so that another one can tell whether it is still there."""

    host: str
    """Name, boot and process namespace: processes of equal hosts can see one another."""
    pid: int
    born: str
    """When the process started, in the system's own words."""


def this_process() -> Owner:
    """Return the owner that this process is."""
    return _owner(os.getpid())


@functools.lru_cache(maxsize=4)  # a forked child asks for another one
def _owner(pid: int) -> Owner:
    return Owner(this_host(), pid, birth(pid) or "")


@functools.cache
def this_host() -> str:
    """Return what is equal for processes that see one another's ids."""
    parts = [platform.node(), _first_line(Path("/proc/sys/kernel/random/boot_id"))]
    try:
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # no Linux: a host has one list of processes
        parts.append("")
    return "/".join(parts)


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # no Linux
        return ""


def birth(pid: int) -> str | None:
    """Return when the process started; None if it is not there, or has ended and waits for its
    parent to notice."""
    if Path("/proc/self/stat").exists():
        return _birth_on_linux(pid)
    return _birth_by_ps(pid)


def _birth_on_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets, and may hold any byte.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")


def _birth_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    ).stdout.split()
    return None if not told or told[0].startswith("Z") else " ".join(told[1:])


def judge(owner: Owner, heartbeat: float, now: float, *, host: str, born: str | None) -> Liveness:
    """Return whether `owner` lives.

    Args:
        heartbeat, now: seconds since the epoch, by the owner's clock and by ours.
        host: ours.
        born: on our host, when the process with the owner's id started; None: there is none.
    """
    if owner.host == host:
        return "alive" if born is not None and born == owner.born else "dead"
    silent = now - heartbeat
    if silent < -SILENCE / 2:
        return "unknown"
    if silent <= 2 * BEAT:
        return "alive"
    return "dead" if silent > SILENCE else "unknown"


def liveness(owner: Owner, heartbeat: float, now: float) -> Liveness:
    """Return whether `owner` lives, as far as this process can tell."""
    host = this_host()
    born = birth(owner.pid) if owner.host == host else None
    return judge(owner, heartbeat, now, host=host, born=born)
