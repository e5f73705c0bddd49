"""The configuration that a task reads: plain data that nobody can change (known fault F18)."""

import datetime
import decimal
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NoReturn, TypeGuard

import msgspec

from ._secret import Secret
from ._typed_config import StructT, as_struct

_PLAIN = (str, int, float, bool, bytes)
_SCALARS = (
    *_PLAIN,
    type(None),
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    PurePath,
    Enum,
    Secret,
)


class ProfileConfig(Mapping[str, Any]):
    """A read-only mapping, down to its last list.

    Mappings inside become `ProfileConfig`, lists become tuples; `to_dict()` gives plain ones
    back. `config["batch_size"]` also finds a key that is spelt `batch-size`. Only plain data may
    stand in it: objects are handed to a workflow as `deps=`.
    """

    __module__ = "trouper"
    __slots__ = ("_data", "_name")
    _data: Mapping[str, Any]
    _name: str | None

    def __init__(self, data: Mapping[str, Any] | None = None, *, name: str | None = None) -> None:
        """Copy `data`, all of it.

        Args:
            name: the profile that was chosen; None when none was.

        Raises:
            TypeError: a key is no str, or a value is no plain data; with the place.
        """
        given: object = {} if data is None else data
        if not _is_mapping(given):
            raise TypeError(f"a configuration is a mapping from str, got {given!r}; write a dict")
        object.__setattr__(self, "_data", MappingProxyType(_frozen_items(given, "config")))
        object.__setattr__(self, "_name", name)

    @property
    def name(self) -> str | None:
        """The profile that was chosen; None when none was."""
        return self._name

    def __getitem__(self, key: str) -> Any:
        """Return a value; `-` and `_` are as good as each other in its key."""
        if key not in self._data:
            wanted = str(key).replace("-", "_")
            for each in self._data:
                if each.replace("-", "_") == wanted:
                    return self._data[each]
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        """Compare the content with any mapping's; the name does not count, nor list or tuple.

        `-` and `_` are as good as each other in keys here too.
        """
        if not _is_mapping(other):
            return NotImplemented
        return bool(_spelt(self) == _spelt(other))

    __hash__ = None  # type: ignore[assignment]  # equal to dicts, which have none

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"ProfileConfig({self.to_dict()!r}{name})"

    def __setattr__(self, key: str, value: object) -> NoReturn:
        raise AttributeError(f"config is read-only, so {key!r} can't be set; {_FIX}")

    def __delattr__(self, key: str) -> NoReturn:
        raise AttributeError(f"config is read-only, so {key!r} can't be deleted; {_FIX}")

    def __copy__(self) -> "ProfileConfig":
        return self

    def __deepcopy__(self, memo: object) -> "ProfileConfig":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.to_dict(), self._name)

    def to_dict(self) -> dict[str, Any]:
        """Return a fresh copy of plain dicts and lists, which the caller may change."""
        return {key: _thawed(value) for key, value in self._data.items()}

    def typed(self, schema: type[StructT]) -> StructT:
        """Return it as an object of a schema, a `msgspec.Struct`, whose attributes have types.

        It is a fresh object each time: whoever changes it changes it for nobody else. Keys that the
        schema does not have are left out, unless it was made with `forbid_unknown_fields=True`.

        Raises:
            ValueError: a value is missing, or of another type; the text says where.
        """
        name = "config" if self._name is None else f"config of the profile {self._name!r}"
        return as_struct(self, schema, name)

    def content_hash(self) -> str:
        """Return 32 hex digits that are equal for equal content, in every process and order.

        `-` and `_` are as good as each other in keys here too.
        Of a secret it counts that there is one, not which: who knows the hash shall not try values.
        """
        packed = msgspec.msgpack.encode(_packable(self), order="deterministic")
        return hashlib.blake2b(packed, digest_size=16).hexdigest()


_FIX = "keep what changes in ctx.state, or start from config.to_dict()"


def _restore(data: dict[str, Any], name: str | None) -> ProfileConfig:
    return ProfileConfig(data, name=name)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _frozen_items(data: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for key in data:
        if not isinstance(key, str):
            raise TypeError(f"the key {key!r} in {where} is no str; write {str(key)!r}")
    return {key: _frozen(value, f"{where}[{key!r}]") for key, value in data.items()}


def _frozen(value: Any, where: str) -> Any:
    if _is_mapping(value):
        return ProfileConfig(_frozen_items(value, where))
    if _is_list(value):
        return tuple(_frozen(each, f"{where}[{index}]") for index, each in enumerate(value))
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(
        f"{where} is a {type(value).__name__}, which is no plain data; "
        f"make it dicts, lists and scalars, or hand it to the workflow as deps="
    )


def _thawed(value: Any) -> Any:
    if _is_mapping(value):
        return {key: _thawed(each) for key, each in value.items()}
    if _is_list(value):
        return [_thawed(each) for each in value]
    return value


def _spelt(value: Any) -> Any:
    """Return plain dicts and lists whose keys are spelt in one way."""
    if _is_mapping(value):
        return {key: _spelt(each) for key, each in _spelt_items(value)}
    if _is_list(value):
        return [_spelt(each) for each in value]
    return value


def _spelt_items(value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    spelt = {key: key.replace("-", "_") if isinstance(key, str) else key for key in value}
    if len({*spelt.values()}) < len(spelt):  # two keys that differ in no more than that
        spelt = {key: key for key in value}
    return ((spelt[key], each) for key, each in value.items())


def _packable(value: Any) -> Any:
    """Return what msgpack can hold, with other scalars tagged by type: a date is no str."""
    if _is_mapping(value):
        return {key: _packable(each) for key, each in _spelt_items(value)}
    if _is_list(value):
        return [_packable(each) for each in value]
    if value is None or (type(value) in _PLAIN and not _is_long(value)):
        return value
    return msgspec.msgpack.Ext(1, f"{type(value).__qualname__}:{value!r}".encode())


def _is_long(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**64
