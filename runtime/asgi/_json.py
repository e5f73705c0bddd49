"""JSON of messages: what msgspec knows, and models that check themselves, as pydantic's do.

Rule: a model is asked by its own methods, `model_validate` and `model_dump`; nothing is imported.
"""

from typing import Any

import msgspec


class NoJson(Exception):
    """A type that JSON can't be made into."""


def decode(body: bytes, type_: Any) -> Any:
    """Return JSON as a `type_`.

    Raises:
        msgspec.ValidationError: it is JSON of something else.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON.
        NoJson: nothing would be.
    """
    try:
        return msgspec.json.decode(body, type=type_, dec_hook=_validate)
    except TypeError as error:
        raise NoJson(str(error)) from None


def encode(message: Any) -> bytes:
    """Return a message as JSON.

    Raises:
        Exception: it holds what JSON does not know, or refers to itself.
    """
    return msgspec.json.encode(message, enc_hook=_dump)


def _validate(type_: Any, value: Any) -> Any:
    validate = getattr(type_, "model_validate", None)
    if validate is None:
        raise NoJson(f"{type_!r} is neither a struct, a dataclass, an attrs class nor a model")
    try:
        return validate(value)
    except ValueError as error:
        raise ValueError(_told(error)) from None


def _told(error: ValueError) -> str:
    """Return what pydantic says in a line for a person as one for a client."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors())


def _dump(message: Any) -> Any:
    dump = getattr(message, "model_dump", None)
    if dump is None:
        raise NotImplementedError(f"objects of type {type(message).__name__} are no JSON")
    return dump(mode="json")
