"""What enters from outside: converted to the type that a node takes, or refused.

Rule: nothing is guessed. "3" is no int, and a struct that was built with wrong fields is refused
although it is an instance (msgspec alone would pass it).
"""

import datetime
import decimal
import reprlib
import uuid
from typing import Any, get_origin

import msgspec
from beartype.door import is_bearable

from ._annotations import show_type

_SHOWN = 80
"""Characters of a refused value that stand in the error."""
# Left alone on the way out and in again; the rest of a struct becomes dicts, lists and scalars.
_KEPT = (
    bytes,
    bytearray,
    memoryview,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


def convert_message(value: Any, type_: Any, *, node: str) -> Any:
    """Return `value` as a `type_`, for the node called `node`.

    Raises:
        TypeError: it is none; with the node, the type, the value and the place in it.
    """
    return convert_value(value, type_, owner=repr(node))


def convert_value(value: Any, type_: Any, *, owner: str, verb: str = "takes") -> Any:
    """Return `value` as a `type_`.

    Args:
        owner: who takes it, for the error: "'parse'", "n of task 'process'".
        verb: what it does with it.

    Raises:
        TypeError: as `convert_message`.
    """
    if type_ is Any:
        return value
    try:
        converted = value if _is_made(value, type_) else msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as problem:
        raise TypeError(_refusal(value, type_, f"{owner} {verb}", str(problem))) from problem
    except Exception as problem:  # msgspec doesn't know the type: TypeError, or the type's own
        return _check_only(value, type_, f"{owner} {verb}", problem)
    try:
        _check_fields(converted, type_)
    except msgspec.ValidationError as problem:
        raise TypeError(_refusal(value, type_, f"{owner} {verb}", str(problem))) from problem
    return converted


def _check_only(value: Any, type_: Any, who: str, problem: Exception) -> Any:
    """Return `value` if beartype finds it a `type_`, or can't judge the type either."""
    try:
        fits = is_bearable(value, type_)
    except Exception:  # as in _edge_types: what can't be judged passes
        return value
    if fits:
        return value
    raise TypeError(_refusal(value, type_, who, str(problem)))


def _check_fields(converted: Any, type_: Any) -> None:
    """Raise ValidationError if objects in `converted` were built with wrong fields.

    `convert` takes an object that already is of the type as it is. So take it apart and put it
    together again, and throw the copy away: payloads go by reference.
    """
    if type(converted) in _PLAIN:
        return
    try:
        parts = msgspec.to_builtins(converted, builtin_types=_KEPT, str_keys=False)
    except Exception:  # something in it is a type of the user's: isinstance has to do
        return
    try:
        msgspec.convert(parts, _own_type(converted, type_), strict=True)
    except msgspec.ValidationError as problem:
        # An object that exists lacks nothing; to_builtins leaves private attributes out.
        if "missing required field" not in str(problem):
            raise


def _is_made(value: Any, type_: Any) -> bool:
    """Tell whether `value` already is such a struct, of a subclass perhaps (`convert` refuses)."""
    cls = get_origin(type_) or type_
    return isinstance(value, msgspec.Struct) and isinstance(cls, type) and isinstance(value, cls)


def _own_type(converted: Any, type_: Any) -> Any:
    """Return the type to check against: a struct of a subclass has more fields."""
    known = (get_origin(type_) or type_) is type(converted)
    return type(converted) if isinstance(converted, msgspec.Struct) and not known else type_


def _refusal(value: Any, type_: Any, who: str, problem: str) -> str:
    shown = reprlib.repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[: _SHOWN - 3]}..."
    return f"{who} {show_type(type_)}, not {shown}: {problem}"
