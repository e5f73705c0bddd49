"""`trouper config show`: what tasks will read, and how two profiles differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ..actors._profile_config import ProfileConfig
from ..actors._secret import Secret
from ._cli_problem import Problem
from ._cli_text import plain
from ._config_file import load_config
from .settings._merge import is_mapping, normal
from .settings._profiles import Profiles

_LONGEST = 2_000


def read_profiles(files: Sequence[str]) -> Profiles[Any]:
    """Return the profiles of configuration files, each upon the former; none give an empty one.

    Raises:
        Problem: one can't be read.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    for file in files:
        try:
            layers.append((file, load_config(file)))
        except OSError as error:
            raise Problem(
                f"--config {plain(file)} can't be read: {error.strerror}; check the path"
            ) from None
        except ValueError as error:
            raise Problem(f"--config {plain(error)}; correct the file") from None
    return Profiles(layers)


def show_lines(
    files: Sequence[str], profile: str | None, overrides: Sequence[str], *, as_json: bool
) -> Iterator[str]:
    """Yield the lines of one configuration.

    Raises:
        Problem: it can't be made.
    """
    config = _resolved(files, profile, overrides)
    if as_json:
        yield json.dumps(
            {
                "profile": config.name,
                "hash": config.content_hash(),
                "config": _jsonable(config.to_dict()),
            },
            indent=2,
        )
        return
    yield f"# profile: {'none' if config.name is None else plain(config.name)}"
    yield f"# hash: {config.content_hash()}"
    for path, value in _leaves(config):
        yield f"{plain(path)}: {_shown(value)}"


def diff_lines(
    files: Sequence[str], pair: Sequence[str], overrides: Sequence[str], *, as_json: bool
) -> Iterator[str]:
    """Yield a line for each key in which two profiles differ; `-` only in the first, `+` second.

    Raises:
        Problem: one of them can't be made.
    """
    first, second = (_by_path(_resolved(files, name, overrides)) for name in pair)
    changes = [
        (first.get(path), second.get(path))
        for path in dict.fromkeys([*first, *second])
        if path not in first or path not in second or _differ(first[path][1], second[path][1])
    ]
    if as_json:
        yield json.dumps({(a or b or ("",))[0]: _change(a, b) for a, b in changes}, indent=2)
        return
    yield from (_change_line(a, b) for a, b in changes)
    if not changes:
        yield f"{plain(pair[0])} and {plain(pair[1])} are equal"


_Leaf = tuple[str, Any]
"""Dotted path, as it is spelt, and value."""


def _by_path(config: ProfileConfig) -> dict[str, _Leaf]:
    return {normal(path): (path, value) for path, value in _leaves(config)}


def _differ(first: Any, second: Any) -> bool:
    """Return whether they would be written differently: to Python True and 1.0 are equal to 1."""
    if isinstance(first, Secret) and isinstance(second, Secret):
        return first != second
    return _shown(first) != _shown(second)


def _change(before: _Leaf | None, after: _Leaf | None) -> dict[str, Any]:
    sides = {"from": before, "to": after}
    return {side: _jsonable(leaf[1]) for side, leaf in sides.items() if leaf is not None}


def _change_line(before: _Leaf | None, after: _Leaf | None) -> str:
    if before is None or after is None:
        path, value = before or after or ("", None)
        return f"{'+' if before is None else '-'} {plain(path)}: {_shown(value)}"
    return f"  {plain(before[0])}: {_shown(before[1])} -> {_shown(after[1])}"


def no_profile_beside(pair: Sequence[str], profile: str | None) -> None:
    """Refuse `--profile` beside `--diff`, which names two.

    Raises:
        Problem: it is there.
    """
    if profile is not None:
        raise Problem(
            f"--diff {plain(pair[0])} {plain(pair[1])} names both profiles; leave out --profile"
        )


def _resolved(files: Sequence[str], name: str | None, overrides: Sequence[str]) -> ProfileConfig:
    try:
        return read_profiles(files).resolve(name, overrides)
    except (ValueError, TypeError) as error:
        raise Problem(plain(error)) from None


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted path and value of all that has no keys of its own; an empty mapping is one."""
    for key, value in config.items():
        if is_mapping(value) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return plain(json.dumps(_jsonable(value), ensure_ascii=False), _LONGEST)


def _jsonable(value: Any) -> Any:
    if is_mapping(value):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in cast("Sequence[Any]", value)]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
