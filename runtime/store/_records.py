"""What the database tells of runs and actions: plain values that never change."""

from typing import Any, Literal

import msgspec

Phase = Literal["running", "completed", "failed", "cancelled"]
Ended = Literal["completed", "failed", "cancelled"]

LOST = "ProcessLost"
"""`error_code` of an execution whose process has died without a word."""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it begins."""

    name: str
    target: str
    """Name of the workflow or task."""
    kind: Literal["workflow", "task"] = "workflow"
    mode: str = "local"
    version: str = ""
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    queue: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    params: dict[str, Any] = {}
    """The other parameters, as JSON can hold them. Of `env_vars` the keys, never the values."""
    profile: str | None = None
    config: dict[str, Any] = {}
    config_hash: str = ""
    inputs: bytes | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A name that this process holds: it alone may record what becomes of this execution."""

    name: str
    run: int
    execution: int
    number: int
    """1 for the first execution of the run, then 2, 3, ..."""
    token: str


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as its newest execution left it or is."""

    name: str
    run: int
    execution: int
    number: int
    phase: Phase
    is_lost: bool
    """Recorded as running, but its process is dead: `phase` is then "failed"."""
    target: str
    kind: str
    mode: str
    version: str
    project: str | None
    domain: str | None
    org: str | None
    queue: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    params: dict[str, Any]
    profile: str | None
    config: dict[str, Any]
    config_hash: str
    host: str
    pid: int
    created: float
    """When the name was first used, seconds since the epoch."""
    started: float
    ended: float | None
    error_code: str | None
    error: str | None
    abort_requested: float | None
    actions_left_out: int
    token: str
    inputs: bytes | None
    outputs: bytes | None


class ActionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One action: a node of a graph, or one call of a task."""

    execution: int
    name: str
    """Unique within the execution."""
    parent: str | None = None
    task: str = ""
    phase: Phase = "running"
    attempts: int = 1
    """How many have begun."""
    started: float
    ended: float | None = None
    error_code: str | None = None
    error: str | None = None
    key: bytes | None = None
    """Hash of the task and its inputs: what a recovery compares before it takes `output`."""
    output: bytes | None = None
