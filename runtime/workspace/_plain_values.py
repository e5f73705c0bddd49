"""Packed values as JSON that people can read, and back without loss."""

from base64 import b64decode, b64encode
from typing import Any

import msgspec

from ._kept_values import is_dict

_TAG = "trouper"
_MSGPACK = "msgpack"
_LONGEST = 1 << 16
"""Bytes of a value that people are shown."""


def as_json(packed: bytes | None) -> Any:
    """Return what JSON can hold in the place of packed data; `from_json` gives that back.

    It is the value itself, if JSON knows all of it and it is short; else its bytes, in base64.
    """
    if packed is None:
        return None
    if len(packed) <= _LONGEST:
        try:
            value = msgspec.msgpack.decode(packed)
            text = msgspec.json.encode(value)
            is_tagged = value is None or (is_dict(value) and _TAG in value)
            if not is_tagged and msgspec.msgpack.encode(msgspec.json.decode(text)) == packed:
                return msgspec.Raw(text)
        except (ValueError, TypeError, RecursionError):  # no key of JSON's, say
            pass
    return {_TAG: _MSGPACK, "base64": b64encode(packed).decode()}


def from_json(value: Any) -> bytes | None:
    """Return the packed data that `as_json` was given.

    Raises:
        ValueError: the base64 is none.
    """
    if value is None:
        return None
    if is_dict(value) and value.keys() == {_TAG, "base64"} and value[_TAG] == _MSGPACK:
        return b64decode(value["base64"], validate=True)
    return msgspec.msgpack.encode(value)
