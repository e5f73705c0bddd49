"""`trouper.init` and `trouper.init_from_config`: what holds for all runs of this process.

Later wins: defaults, the file, the environment, what `init` is given, `with_runcontext`.
"""

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Never

from ...actors._secret import Secret
from .._config_file import load_config
from .._names import suggest
from ._environment import FILE, override, refuse_unknown
from ._read import checked, normalised
from ._secrets import reveal_secrets
from ._sections import DEFAULT_ROOT, Configuration, RunSection

_NAME = "config.yaml"
_initialised: Configuration | None = None
_is_environment_checked = False
_secrets: set[Secret] = set()
"""Bound: those of the configurations that this process was given."""


def init(
    *,
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    run: Mapping[str, Any] | None = None,
    storage: Mapping[str, Any] | None = None,
    logging: Mapping[str, Any] | None = None,
    queues: Mapping[str, Any] | None = None,
    **unknown: Never,
) -> Configuration:
    """Configure trouper for this process, without a file; an earlier `init*` no longer holds.

    Args:
        org, project, domain: where runs belong.
        run: defaults for parameters of `with_runcontext`.
        storage, logging, queues: as the sections of a configuration file.

    Raises:
        TypeError: there is no such argument; with the nearest one.
        ValueError: a key is unknown, or a value is not legal; with the fix.
    """
    for name in unknown:
        raise TypeError(f"init() has no argument {name!r};{_nearest(name)}")
    refuse_unknown(os.environ)
    task = {"org": org, "project": project, "domain": domain}
    sections = {"run": run, "storage": storage, "logging": logging, "queues": queues}
    plain, secrets = reveal_secrets({"task": task, **sections}, "init()")
    given = normalised(plain, "init()")
    checked(given, "init()")
    merged = override({}, os.environ)
    for name, section in given.items():
        said = {key: value for key, value in section.items() if value is not None}
        merged[name] = {**merged.get(name, {}), **said}
    return hold(checked(merged, "init()"), secrets)


def _nearest(name: str) -> str:
    if name in RunSection.__struct_fields__:
        return f" it is a parameter of runs: init(run={{{name!r}: ...}})"
    return suggest(name, inspect.get_annotations(init).keys() - {"unknown", "return"})


def init_from_config(path: str | PathLike[str] | None = None) -> Configuration:
    """Configure trouper for this process from a file; an earlier `init*` no longer holds.

    Args:
        path: a YAML, JSON or TOML file. None: the first there is of `./config.yaml`,
            `./.trouper/config.yaml`, `trouper/config.yaml` in the user's configuration folder, and
            `$TROUPER_CONFIG`; it is fine if there is none.

    Raises:
        OSError: `path`, or the file that `$TROUPER_CONFIG` names, can't be read; with the fix.
        ValueError: it can't be understood; with the place and the fix. Or `path` is empty.
        TypeError: `path` is none.
    """
    if path is not None:
        _check_path(path)
    refuse_unknown(os.environ)
    found = Path(path) if path is not None else find_config(os.environ)
    where = "the environment" if found is None else str(found)
    loaded = {} if found is None else _load(found, is_given=path is not None)
    plain, secrets = reveal_secrets(loaded, where)
    data = normalised(plain, where)
    if found is not None:
        checked(data, where)
    return hold(checked(override(data, os.environ), where), secrets)


def _check_path(path: object) -> None:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"init_from_config() takes the path of a file, got {path!r}")
    if path == "":
        raise ValueError(
            "init_from_config() can't read ''; name a file, or leave it out for the first there is "
            f"of ./{_NAME} and the other usual places"
        )


def _load(file: Path, *, is_given: bool) -> dict[str, Any]:
    try:
        return load_config(file)
    except OSError as error:
        # One that was found by itself is there, and may not be opened.
        fix = "check the path" if is_given else f"check its rights, or {FILE} if that names it"
        if isinstance(error, IsADirectoryError):
            fix = "name a file in it"
        reason = f"{error.strerror}; {fix}"
        raise type(error)(error.errno, reason, str(file)) from error


def find_config(environment: Mapping[str, str]) -> Path | None:
    """Return the file that `init_from_config` reads when it is given none."""
    for candidate in _candidates(environment):
        if os.path.isfile(candidate):  # Path.is_file raises where a folder may not be searched
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
    global _is_environment_checked
    if _initialised is not None:
        return _initialised
    if not _is_environment_checked:
        refuse_unknown(os.environ)
        _is_environment_checked = True  # once: each run comes here
    return checked(override({}, os.environ), "the environment")


def is_initialised() -> bool:
    """Return whether an `init*` was called in this process."""
    return _initialised is not None


def forget() -> None:
    """Undo `init` and `init_from_config`, as in a process that has just begun."""
    global _initialised, _is_environment_checked
    _initialised, _is_environment_checked = None, False


def hold(configuration: Configuration, secrets: Iterable[Secret] = ()) -> Configuration:
    """Have a configuration hold for this process; its secrets are masked for as long as it lasts.

    A run may go on with those of an earlier one, so they stay.
    """
    global _initialised
    _initialised = configuration
    _secrets.update(secrets)
    return configuration


def held_secrets() -> tuple[Secret, ...]:
    """Return the secrets of what was configured."""
    return tuple(_secrets)
