"""From a configuration file, a profile and overrides to the `ctx.config` of a run.

Rule 1: later wins: plain keys, then the profile's, then overrides in their order.
Rule 2: mappings are merged key by key; anything else, lists too, is replaced as a whole.
Rule 3: `profiles` at the top is no configuration: it holds one mapping per profile.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from ruamel.yaml.error import YAMLError

from ..actors._profile_config import ProfileConfig
from ._config_file import load_yaml
from ._names import suggest

_PROFILES = "profiles"
# What YAML may read as a number, a bool, a date or null; other text needs no reading.
_WORD = re.compile(r"[\w.+:~-]+")

Override = tuple[tuple[str, ...], Any]
"""The path of keys, and the value."""


def build_config(
    base: Mapping[str, Any] | None = None,
    profile: str | None = None,
    overrides: Sequence[str | Override] = (),
) -> ProfileConfig:
    """Return the configuration of a run.

    Args:
        base: what the file holds, or what the caller gives; never changed.
        profile: the name under `profiles`; None takes the plain keys alone. A `ProfileConfig`
            as `base` keeps its name.
        overrides: `"a.b=3"`, or what `parse_override` made of it.

    Raises:
        ValueError: no such profile, or an override that can't be applied; with the fix.
    """
    name = base.name if profile is None and isinstance(base, ProfileConfig) else profile
    data = pick_profile(base or {}, profile)
    for each in overrides:
        path, value = parse_override(each) if isinstance(each, str) else each
        _set(data, path, value)
    return ProfileConfig(data, name=name)


def pick_profile(data: Mapping[str, Any], profile: str | None) -> dict[str, Any]:
    """Return a fresh dict of the plain keys of `data`, with those of the profile over them."""
    plain = {key: value for key, value in data.items() if key != _PROFILES}
    profiles: object = data.get(_PROFILES) or {}
    if not _is_mapping(profiles):
        raise ValueError(f"{_PROFILES!r} is kept for profiles, name to keys; got {profiles!r}")
    if profile is None:
        return _merged(plain, {})
    if not profiles:
        raise ValueError(
            f"there is no profile {profile!r}: the configuration has no {_PROFILES!r}; "
            "name one that has, or ask for no profile"
        )
    if profile not in profiles:
        raise ValueError(f"there is no profile {profile!r};{suggest(profile, map(str, profiles))}")
    chosen = profiles[profile]
    if chosen is not None and not _is_mapping(chosen):
        raise ValueError(f"the profile {profile!r} is {chosen!r}; give it keys, or nothing")
    return _merged(plain, chosen or {})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return fresh dicts all the way down."""
    found = {key: _merged(each, {}) if _is_mapping(each) else each for key, each in base.items()}
    for key, value in over.items():
        if _is_mapping(value):
            below = found.get(key)
            found[key] = _merged(below if _is_mapping(below) else {}, value)
        else:
            found[key] = value
    return found


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def parse_override(text: str) -> Override:
    """Return path and value of `"a.b=3"`.

    The value is read as in a YAML file (`1e-3`, `true`, `null`, `2024-01-01`, `[1, 2]`), but
    text that merely looks like YAML (`#ff0000`, `C: x`, `[a-z]+`) stays text. Quotes keep any text
    as it is; nothing after `=` is the empty text.

    Raises:
        ValueError: there is no `=`, a key is empty, or quotes or brackets don't close.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"the override {text!r} has no '='; write KEY=VALUE, as in model.lr=0.1")
    path = tuple(part.strip() for part in key.split("."))
    if not all(path):
        raise ValueError(f"the override {text!r} has an empty key; write KEY=VALUE or A.B=VALUE")
    return path, _value(value, text)


def _value(value: str, text: str) -> Any:
    bracketed = value[:1] + value[-1:] in ("[]", "{}")
    if value[:1] in ("'", '"') or bracketed or _is_unclosed(value):
        try:
            return load_yaml(value)
        except (YAMLError, ValueError) as problem:  # {-_} is an int to YAML, and then none
            raise ValueError(
                f"the value of the override {text!r} does not end as it begins; "
                f"close it, or put quotes around all of it to keep it as text"
            ) from problem
    return _word(value) if _WORD.fullmatch(value) else value


def _is_unclosed(value: str) -> bool:
    """Return whether a list or mapping was begun and not ended: as text it would fail much later.

    `[a-z]+` and `[INFO] ready` have all of their brackets.
    """
    begin, end = value[:1], {"[": "]", "{": "}"}.get(value[:1])
    return end is not None and value.count(begin) > value.count(end)


def _word(value: str) -> Any:
    try:
        found: object = load_yaml(value)
    except (YAMLError, ValueError):  # `...` ends a document; 2024-13-01 is no date
        return value
    # `x:` is a mapping, `-` a list, and `---` starts a document: none of them was meant.
    return value if isinstance(found, dict | list) or value.startswith("---") else found


def _set(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    at = data
    for depth, key in enumerate(path[:-1], 1):
        below: object = at.setdefault(key, {})
        if not _is_dict(below):
            dotted, taken = ".".join(path), ".".join(path[:depth])
            raise ValueError(
                f"the override {dotted!r} goes into {taken!r}, which is {below!r} and has no "
                f"keys; override {taken!r} as a whole"
            )
        at = below
    at[path[-1]] = value
