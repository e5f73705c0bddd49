"""`trouper.init` and `trouper.init_from_config`: what holds for all runs of this process.

Later wins: defaults, the file, the environment, what `init` is given, `with_runcontext`.
"""

import os
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from .._config_file import load_config
from ._environment import FILE, override
from ._read import checked, normalised
from ._sections import DEFAULT_ROOT, Configuration

_NAME = "config.yaml"
_initialised: Configuration | None = None


def init(
    *,
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    run: Mapping[str, Any] | None = None,
    storage: Mapping[str, Any] | None = None,
    logging: Mapping[str, Any] | None = None,
    queues: Mapping[str, Any] | None = None,
) -> Configuration:
    """Configure trouper for this process, without a file; an earlier `init*` no longer holds.

    Args:
        org, project, domain: where runs belong.
        run: defaults for parameters of `with_runcontext`.
        storage, logging, queues: as the sections of a configuration file.

    Raises:
        ValueError: a key is unknown, or a value is not legal; with the fix.
    """
    task = {"org": org, "project": project, "domain": domain}
    sections = {"run": run, "storage": storage, "logging": logging, "queues": queues}
    given = normalised({"task": task, **sections}, "init()")
    checked(given, "init()")
    merged = override({}, os.environ)
    for name, section in given.items():
        said = {key: value for key, value in section.items() if value is not None}
        merged[name] = {**merged.get(name, {}), **said}
    return hold(checked(merged, "init()"))


def init_from_config(path: str | PathLike[str] | None = None) -> Configuration:
    """Configure trouper for this process from a file; an earlier `init*` no longer holds.

    Args:
        path: a YAML, JSON or TOML file. None: the first there is of `./config.yaml`,
            `./.trouper/config.yaml`, `trouper/config.yaml` in the user's configuration folder, and
            `$TROUPER_CONFIG`; it is fine if there is none.

    Raises:
        OSError: `path`, or the file that `$TROUPER_CONFIG` names, can't be read.
        ValueError: it can't be understood; with the place and the fix.
    """
    found = Path(path) if path is not None else find_config(os.environ)
    where = "the environment" if found is None else str(found)
    data = {} if found is None else normalised(load_config(found), where)
    if found is not None:
        checked(data, where)
    return hold(checked(override(data, os.environ), where))


def find_config(environment: Mapping[str, str]) -> Path | None:
    """Return the file that `init_from_config` reads when it is given none."""
    for candidate in _candidates(environment):
        if candidate.is_file():
            return candidate
    named = environment.get(FILE)
    return Path(named).expanduser() if named else None


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    yield Path(_NAME)
    yield Path(DEFAULT_ROOT) / _NAME
    home = environment.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    yield Path(home) / "trouper" / _NAME


def current() -> Configuration:
    """Return what was configured; without any `init*` what the environment says.

    Raises:
        ValueError: a variable can't be understood.
    """
    if _initialised is not None:
        return _initialised
    return checked(override({}, os.environ), "the environment")


def is_initialised() -> bool:
    """Return whether an `init*` was called in this process."""
    return _initialised is not None


def forget() -> None:
    """Undo `init` and `init_from_config`, as in a process that has just begun."""
    global _initialised
    _initialised = None


def hold(configuration: Configuration) -> Configuration:
    global _initialised
    _initialised = configuration
    return configuration
