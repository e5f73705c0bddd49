"""Values as bytes: those that a recovery uses again, and those that people look at.

Rule 1: what is used again comes back as it was, or was never kept. It is pickled, so it is read
only when the program that made it runs again, never to show it.
Rule 2: what is shown is plain data, and reading it runs no code.
"""

import io
import pickle
import sys
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeGuard

import msgspec

from ..io._references import revived

MOST_BYTES = 64 << 20
"""Of one value that is kept."""
_LONGEST_KEY = 32
_LONGEST_SHOWN = 4_000
_MOST_SHOWN = 16 << 20
"""Bytes of one value that is looked at."""

_TAG = "trouper"

_encode_key = msgspec.msgpack.Encoder(order="deterministic").encode


def key_of(args: tuple[Any, ...], named: dict[str, Any]) -> bytes | None:
    """Return what is equal for equal arguments, in any process; None: that can't be told."""
    try:
        packed = _encode_key((args, named) if named else args)
    except Exception:
        try:
            packed = pickle.dumps((args, named), 5)
        except Exception:
            return None
    return packed if len(packed) <= _LONGEST_KEY else blake2b(packed, digest_size=32).digest()


def keep(value: Any) -> bytes | None:
    """Return a value as bytes that `restore` takes; None: it can't be kept."""
    if type(value) in _SCALARS:
        return _keep_scalar(value)
    room = _Room()
    try:
        pickle.Pickler(room, 5).dump(value)
    except Exception:  # too large; or whatever a class of the user's does there
        return None
    return room.getvalue()


class _Room(io.BytesIO):
    """Takes no more than is kept of one value, so that a huge one is not copied first."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > MOST_BYTES:
            raise OverflowError
        return super().write(data)


_SCALARS = frozenset({bool, bytes, float, int, str, type(None)})
_SCALAR = b"m"
"""How the bytes of a scalar begin; no pickle begins so."""


def _keep_scalar(value: Any) -> bytes:
    try:
        return _SCALAR + _encode_key(value)
    except (OverflowError, UnicodeEncodeError):  # a huge int, half a pair of surrogates
        return pickle.dumps(value, 5)


class _Unpickler(pickle.Unpickler):
    """Finds what the program's main file has defined also when that is loaded as a module."""

    def __init__(self, packed: bytes, home: str) -> None:
        super().__init__(io.BytesIO(packed))
        self._home = home

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name == "__main__" and not hasattr(sys.modules["__main__"], global_name):
            module_name = self._home
        return super().find_class(module_name, global_name)


def restore(packed: bytes, home: str) -> Any:
    """Return what was kept.

    Args:
        home: name of the module of the task that gave it back.

    Raises:
        Exception: its class is not there any more, say.
    """
    if packed.startswith(_SCALAR):
        return msgspec.msgpack.decode(packed[1:])
    return _Unpickler(packed, home).load()


class NotKept(msgspec.Struct, frozen=True, tag_field=_TAG, tag="NotKept"):
    """In the place of a value that is no plain data: how it looked."""

    type: str
    shown: str

    def __repr__(self) -> str:
        return self.shown


def show(value: Any, *, is_member: bool = False) -> bytes:
    """Return a value as bytes that `shown` takes; what is no plain data is told by its `repr`.

    Args:
        is_member: it stands in another one, of which as much as possible is shown.
    """
    try:
        packed = msgspec.msgpack.encode(value, enc_hook=_tell)
        if len(packed) <= _MOST_SHOWN:
            shown(packed)
            return packed
    except RecursionError:
        if is_member:
            return msgspec.msgpack.encode(_tell(value))
    except Exception:  # keys of a dict that no dict has when it is read, say
        pass
    try:
        return _show_each(value)
    except Exception:
        return msgspec.msgpack.encode(_tell(value))


def _show_each(value: object) -> bytes:
    """Return a list or dict as bytes, each member by itself."""
    if is_list(value):
        return msgspec.msgpack.encode([msgspec.Raw(show(each, is_member=True)) for each in value])
    if is_dict(value) and all(type(key) is str for key in value):
        return msgspec.msgpack.encode(
            {key: msgspec.Raw(show(each, is_member=True)) for key, each in value.items()}
        )
    return msgspec.msgpack.encode(_tell(value))


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a plain list or tuple."""
    return type(value) in (list, tuple)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """Return whether a value is a plain dict."""
    return type(value) is dict


def _tell(value: object) -> NotKept:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose repr() raised {type(error).__name__}>"
    if len(text) > _LONGEST_SHOWN:
        text = f"{text[:_LONGEST_SHOWN]}..."
    return NotKept(
        f"{type(value).__module__}.{type(value).__qualname__}",
        text.encode("utf-8", "backslashreplace").decode(),
    )


def shown(packed: bytes) -> Any:
    """Return plain data; tuples come back as lists, structs and dataclasses as dicts.

    Files, folders and data frames of `trouper.io` come back as what they were.
    """
    return _untell(msgspec.msgpack.decode(packed))


def _untell(value: object) -> Any:
    if is_dict(value):
        if value.keys() == {_TAG, "type", "shown"}:
            return NotKept(value["type"], value["shown"])
        return revived({key: _untell(each) for key, each in value.items()})
    return [_untell(each) for each in value] if is_list(value) else value
