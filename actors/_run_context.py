"""What a task may know of the run it belongs to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from attrs import define, field

Mode = Literal["local", "remote", "hybrid"]


class ActionID(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of one action (a node of a graph, or one invocation of a task) within a run."""

    name: str
    """Unique within the run."""
    run_name: str = ""
    """Name of the run; `name` if not set."""
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    def __post_init__(self) -> None:
        if not self.run_name:
            msgspec.structs.force_setattr(self, "run_name", self.name)


def _read_only(custom_context: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(custom_context))


@define(kw_only=True)
class RunContext:
    """The run that a context is connected to. In memory unless a workspace is attached."""

    run_name: str
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    mode: Mode = "local"
    version: str = ""
    raw_data_path: str = ""
    run_base_dir: str = ""
    custom_context: Mapping[str, str] = field(factory=dict[str, str], converter=_read_only)
    disable_run_cache: bool = False
    workspace: Any = None
    """The workspace that keeps the run's files; None: nothing is kept beyond the process."""
    results: dict[str, Any] = field(factory=dict[str, Any])
    """The run's lightweight result map: `ctx.set_result`, `WorkflowResult.results`."""


ActionID.__module__ = RunContext.__module__ = "trouper"
