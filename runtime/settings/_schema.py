"""A configuration against a schema, a `msgspec.Struct`."""

import datetime
import decimal
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from ...actors._secret import Secret
from ...actors._typed_config import kind_in, struct_in
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


def _spelt_as_fields(data: Any, kind: Any, where: str, prefix: str) -> Any:
    if isinstance(data, list | tuple):
        inner, place = kind_in(kind, Sequence), prefix.removesuffix(".")
        members = cast("Sequence[Any]", data)
        return [
            _spelt_as_fields(each, inner, where, f"{place}[{at}].")
            for at, each in enumerate(members)
        ]
    if not is_mapping(data):
        return data
    struct = struct_in(kind)
    if struct is None:
        inner = kind_in(kind, Mapping)
        return {
            key: _spelt_as_fields(each, inner, where, f"{prefix}{key}.")
            for key, each in data.items()
        }
    found = known_keys(data, struct, where, prefix)
    kinds = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return {
        key: _spelt_as_fields(value, kinds[key], where, f"{prefix}{key}.")
        for key, value in found.items()
    }
