"""The parameters of `with_runcontext`: checked when they are given, before anything runs.

Rule: none is accepted and ignored (known fault F30). What has no effect yet is refused by name.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, get_args

from attrs import field, frozen

from ...actors._run_context import CacheScope, Mode, RunContext, read_only
from ...actors._text import check_text
from .._names import suggest
from ..bundle._manifest import CopyStyle
from ..bundle._of_run import put_code
from ..bundle._session import is_session
from ..io._location import parse_folder, parse_location
from ..logs._of_run import KEY as LOGS
from ..logs._run_logs import LogFormat, RunLogs
from ..workspace._names import folder_of
from ..workspace._workspace import Workspace
from ._env_vars import read_variables

Isolate = Literal["process"]


class RunParameters(TypedDict, total=False):
    """What `with_runcontext` takes besides the mode."""

    project: str | None
    domain: str | None
    name: str | None
    version: str | None
    queue: str | None
    interruptible: bool | None
    raw_data_path: str | None
    run_base_dir: str | None
    overwrite_cache: bool
    disable_run_cache: bool
    cache_lookup_scope: CacheScope
    service_account: str | None
    env_vars: Mapping[str, str] | None
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    log_level: int | None
    log_format: LogFormat
    reset_root_logger: bool
    copy_style: CopyStyle
    dry_run: bool
    copy_bundle_to: Path | None
    interactive_mode: bool | None
    preserve_original_types: bool
    custom_context: Mapping[str, str] | None
    isolate: Isolate | None
    """Beyond the page: "process" gives the run a process of its own."""
    workspace: Any
    """Where the run is recorded: a folder, or a `trouper.Workspace`; False: nowhere. It is no
    parameter of the page."""


_STR = (str,)
_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(("project", "domain", "name", "version", "queue"), ("a str", _STR)),
    **dict.fromkeys(("raw_data_path", "run_base_dir", "service_account"), ("a str", _STR)),
    **dict.fromkeys(("interruptible", "overwrite_cache", "disable_run_cache"), ("a bool", (bool,))),
    **dict.fromkeys(("reset_root_logger", "dry_run"), ("a bool", (bool,))),
    **dict.fromkeys(("interactive_mode", "preserve_original_types"), ("a bool", (bool,))),
    "log_level": ("a level of logging, an int", (int,)),
    "copy_bundle_to": ("a path", (Path, str)),
    "workspace": ("a folder, a trouper.Workspace, or False", (Path, str, bool, Workspace)),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "mode": get_args(Mode),
    "cache_lookup_scope": get_args(CacheScope),
    "isolate": get_args(Isolate),
    "copy_style": get_args(CopyStyle),
    "log_format": get_args(LogFormat),
}
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
"""It names a file, that of the bundle."""
_MAPPINGS = ("labels", "annotations", "custom_context")
DEFAULTS: Final[Mapping[str, object]] = {
    "overwrite_cache": False,
    "disable_run_cache": False,
    "cache_lookup_scope": "global",
    "log_format": "console",
    "reset_root_logger": False,
    "copy_style": "loaded_modules",
    "dry_run": False,
    "preserve_original_types": False,
}
"""Of the parameters that have another default than None."""

_IN_CONTEXT = (
    "project",
    "domain",
    "version",
    "interruptible",
    "raw_data_path",
    "run_base_dir",
    "disable_run_cache",
    "overwrite_cache",
    "cache_lookup_scope",
    "queue",
    "service_account",
    "labels",
    "annotations",
    "custom_context",
    "preserve_original_types",
)


@frozen
class Parameters:
    """Checked parameters; those that were not given are left out."""

    given: Mapping[str, Any] = field(repr=False)
    """Never shown: values of `env_vars` may be secrets."""
    org: str | None = None
    """From the configuration only."""

    def get(self, name: str) -> Any:
        return self.given.get(name, DEFAULTS.get(name))

    def run_context(self, run_name: str) -> RunContext:
        """Return the context of a run."""
        fields = {name: self.given[name] for name in _IN_CONTEXT if name in self.given}
        mode = self.given.get("mode", "local")
        interactive: bool = self.given.get("interactive_mode", is_session())
        kept: dict[str, Any] = {LOGS: RunLogs(run_name, self.given)}
        put_code(kept, self.get("copy_style"), interactive=interactive)
        fields["interactive_mode"] = interactive
        return RunContext(run_name=run_name, mode=mode, org=self.org, kept=kept, **fields)


def check_parameters(mode: Mode | None, given: Mapping[str, Any]) -> Parameters:
    """Return the parameters of a run.

    Raises:
        TypeError: one is unknown or of a wrong type.
        ValueError: a value is not legal, or two contradict each other.
        NotImplementedError: it has no effect yet, or there is no engine for the mode.
    """
    for name in given:
        if name not in RunParameters.__annotations__:
            hint = suggest(name, ("mode", *RunParameters.__annotations__))
            raise TypeError(f"with_runcontext has no parameter {name!r};{hint}")
    values: dict[str, Any] = {
        name: value for name, value in {"mode": mode, **given}.items() if value is not None
    }
    _check_each(values)
    for name in _MAPPINGS:
        if name in values:
            values[name] = read_only(values[name], name)
    if "env_vars" in values:
        values["env_vars"] = read_variables(values["env_vars"])
    for name in ("raw_data_path", "run_base_dir"):
        if name in values:
            parse_location(values[name], name)
    if isinstance(values.get("workspace"), (str, Path)):
        parse_folder(values["workspace"], "workspace")
    if values.get("project") and values.get("workspace") is not False:
        folder_of(values["project"])
    _refuse_contradictions(values)
    _refuse_what_comes_later(values)
    if not _VERSION.fullmatch(values.get("version", "1")):
        raise ValueError(
            f"version can't be {values['version']!r}; it has 1 to 128 letters, digits, '-', '_', "
            "'.' and '+', and begins with a letter or digit"
        )
    if "name" in values:
        try:
            RunContext(run_name=values["name"])  # checks it (known fault F31)
        except (TypeError, ValueError) as problem:
            # By the name that it has here.
            raise type(problem)(str(problem).replace("run_name", "name", 1)) from None
    return Parameters(values)


def _check_each(values: Mapping[str, Any]) -> None:
    for name, legal in _CHOICES.items():
        if name in values and values[name] not in legal:
            raise ValueError(f"{name} can't be {values[name]!r}; choose one of: {', '.join(legal)}")
    for name, (what, types) in _TYPES.items():
        if name not in values:
            continue
        value = values[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(f"{name} takes {what}, got {value!r}")
        if isinstance(value, str | Path):
            check_text(str(value), name)


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    if values.get("overwrite_cache") and values.get("disable_run_cache"):
        raise ValueError(
            "overwrite_cache and disable_run_cache contradict each other: one writes the cache, "
            "the other leaves it alone; give one of them"
        )
    if "copy_bundle_to" in values and not values.get("dry_run"):
        raise ValueError("copy_bundle_to has an effect only with dry_run=True; add that")
    if values.get("copy_bundle_to") == "":
        raise ValueError(
            "copy_bundle_to can't be ''; write a folder or a file, '.' for the one here"
        )
    if values.get("dry_run") and values.get("copy_style") == "none":
        raise ValueError(
            "dry_run uploads the code bundle, and copy_style='none' makes none; give another one"
        )


def _refuse_what_comes_later(values: Mapping[str, Any]) -> None:
    mode = values.get("mode", "local")
    if mode != "local":
        raise NotImplementedError(f"mode={mode!r}: there is no engine for it yet; use mode='local'")
