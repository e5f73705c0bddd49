"""The sections of a configuration file. What is None was not said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from ...actors._run_context import Mode
from ...actors._secret import MASK, mask_text
from ..io._location import parse_folder

DEFAULT_ROOT = ".trouper"


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a section are its fields."""


class TaskSection(_Section, frozen=True):
    """`task:`, whose tasks these are."""

    org: str | None = None
    project: str | None = None
    domain: str | None = None


class RunSection(_Section, frozen=True):
    """`run:`, one key for each parameter of `with_runcontext`: its default."""

    mode: Mode | None = None
    project: str | None = None
    domain: str | None = None
    name: str | None = None
    version: str | None = None
    queue: str | None = None
    interruptible: bool | None = None
    raw_data_path: str | None = None
    run_base_dir: str | None = None
    overwrite_cache: bool | None = None
    disable_run_cache: bool | None = None
    cache_lookup_scope: Literal["global", "project-domain", "run"] | None = None
    service_account: str | None = None
    env_vars: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    log_level: int | None = None
    log_format: Literal["console", "json"] | None = None
    reset_root_logger: bool | None = None
    copy_style: Literal["loaded_modules", "all", "none"] | None = None
    dry_run: bool | None = None
    copy_bundle_to: str | None = None
    interactive_mode: bool | None = None
    preserve_original_types: bool | None = None
    custom_context: dict[str, str] | None = None
    isolate: Literal["process"] | None = None
    workspace: str | bool | None = None

    def __repr__(self) -> str:
        shown = dict.fromkeys(self.env_vars, MASK) if self.env_vars else self.env_vars
        return mask_text(super(RunSection, replace(self, env_vars=shown)).__repr__())


class StorageSection(_Section, frozen=True):
    """`storage:`, where records are kept, and how surely."""

    root: str | None = None
    """Folder of the workspace; `.trouper` where it was not said."""
    durability: Literal["normal", "full"] | None = None
    busy_timeout: float | None = None
    max_bytes: int | None = None


class LoggingSection(_Section, frozen=True):
    """`logging:`, defaults of `log_level` and `log_format` that `run:` may override."""

    level: int | None = None
    format: Literal["console", "json"] | None = None


class Queue(_Section, frozen=True):
    """One of `queues:`, by its name."""

    limit: int = msgspec.field(default=1)
    """Tasks of this queue that run at the same time."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit must be 1 or more, got {self.limit}")


class Configuration(_Section, frozen=True):
    """All that was configured: immutable, and the same for everything in this process."""

    task: TaskSection = TaskSection()
    run: RunSection = RunSection()
    storage: StorageSection = StorageSection()
    logging: LoggingSection = LoggingSection()
    queues: dict[str, Queue] = {}

    def run_defaults(self) -> dict[str, Any]:
        """Return the parameters of `with_runcontext` that were configured, and no others."""
        fallbacks = {
            "project": self.task.project,
            "domain": self.task.domain,
            "log_level": self.logging.level,
            "log_format": self.logging.format,
        }
        given = {name: getattr(self.run, name) for name in self.run.__struct_fields__}
        for name, value in fallbacks.items():
            if given[name] is None:
                given[name] = value
        return {name: value for name, value in given.items() if value is not None}

    def store_options(self) -> dict[str, Any]:
        """Return what `open_store` takes, where it was configured."""
        names = ("durability", "busy_timeout", "max_bytes")
        given = {name: getattr(self.storage, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def root(self) -> Path:
        """The folder of the workspace, absolute.

        Raises:
            ValueError: what was configured is none.
        """
        return parse_folder(self.storage.root or DEFAULT_ROOT, "storage.root, or $TROUPER_HOME,")


SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "task": TaskSection,
    "run": RunSection,
    "storage": StorageSection,
    "logging": LoggingSection,
}
"""The sections whose keys are fixed; those of `queues` are names."""

Configuration.__module__ = "trouper"
