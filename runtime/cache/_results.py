"""Results as bytes, and back: what comes back is equal and of the same types, or is not kept.

Rule: never a pickle. Who may write the database must not be able to run code by it.
"""

import datetime
import decimal
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..io._references import refuse_what_is_gone
from ._canonical import Form, NotCacheable, pack
from ._code import name_of

_BY_HINT, _BY_TAGS = b"h", b"t"
_FORM = Form(name_of, is_sorted=False)
_packer = msgspec.msgpack.Encoder()


def encode_result(value: Any, hint: Any) -> bytes:
    """Return the bytes of a result.

    Args:
        hint: the annotation of the result; `Any` if there is none.

    Raises:
        NotCacheable: it could not be had back as it is.
    """
    exact = pack(value, _FORM)
    if hint is not Any:
        packed = _BY_HINT + _by_hint(value)
        if _comes_back(packed, hint, exact):
            return packed
    packed = _BY_TAGS + exact
    if _comes_back(packed, hint, exact):
        return packed
    raise NotCacheable(
        f"a {type(value).__qualname__} could not be had back as it is; annotate the result with "
        "its type"
    )


def decode_result(packed: bytes, hint: Any) -> Any:
    """Return the result.

    Raises:
        Exception: the bytes were written for another annotation, or are damaged, or a file of this
            machine that they refer to is gone.
    """
    body = packed[1:]
    if packed[:1] == _BY_HINT:
        value = msgspec.msgpack.decode(body, type=hint)
    else:
        value = _untag(msgspec.msgpack.decode(body))
    refuse_what_is_gone(value)
    return value


def _by_hint(value: Any) -> bytes:
    try:
        return _packer.encode(value)
    except Exception:  # whatever an object's own parts raise
        return b""


def _comes_back(packed: bytes, hint: Any, exact: bytes) -> bool:
    try:
        return pack(decode_result(packed, hint), _FORM) == exact
    except Exception:
        return False


def _untag(data: Any) -> Any:
    if type(data) is not list:
        return data
    return _UNTAG[data[0]](*data[1:])


def _each(data: list[Any]) -> list[Any]:
    return [_untag(each) for each in data]


def _moment(kind: Any) -> Callable[..., Any]:
    def read(text: str, fold: int, zone: list[Any] | None) -> Any:
        return kind.fromisoformat(text).replace(fold=fold, tzinfo=_zone(zone))

    return read


def _zone(told: list[Any] | None) -> datetime.tzinfo | None:
    if told is None:
        return None
    kind, value = told
    if kind == "zone":
        return zoneinfo.ZoneInfo(value)
    if kind == "offset":
        return datetime.timezone(datetime.timedelta(microseconds=value))
    raise NotCacheable(f"the time zone {value} is known by its words only")


def _dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    return {_untag(key): _untag(each) for key, each in pairs}


def _path(kind: str, text: str) -> pathlib.PurePath:
    made: pathlib.PurePath = getattr(pathlib, kind)(text)
    return made


def _whole(text: str) -> int:
    return int(text, 16)


def _gather(kind: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def read(data: list[Any]) -> Any:
        return kind(_each(data))

    return read


def _ellipsis() -> Any:
    return ...


_UNTAG: Mapping[str, Callable[..., Any]] = {
    "int": _whole,
    "list": _each,
    "tuple": _gather(tuple),
    "dict": _dict,
    "set": _gather(set),
    "frozenset": _gather(frozenset),
    "bytearray": bytearray,
    "complex": complex,
    "range": range,
    "datetime": _moment(datetime.datetime),
    "time": _moment(datetime.time),
    "date": datetime.date.fromisoformat,
    "timedelta": datetime.timedelta,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "path": _path,
    "ellipsis": _ellipsis,
}
"""What gives back a value from its tag and parts. An object of a class is not among them."""
