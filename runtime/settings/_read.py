"""From plain data to a `Configuration`: what is wrong is told with its place."""

import logging
from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from ...actors._text import check_text
from .._names import suggest
from ._sections import SECTIONS, Configuration, Queue

_LEVELS = (("run", "log_level"), ("logging", "level"))


_A_LIMIT = "a queue has a limit, a whole number of 1 or more"


def read_configuration(data: Mapping[str, Any], where: str = "the configuration") -> Configuration:
    """Return what `data` says.

    Args:
        where: the file or call that it comes from, for errors.

    Raises:
        ValueError: a key is unknown, or a value is not of its type; with the fix.
    """
    return checked(normalised(data, where), where)


def normalised(data: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return fresh dicts with known keys only: `-` is `_`, an empty section has no keys."""
    sections = known_keys(data, Configuration, where, "")
    found: dict[str, dict[str, Any]] = {}
    for name, section in sections.items():
        keys = _mapping(section, where, name)
        if name == "queues":
            found[name] = _queues(keys, where)
        else:
            found[name] = known_keys(keys, SECTIONS[name], where, f"{name}.")
    for section, key in _LEVELS:
        if isinstance(found.get(section, {}).get(key), str):
            found[section][key] = level_of(found[section][key], f"{where}: {section}.{key}")
    return found


def checked(data: Mapping[str, Any], where: str) -> Configuration:
    """Return the configuration, with every value of its type."""
    try:
        configuration = msgspec.convert(data, Configuration)
    except msgspec.ValidationError as error:
        raise wrong_type(error, where, data) from error
    for section, keys in data.items():
        _check_texts(keys, f"{where}: {section}")
    return configuration


def _check_texts(keys: Mapping[str, Any], place: str) -> None:
    for key, value in keys.items():
        check_text(key, f"a key of {place}")
        if isinstance(value, str):
            check_text(value, f"{place}.{key}")
        elif _is_mapping(value) and key != "env_vars":  # may be secrets, and need be no text
            _check_texts(value, f"{place}.{key}")


def wrong_type(
    error: msgspec.ValidationError, where: str, data: Mapping[str, Any] | None = None
) -> ValueError:
    """Return msgspec's error with the place first, as it stands in the file.

    Args:
        data: what was read, to tell of which key of a mapping it speaks.
    """
    words, _, path = str(error).partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    if data is not None and place.endswith("[...]"):
        place = _place_of_no_str(data, place.removesuffix("[...]")) or place
    hint = "; put it in quotes" if words.startswith("Expected `str") else ""
    at = f"{where}: {place}" if place else where
    return ValueError(f"{at}: {_first_lower(words)}{hint}")


def _queues(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return each queue's keys; a bare number is its limit."""
    found: dict[str, Any] = {}
    for name, value in keys.items():
        if isinstance(value, int) and not isinstance(value, bool):
            value = {"limit": value}
        place = f"queues.{name}"
        if value is not None and not _is_mapping(value):
            raise ValueError(f"{where}: {place}: {_A_LIMIT}, got {value!r}")
        found[name] = known_keys(value or {}, Queue, where, f"{place}.")
        limit = found[name].get("limit", 1)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValueError(f"{where}: {place}.limit: {_A_LIMIT}, got {limit!r}")
    return found


def known_keys(
    data: Mapping[str, Any], struct: type[msgspec.Struct], where: str, prefix: str
) -> dict[str, Any]:
    """Return `data` with the struct's own names as keys: `-` may stand for `_`.

    Raises:
        ValueError: a key is unknown; with the nearest one.
    """
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = str(key).replace("-", "_")
        if name not in struct.__struct_fields__:
            raise ValueError(
                f"{where}: unknown key {prefix + str(key)!r};"
                f"{suggest(name, struct.__struct_fields__)}"
            )
        if name in found:
            raise ValueError(f"{where}: {prefix + name!r} is there twice, with '-' and '_'")
        found[name] = value
    return found


def _place_of_no_str(data: Mapping[str, Any], place: str) -> str | None:
    """Return the place of the first value in a mapping of texts that is none."""
    at: Any = data
    for key in place.split("."):
        at = at.get(key, {})
    return next((f"{place}.{key}" for key, value in at.items() if not isinstance(value, str)), None)


def _mapping(value: object, where: str, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if _is_mapping(value):
        return value
    raise ValueError(f"{where}: {name!r} has keys of its own, got {value!r}")


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def level_of(text: str, where: str) -> int:
    """Return the number of a level of logging: `debug`, `INFO`, `15`.

    Raises:
        ValueError: there is none of that name.
    """
    known = logging.getLevelNamesMapping()
    if text.upper() in known:
        return known[text.upper()]
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"{where} can't be {text!r};{suggest(text.upper(), known)}, or a number"
        ) from None


def _first_lower(words: str) -> str:
    return words[:1].lower() + words[1:]
