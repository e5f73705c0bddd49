"""Values as plain data that is equal exactly when they are: types count, the order of a dict not.

Rule: what can't be told apart for sure is refused, so that no wrong result is ever found.
"""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import attrs
import msgspec


@attrs.frozen
class Form:
    """How values are told."""

    name: Callable[[type], str]
    """What a type is known by."""
    is_sorted: bool = True
    """The order of a dict does not count."""


_packer = msgspec.msgpack.Encoder()
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_SMALL = range(-(2**63), 2**63)


class NotCacheable(Exception):
    """A value can't be a part of a key, or can't be kept; the text says why."""


def pack(value: Any, form: Form) -> bytes:
    """Return bytes that are equal for equal values of equal types, in any process.

    Args:
        form: how.

    Raises:
        NotCacheable: there is something in it that nothing is known of.
    """
    try:
        return _packer.encode(canonical(value, form))
    except NotCacheable:
        raise
    except RecursionError:
        raise NotCacheable(f"{_what(value)} holds itself, or is nested too deep") from None
    except Exception as error:  # also what a __cache_key__ raises
        raise NotCacheable(f"{_what(value)} can't be told in bytes ({error})") from error


def canonical(value: Any, form: Form) -> Any:
    """Return plain data: scalars stand for themselves, all else is a list that begins with a tag.

    Raises:
        NotCacheable: as of `pack`.
    """
    kind = kind_of(value)
    if kind in _SCALARS:
        return ["int", hex(value)] if kind is int and value not in _SMALL else value
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(value, form)
    if isinstance(value, PurePath):
        return ["path", kind.__name__, str(value)]
    if isinstance(value, enum.Enum):
        return ["enum", form.name(kind), value.name]
    if tuple in kind.__mro__ and hasattr(kind, "_fields"):
        return ["named", form.name(kind), _list(list(value), form)]
    return ["object", form.name(kind), *_list(_parts(value, kind), form)[1:]]


def _parts(value: Any, kind: type) -> list[Any]:
    """Return what an object consists of: names and values of its fields, in turn."""
    own = getattr(value, "__cache_key__", None)
    if own is not None:
        return [own()]
    if isinstance(value, msgspec.Struct):
        names: tuple[str, ...] = value.__struct_fields__
    elif dataclasses.is_dataclass(value):
        names = tuple(each.name for each in dataclasses.fields(value))
    elif attrs.has(kind):
        names = tuple(each.name for each in attrs.fields(kind))
    else:
        raise NotCacheable(
            f"nothing is known of a {kind.__module__}.{kind.__qualname__}; make it plain data, a "
            "dataclass, an attrs class or a msgspec.Struct, or give it a method __cache_key__() "
            "that returns plain data"
        )
    return [part for each in names for part in (each, getattr(value, each))]


def _list(value: list[Any], form: Form) -> list[Any]:
    # Types are gathered at the speed of C; most lists are of scalars.
    kinds = set(map(type, value))
    if kinds <= _SCALARS and not (int in kinds and _has_large(value)):
        return ["list", value]
    return ["list", [canonical(each, form) for each in value]]


def _has_large(value: list[Any]) -> bool:
    numbers = [each for each in value if type(each) is int]
    return max(numbers) not in _SMALL or min(numbers) not in _SMALL


def _tuple(value: tuple[Any, ...], form: Form) -> list[Any]:
    return ["tuple", _list(list(value), form)[1]]


def _dict(value: Mapping[Any, Any], form: Form) -> list[Any]:
    pairs = [(canonical(key, form), canonical(each, form)) for key, each in value.items()]
    if form.is_sorted:
        pairs.sort(key=lambda pair: _packer.encode(pair[0]))
    return ["dict", pairs]


def _set(value: Any, form: Form) -> list[Any]:
    members = sorted((canonical(each, form) for each in value), key=_packer.encode)
    return [type(value).__name__, members]


def _moment(value: datetime.datetime | datetime.time, form: Form) -> list[Any]:
    text = value.replace(tzinfo=None).isoformat()
    return [type(value).__name__, text, value.fold, _zone(value.tzinfo)]


def _zone(zone: datetime.tzinfo | None) -> list[Any] | None:
    """Return a time zone: an offset in microseconds, the key of a zone, or words."""
    if zone is None:
        return None
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        return ["zone", zone.key]
    offset = zone.utcoffset(None)
    if offset is not None and repr(zone) == repr(datetime.timezone(offset)):
        return ["offset", offset // datetime.timedelta(microseconds=1)]
    return ["words", repr(zone)]


_SPECIAL: Mapping[type, Callable[[Any, Form], list[Any]]] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _set,
    bytearray: lambda value, _: ["bytearray", bytes(value)],
    complex: lambda value, _: ["complex", value.real, value.imag],
    range: lambda value, _: ["range", value.start, value.stop, value.step],
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.date: lambda value, _: ["date", value.isoformat()],
    datetime.timedelta: lambda value, _: [
        *("timedelta", value.days, value.seconds, value.microseconds)
    ],
    decimal.Decimal: lambda value, _: ["decimal", str(value)],
    uuid.UUID: lambda value, _: ["uuid", value.hex],
    re.Pattern: lambda value, _: ["pattern", value.pattern, value.flags],
    type(Ellipsis): lambda _value, _: ["ellipsis"],
}


def kind_of(value: object) -> type:
    return type(value)


def _what(value: Any) -> str:
    return f"a {type(value).__qualname__}"
