"""A configuration against a schema, a `msgspec.Struct`."""

import datetime
import decimal
import uuid
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from ...actors._secret import Secret
from ._merge import MARK, is_mapping
from ._read import known_keys, wrong_type
from ._secrets import mark_again, with_secrets, without_secrets

SchemaT = TypeVar("SchemaT", bound=msgspec.Struct)

_KEPT = (
    bytes,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)
"""What a configuration may hold as it is."""


def convert(
    data: Mapping[str, Any], schema: type[SchemaT], where: str
) -> tuple[SchemaT, dict[str, Any]]:
    """Return the object, and as plain data what it holds, defaults included.

    Raises:
        ValueError: a key is unknown, is missing, or has a value of another type.
    """
    bare, secret = without_secrets(_spelt_as_fields(data, schema, where, ""))
    try:
        value = msgspec.convert(bare, schema, dec_hook=_as_secret)
    except msgspec.ValidationError as error:
        raise wrong_type(error, where) from error
    plain: Any = msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=_as_mark)
    mark_again(plain, value, secret, where)
    return value, with_secrets(plain, where)


def _as_secret(kind: type, value: Any) -> Secret:
    """Fill a field of the type `Secret`; there are no others that msgspec does not know."""
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"a schema can't have a field of type {kind.__name__}")


def _as_mark(secret: Secret) -> dict[str, Any]:
    return {MARK: secret.reveal()}


def _spelt_as_fields(data: Mapping[str, Any], kind: Any, where: str, prefix: str) -> Any:
    struct = _struct(kind)
    if struct is None:
        return data
    found = known_keys(data, struct, where, prefix)
    kinds = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in found.items():
        if is_mapping(value):
            found[key] = _spelt_as_fields(value, kinds[key], where, f"{prefix}{key}.")
    return found


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """Return the struct that a field may hold, also beside None."""
    kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type)]
    return next((each for each in kinds if issubclass(each, msgspec.Struct)), None)
