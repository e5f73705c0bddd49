"""Values that a configuration file marks as secret: `password: {secret: swordfish}`."""

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from ...actors._secret import Secret
from ._merge import MARK, is_list, is_mapping, normal

Path = tuple[str | int, ...]
"""Keys and places in lists, from the outermost."""


def with_secrets(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a configuration with a `Secret` for each value that is marked.

    Raises:
        ValueError: a mark is no mark; with its place and the fix.
    """
    return {key: _marked(value, f"{where}: {key}") for key, value in data.items()}


def _marked(value: Any, place: str) -> Any:
    if is_mapping(value):
        if tuple(value) == (MARK,):
            try:
                return Secret(value[MARK])
            except TypeError as error:
                raise ValueError(f"{place}: {error}") from None
        return {key: _marked(each, f"{place}.{key}") for key, each in value.items()}
    if is_list(value):
        return [_marked(each, f"{place}[{at}]") for at, each in enumerate(value)]
    return value


_MAY_BE_SECRET = ("env_vars", "custom_context")


def reveal_secrets(
    data: Mapping[str, Any], where: str
) -> tuple[Mapping[str, Any], tuple[Secret, ...]]:
    """Return the configuration of trouper with plain values in place of secrets, and the secrets.

    Raises:
        ValueError: one stands where it would be shown: in a label, say.
    """
    marked = with_secrets(data, where)
    plain, paths = without_secrets(marked)
    found: list[Secret] = []
    for path in paths:
        section, key = (normal(str(each)) for each in (*path, "")[:2])
        if section != "run" or key not in _MAY_BE_SECRET or len(path) != 3:
            raise ValueError(
                f"{where}: {'.'.join(map(str, path))} can't be secret, for it is shown and "
                "recorded; values in run.env_vars and run.custom_context can"
            )
        found.append(functools.reduce(operator.getitem, path, cast("Any", marked)))
    return plain, tuple(found)


def without_secrets(data: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Return a configuration with plain values in place of secrets, and where those were."""
    return cast("dict[str, Any]", _revealed(data)), tuple(_paths(data, ()))


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if is_mapping(value):
        return {key: _revealed(each) for key, each in value.items()}
    if is_list(value):
        return [_revealed(each) for each in value]
    return value


def _paths(value: Any, above: Path) -> Iterator[Path]:
    if isinstance(value, Secret):
        yield above
    elif is_mapping(value):
        for key, each in value.items():
            yield from _paths(each, (*above, key))
    elif is_list(value):
        for at, each in enumerate(value):
            yield from _paths(each, (*above, at))


def mark_again(data: dict[str, Any], struct: Any, paths: Sequence[Path], where: str) -> None:
    """Make what stands at these places secret again.

    Args:
        struct: the object of a schema that `data` was made of.

    Raises:
        ValueError: it no longer stands there, because a schema has made a set or a time of it.
    """
    for path in paths:
        at, there = data, struct
        try:
            for key in path[:-1]:
                at, there = at[cast("str", key)], _below(there, key)
            _below(there, path[-1])
            at[cast("str", path[-1])] = Secret(at[cast("str", path[-1])])
        except (TypeError, LookupError):
            place = ".".join(map(str, path))
            raise ValueError(
                f"{where}: {place} is a secret, and the schema has no place for one there; use a "
                "str or a number, in a mapping, a list or a field"
            ) from None


def _below(there: Any, key: str | int) -> Any:
    # A set has no places, though its list has.
    return getattr(there, str(key)) if isinstance(there, msgspec.Struct) else there[key]
