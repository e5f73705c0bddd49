"""The id of a run that nobody has named, and the parameters that it is made from."""

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .._settings import generate_run_name

_DIGITS = 12
_LONGEST_HINT = 40


def checked_params(params: Mapping[str, Any] | None, what: str) -> dict[str, Any] | None:
    """Return a copy of plain data, as JSON gives it back.

    Raises:
        TypeError: it is no mapping, or holds what JSON can't.
    """
    if params is None:
        return None
    if not isinstance(cast("object", params), Mapping):
        raise TypeError(f"{what} are a mapping, got {params!r}")
    for key in cast("Mapping[object, Any]", params):
        if not isinstance(key, str):
            raise TypeError(f"the keys of {what} are str, got {key!r}; write {str(key)!r}")
    try:
        copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(params)))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"{what} can't be recorded: {error}; make them dicts, lists and scalars, and text that "
            "UTF-8 can hold"
        ) from None
    return copy


def derived_id(parameters: Mapping[str, Any], config_hash: str | None) -> str:
    """Return an id that is equal for equal parameters and configurations: `lr-0.1-3f2a9c81d0e4`."""
    packed = msgspec.json.encode([parameters, config_hash], order="deterministic")
    digest = hashlib.blake2b(packed, digest_size=_DIGITS // 2).hexdigest()
    return f"{_hint(parameters)}-{digest}"


def _hint(parameters: Mapping[str, Any]) -> str:
    """Return what people recognise a run by: its parameters, as far as they are short words."""
    words = [
        f"{key}-{value}"
        for key, value in parameters.items()
        if isinstance(value, str | int | float)
    ]
    legal = "_".join(
        "".join(each for each in word if each.isascii() and (each.isalnum() or each in ".-"))
        for word in words
    )
    return legal.strip("-_.")[:_LONGEST_HINT].rstrip("-_.") or "run"


def fresh_id() -> str:
    """Return an id that nobody has used: it sorts by time."""
    return generate_run_name("run")
