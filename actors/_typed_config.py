"""A configuration as an object of a schema: what a type checker knows, and nobody else shares."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeGuard, TypeVar, Union, get_args, get_origin

import msgspec

from ._secret import Secret

StructT = TypeVar("StructT", bound=msgspec.Struct)


def as_struct(data: Mapping[str, Any], schema: type[StructT], name: str) -> StructT:
    """Return a fresh object of the schema; `-` and `_` are as good as each other in keys.

    Args:
        name: of the configuration, for errors.

    Raises:
        ValueError: a value is missing, or of another type; the text says where.
    """
    try:
        return msgspec.convert(_fitting(data, schema), schema)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name} is no {schema.__name__}: {error}") from error


def _fitting(value: Any, kind: Any) -> Any:
    """Return a value with the keys that the kind has; secrets stay so where the kind says so."""
    if isinstance(value, Secret):
        return value if Secret in _choices(kind) else value.reveal()
    if _is_mapping(value):
        struct = struct_in(kind)
        if struct is None:
            inner = kind_in(kind, Mapping)
            return {key: _fitting(each, inner) for key, each in value.items()}
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        spelt = {each.replace("-", "_"): each for each in fields}
        found = {spelt.get(key.replace("-", "_"), key): each for key, each in value.items()}
        return {
            key: _fitting(each, fields[key].type if key in fields else None)
            for key, each in found.items()
        }
    if _is_list(value):
        inner = kind_in(kind, Sequence)
        return [_fitting(each, inner) for each in value]
    return value


def struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """Return the struct that a value of this kind is, if it is a mapping; also beside None."""
    structs = (each for each in _choices(kind) if isinstance(each, type))
    return next((each for each in structs if issubclass(each, msgspec.Struct)), None)


def kind_in(kind: Any, of: type) -> Any:
    """Return what the members of a list, or the values of a mapping, are; None: not said.

    Args:
        of: Sequence, or Mapping.
    """
    for each in _choices(kind):
        origin, arguments = get_origin(each), get_args(each)
        if isinstance(origin, type) and issubclass(origin, of) and arguments:
            return arguments[-1] if of is Mapping else arguments[0]
    return None


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
