"""Values against annotations: inputs when a task is called, results when it returns.

Rule 1: nothing is guessed: strict, as msgspec has it. "3" is no int; an int is a float.
Rule 2: by reference: a value that already is what the annotation says is handed on as it is, the
same object, however deep it is. Only what had to be converted is a new one.
"""

from collections.abc import Callable
from operator import is_
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import msgspec

from .._convert_message import convert_value
from ..io._handing import frame_kind, want_of

Check = Callable[[Any], Any]
"""Gives back the value, converted if that was needed; raises TypeError."""

_REFUSED = object()
_EXACT = (int, str, float, bool, bytes, NoneType)
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_PLAIN = (int, str, bool, NoneType, list, dict, tuple, float, Any)


def make_check(hint: Any, *, owner: str, verb: str = "takes") -> Check | None:
    """Return what checks a value; None: anything passes.

    Args:
        owner: for the error: "n of task 'process'".
    """
    if hint is Any:
        return None
    if hint is None:
        hint = NoneType
    by_reference = _by_reference if _is_plain(hint) else _convert_deep

    def check(value: Any) -> Any:
        return by_reference(value, hint, owner, verb)

    if hint not in _EXACT:
        return check

    def check_exact(value: Any) -> Any:
        return value if type(value) is hint else check(value)

    return check_exact


def make_argument_check(hint: Any, *, owner: str) -> Check | None:
    """Return what checks an argument: as `make_check`, but frames are handed over in the task."""
    check = make_check(hint, owner=owner)
    want = want_of(hint)
    if check is None or want is None or want.form == "either":
        return check
    is_native = want.form == "native"

    def check_frame(value: Any) -> Any:
        # A native frame of another kind than the annotation's is refused as anything else is.
        kind = frame_kind(value)
        if kind == "reference" if is_native else kind is not None:
            return value
        return check(value)

    return check_frame


def _is_plain(hint: Any) -> bool:
    """Return whether nothing in a value of this type could be an object with wrong fields."""
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in (Union, UnionType):
        return all(map(_is_plain, get_args(hint)))
    if origin in (list, dict, tuple):
        return all(each is ... or _is_plain(each) for each in get_args(hint))
    return any(hint is each for each in _PLAIN)


def _by_reference(value: Any, hint: Any, owner: str, verb: str) -> Any:
    try:
        converted = msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        converted = _REFUSED
    if converted is _REFUSED:
        convert_value(value, hint, owner=owner, verb=verb)  # raises, with all that can be said
    return value if _is_same(value, converted) else converted


def _convert_deep(value: Any, hint: Any, owner: str, verb: str) -> Any:
    converted = convert_value(value, hint, owner=owner, verb=verb)
    return value if _is_same(value, converted) else converted


def _is_same(value: Any, converted: Any) -> bool:
    """Return whether a conversion has changed nothing but the containers' identity."""
    if value is converted:
        return True
    kind = cast("Any", type(value))
    if kind is not type(converted) or kind not in _CONTAINERS or len(value) != len(converted):
        return False
    if kind in (set, frozenset):
        return _same_members(value, converted)
    if kind is dict:
        return _all_same(list(value), list(converted)) and _all_same(
            list(value.values()), list(converted.values())
        )
    return _all_same(value, converted)


def _same_members(value: Any, converted: Any) -> bool:
    # Equal members of another type, as 1 and 1.0, would be a conversion.
    return {(type(each), each) for each in value} == {(type(each), each) for each in converted}


def _all_same(value: Any, converted: Any) -> bool:
    if all(map(is_, value, converted)):
        return True
    return all(_is_same(one, other) for one, other in zip(value, converted, strict=True))
