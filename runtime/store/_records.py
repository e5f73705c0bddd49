"""What the database tells of runs and actions: plain values that never change."""

from typing import Any, Literal

import msgspec

Phase = Literal["running", "completed", "failed", "cancelled"]
Ended = Literal["completed", "failed", "cancelled"]

LOST = "ProcessLost"
"""`error_code` of an execution whose process has died without a word."""


DEFAULT_SCOPE = "default"
"""The project, and the experiment, of a run of which nobody said where it belongs."""


class RunKey(msgspec.Struct, frozen=True):
    """The identity of a run within a workspace."""

    name: str
    project: str = DEFAULT_SCOPE
    experiment: str = DEFAULT_SCOPE

    def __str__(self) -> str:
        return f"{self.project}/{self.experiment}/{self.name}"


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it begins."""

    name: str
    project: str = DEFAULT_SCOPE
    experiment: str = DEFAULT_SCOPE
    experiment_params: dict[str, Any] | None = None
    """What the experiment is about; None: as it was said before."""
    parameters: dict[str, Any] | None = None
    """What tells this run from others of the experiment; likewise."""
    target: str
    """Name of the workflow or task."""
    kind: Literal["workflow", "task"] = "workflow"
    mode: str = "local"
    version: str = ""
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

    @property
    def key(self) -> RunKey:
        return RunKey(self.name, self.project, self.experiment)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this process holds: it alone may record what becomes of this execution."""

    name: str
    project: str
    experiment: str
    run: int
    execution: int
    number: int
    """1 for the first execution of the run, then 2, 3, ..."""
    token: str

    @property
    def key(self) -> RunKey:
        return RunKey(self.name, self.project, self.experiment)

    @property
    def id(self) -> str:
        """The id of this execution, unique within the experiment."""
        return execution_id(self.name, self.number)


def execution_id(run: str, number: int) -> str:
    """Return the public id of an execution: `my-run.1`, `my-run.2`, ..."""
    return f"{run}.{number}"


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as its newest execution left it or is."""

    project: str
    experiment: str
    name: str
    parameters: dict[str, Any]
    experiment_params: dict[str, Any]
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
    trace: str | None
    """The traceback of what it failed with, as text."""
    abort_requested: float | None
    actions_left_out: int
    token: str
    inputs: bytes | None
    outputs: bytes | None

    @property
    def key(self) -> RunKey:
        return RunKey(self.name, self.project, self.experiment)

    @property
    def id(self) -> str:
        """The id of this execution, unique within the experiment."""
        return execution_id(self.name, self.number)


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
    call_group: str | None = None
    """Name of the group that it was called in."""
    queue: str | None = None
    is_cached: bool = False
    interruptible: bool = False
