"""Addresses among other values: read back from a record, and looked after where they are kept."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from ._dataframe import DataFrame
    from ._dir import Dir
    from ._file import File

    Reference = File | Dir | DataFrame

_PREFIX = "trouper."
"""How the tags of all of them begin."""
_DEEPEST = 8


def _classes() -> "tuple[type[File], type[Dir], type[DataFrame]]":
    # Slow, and most values hold none.
    from ._dataframe import DataFrame
    from ._dir import Dir
    from ._file import File

    return File, Dir, DataFrame


def revived(plain: dict[str, Any]) -> Any:
    """Return the address that a plain dict of a record once was; the dict itself if it was none."""
    tag = plain.get("type")
    if not isinstance(tag, str) or not tag.startswith(_PREFIX):
        return plain
    for cls in _classes():
        if cls.__struct_config__.tag == tag:
            try:
                return msgspec.convert(plain, cls)
            except msgspec.ValidationError:
                return plain
    return plain


def refuse_what_is_gone(value: object) -> None:
    """Raise FileNotFoundError if a value refers to a file of this machine that is gone."""
    # There is none if nobody has made or read one.
    gone = gone_in(value) if "trouper.runtime.io._file" in sys.modules else None
    if gone is not None:
        raise FileNotFoundError(f"there is nothing at {gone.uri!r} any more")


def gone_in(value: object, deepest: int = _DEEPEST) -> "Reference | None":
    """Return an address on this machine, in a value, at which there is nothing any more.

    Only lists, tuples, dicts and what is in them are looked into; buckets are not asked.
    """
    if isinstance(value, _classes()):
        return value if value.place.is_local and not value.exists() else None
    if deepest == 0:
        return None
    parts: Iterable[object] = ()
    if isinstance(value, list | tuple):
        parts = cast("Iterable[object]", value)
    elif isinstance(value, dict):
        parts = cast("dict[object, object]", value).values()
    return next((found for each in parts if (found := gone_in(each, deepest - 1))), None)
