"""Layers of configuration: later wins, mappings merge, and `-` is as good as `_` in a key.

Rule 1: a key keeps the spelling it had first. Nothing is renamed: a key may be data (`us-east`).
Rule 2: what is secret stays so, whatever lies over it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from ...actors._secret import Secret

MARK = "secret"
"""The only key of a mapping that marks its value."""


def normal(key: str) -> str:
    """Return what two keys have in common when they are the same key."""
    return key.replace("-", "_")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` upon it: mappings key by key, all else as a whole. Fresh dicts."""
    found = {key: merged(each, {}) if is_mapping(each) else each for key, each in base.items()}
    spelt = {normal(key): key for key in found}
    for key, value in over.items():
        place = spelt.setdefault(normal(key), key)
        below = found.get(place)
        if is_mapping(value) and not isinstance(below, Secret):
            found[place] = merged(below if is_mapping(below) else {}, value)
        else:
            found[place] = _still_secret(below, value)
    return found


def set_at(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set one value below its keys; those that are not there are made.

    Raises:
        ValueError: there is something on the way that has no keys.
    """
    at = data
    for depth, key in enumerate(path[:-1], 1):
        below: object = at.setdefault(_spelt(at, key), {})
        if isinstance(below, Secret) and tuple(path[depth:]) == (MARK,):
            at[_spelt(at, key)] = Secret(value)
            return
        if not is_dict(below):
            dotted, taken = ".".join(path), ".".join(path[:depth])
            raise ValueError(
                f"the override {dotted!r} goes into {taken!r}, which is {below!r} and has no "
                f"keys; override {taken!r} as a whole"
            )
        at = below
    last = _spelt(at, path[-1])
    at[last] = _still_secret(at.get(last), value)


def _still_secret(before: Any, value: Any) -> Any:
    """Return a value that takes the place of another, with all secret that was secret there."""
    if is_mapping(value):
        keys: Mapping[str, Any] = (
            {normal(key): each for key, each in before.items()} if is_mapping(before) else {}
        )
        return {
            key: _still_secret(
                before if isinstance(before, Secret) else keys.get(normal(key)), each
            )
            for key, each in value.items()
        }
    if isinstance(before, Secret):
        return [_still_secret(before, each) for each in value] if is_list(value) else Secret(value)
    return value


def _spelt(keys: Iterable[str], key: str) -> str:
    return next((each for each in keys if normal(each) == normal(key)), key)


def check_keys(data: Mapping[Any, Any], where: str) -> None:
    """Refuse keys that are no text, or stand there in both spellings.

    Raises:
        ValueError: the place, and the fix.
    """
    seen: dict[str, str] = {}
    for key, value in data.items():
        if not isinstance(key, str):
            raise ValueError(f"{where}: the key {key!r} is no text; write {str(key)!r} in quotes")
        if (other := seen.setdefault(normal(key), key)) != key:
            raise ValueError(f"{where}: {other!r} and {key!r} are the same key; keep one of them")
        if is_mapping(value):
            check_keys(value, where)


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
