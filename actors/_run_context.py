"""What a task may know of the run it belongs to."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import msgspec
from attrs import Attribute, field, frozen

from ._assets import assets_of
from ._current import current_context
from ._text import check_text

if TYPE_CHECKING:
    from ._task_context import TaskContext

Mode = Literal["local", "remote", "hybrid"]
CacheScope = Literal["global", "project-domain", "run"]
"""Where a cached result may come from."""

VERSION = "version"
"""Where in `RunContext.kept` stands what computes the version: most runs never ask for it."""

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class ActionID(msgspec.Struct, frozen=True):
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


_NO_PAIRS: Mapping[str, str] = MappingProxyType({})


def read_only(pairs: Mapping[str, str], what: str = "custom_context") -> Mapping[str, str]:
    """Return an unchangeable copy of what maps str to str.

    Raises:
        TypeError: it does not; with the key and the value (known fault F40).
        ValueError: a key or value is no text that can be kept; likewise.
    """
    # What a caller without type checking may hand over.
    if not isinstance(cast("object", pairs), Mapping):
        raise TypeError(f"{what} takes a mapping from str to str, got {pairs!r}")
    for key, value in cast("Mapping[object, object]", pairs).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"{what} takes str to str, got {key!r}: {value!r}; str() them")
        check_text(key, f"a key of {what}")
        check_text(value, f"{what}[{key!r}]")
    return MappingProxyType(dict(pairs))


def _read_labels(pairs: Mapping[str, str]) -> Mapping[str, str]:
    return read_only(pairs, "labels")


def _read_annotations(pairs: Mapping[str, str]) -> Mapping[str, str]:
    return read_only(pairs, "annotations")


def _check_text(_context: object, attribute: "Attribute[Any]", text: str | None) -> None:
    if isinstance(text, str):
        check_text(text, attribute.name)


def _check_run_name(_context: object, _attribute: object, name: str) -> None:
    if not _RUN_NAME.fullmatch(name):
        raise ValueError(
            f"run_name can't be {name!r}; it has 1 to 128 letters, digits, '-', '_' and '.', "
            "and begins with a letter or digit"
        )


def _check_mode(_context: object, _attribute: object, mode: str) -> None:
    if mode not in get_args(Mode):
        raise ValueError(f"mode can't be {mode!r}; choose one of: {', '.join(get_args(Mode))}")


@frozen(kw_only=True)
class RunContext:
    """The run that a context is connected to. In memory unless a workspace is attached.

    It can't be changed, and every action of a run sees the same one.
    """

    run_name: str = field(validator=_check_run_name)
    project: str | None = field(default=None, validator=_check_text)
    domain: str | None = field(default=None, validator=_check_text)
    org: str | None = field(default=None, validator=_check_text)
    mode: Mode = field(default="local", validator=_check_mode)
    _version: str = field(default="", alias="version")
    raw_data_path: str = field(default="", validator=_check_text)
    run_base_dir: str = field(default="", validator=_check_text)
    custom_context: Mapping[str, str] = field(default=_NO_PAIRS, converter=read_only)
    disable_run_cache: bool = False
    overwrite_cache: bool = False
    cache_lookup_scope: CacheScope = "global"
    queue: str | None = field(default=None, validator=_check_text)
    interruptible: bool | None = None
    """None: as each task says."""
    service_account: str | None = field(default=None, validator=_check_text)
    labels: Mapping[str, str] = field(default=_NO_PAIRS, converter=_read_labels)
    annotations: Mapping[str, str] = field(default=_NO_PAIRS, converter=_read_annotations)
    interactive_mode: bool = False
    preserve_original_types: bool = False
    workspace: Any = None
    """The workspace that keeps the run's files; None: nothing is kept beyond the process."""
    results: dict[str, Any] = field(factory=dict[str, Any])
    """The run's lightweight result map: `ctx.set_result`, `WorkflowResult.results`."""
    kept: dict[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)
    """What the runtime keeps for as long as the run goes on: its actions."""

    @property
    def version(self) -> str:
        """Version of the code that runs: as it was given, else what is computed from the code."""
        compute: Callable[[], str] | None = self.kept.get(VERSION)
        return self._version if self._version or compute is None else compute()

    # -- what a task's context delegates to: here for who has opened a run ----------------------

    @property
    def artifact(self) -> Any:
        """What saves, loads and opens artifacts of the run; None without a workspace."""
        assets = assets_of(self)
        return None if assets is None else assets.artifact(self._task())

    @property
    def data_assets(self) -> Any:
        """What imports files and folders into the run; None without a workspace."""
        assets = assets_of(self)
        return None if assets is None else assets.data_assets(self._task())

    def log(self, name: str) -> Any:
        """Return the log of that name; None without a workspace."""
        assets = assets_of(self)
        return None if assets is None else assets.log(name, self._task())

    def checkpoint(self, name: str, *, data: Any = None) -> Any:
        """Keep `data` as the next of that name's chain; None without a workspace."""
        assets = assets_of(self)
        return None if assets is None else assets.checkpoint(name, data, self._task())

    def checkpoints(self, name: str) -> Any:
        """Return the chain of that name; None without a workspace."""
        assets = assets_of(self)
        return None if assets is None else assets.checkpoints(name)

    def find_asset(self, name: str, *, kind: str | None = None) -> Any:
        """Search run, experiment, project and workspace for an asset; None without a workspace."""
        assets = assets_of(self)
        kinds = () if kind is None else (kind,)
        return None if assets is None else assets.find_asset(name, kinds, self._task())

    def _task(self) -> "TaskContext[Any, Any, Any] | None":
        """Return the context of the task that runs here, if it is one of this run."""
        context = current_context.get()
        return context if context is not None and context.run_context is self else None


ActionID.__module__ = RunContext.__module__ = "trouper"
