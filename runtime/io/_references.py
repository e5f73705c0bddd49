"""Addresses among other values: read back from a record, and looked after where they are kept."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from ._dataframe import DataFrame
from ._dir import Dir
from ._file import File

Reference = File | Dir | DataFrame

_BY_TAG: Mapping[object, type[Reference]] = {
    each.__struct_config__.tag: each for each in (File, Dir, DataFrame)
}
_DEEPEST = 8


def revived(plain: dict[str, Any]) -> Any:
    """Return the address that a plain dict of a record once was; the dict itself if it was none."""
    cls = _BY_TAG.get(plain.get("type"))
    if cls is None:
        return plain
    try:
        return msgspec.convert(plain, cls)
    except msgspec.ValidationError:
        return plain


def refuse_what_is_gone(value: object) -> None:
    """Raise FileNotFoundError if a value refers to a file of this machine that is gone."""
    gone = gone_in(value)
    if gone is not None:
        raise FileNotFoundError(f"there is nothing at {gone.uri!r} any more")


def gone_in(value: object, deepest: int = _DEEPEST) -> Reference | None:
    """Return an address on this machine, in a value, at which there is nothing any more.

    Only lists, tuples, dicts and what is in them are looked into; buckets are not asked.
    """
    if isinstance(value, File | Dir | DataFrame):
        return value if value.place.is_local and not value.exists() else None
    if deepest == 0:
        return None
    parts: Iterable[object] = ()
    if isinstance(value, list | tuple):
        parts = cast("Iterable[object]", value)
    elif isinstance(value, dict):
        parts = cast("dict[object, object]", value).values()
    return next((found for each in parts if (found := gone_in(each, deepest - 1))), None)
