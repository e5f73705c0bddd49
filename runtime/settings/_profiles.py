"""Profiles: from layered files, by `extends`, to the `ctx.config` of a run.

Rule 1: later wins: the plain keys of each file in turn, then the profiles that the chosen one
extends, then its own keys, then overrides in their order.
Rule 2: each profile of a chain counts once, after all that it extends.
Rule 3: `defaults` are plain keys under a name; `profiles` holds one mapping for each profile.
"""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Generic, TypeVar, cast

import msgspec
from attrs import frozen

from ...actors._profile_config import ProfileConfig
from .._config import Override, parse_override
from .._config_file import load_config
from .._names import suggest
from ._merge import check_keys, is_mapping, merged, normal, set_at
from ._schema import convert
from ._secrets import with_secrets

_DEFAULTS = "defaults"
_PROFILES = "profiles"
_EXTENDS = "extends"

SchemaT = TypeVar("SchemaT", bound=msgspec.Struct)


@frozen(eq=False)
class _Profile:
    name: str
    """As the file spells it."""
    extends: tuple[str, ...]
    keys: Mapping[str, Any]


class Profiles(Generic[SchemaT]):
    """What configuration files offer: `resolve` gives the configuration of one profile."""

    def __init__(
        self,
        layers: Sequence[tuple[str, Mapping[str, Any]]],
        schema: type[SchemaT] | None = None,
    ) -> None:
        """Read layers, the weakest first: where each comes from, and its keys.

        Raises:
            ValueError: a layer is not as it should be; with the place and the fix.
        """
        self._schema = schema
        self._plain: dict[str, Any] = {}
        self._profiles: dict[str, _Profile] = {}
        for where, data in layers:
            self._add(where, data)
        # What is extended has to be there, and not in a circle.
        for name in self.names:
            self._chain(name)

    def _add(self, where: str, data: Mapping[str, Any]) -> None:
        check_keys(data, where)
        data = with_secrets(data, where)
        plain = {key: data[key] for key in data if key not in (_DEFAULTS, _PROFILES)}
        self._plain = merged(self._plain, _section(data, _DEFAULTS, where))
        self._plain = merged(self._plain, plain)
        for name, keys in _section(data, _PROFILES, where).items():
            if keys is not None and not is_mapping(keys):
                raise ValueError(
                    f"{where}: the profile {name!r} is {keys!r}; give it keys, or nothing"
                )
            self._add_profile(name, keys or {}, where)

    def _add_profile(self, name: str, keys: Mapping[str, Any], where: str) -> None:
        before = self._profiles.get(normal(name), _Profile(name, (), {}))
        extends = before.extends
        if _EXTENDS in keys:
            extends = _names(keys[_EXTENDS], name, where)
        own = {key: value for key, value in keys.items() if key != _EXTENDS}
        self._profiles[normal(name)] = _Profile(before.name, extends, merged(before.keys, own))

    @property
    def names(self) -> tuple[str, ...]:
        """The profiles there are."""
        return tuple(each.name for each in self._profiles.values())

    def resolve(
        self, name: str | None = None, overrides: Sequence[str | Override] = ()
    ) -> ProfileConfig:
        """Return the configuration of a profile.

        Args:
            name: which one; None takes the plain keys alone.
            overrides: `"a.b=3"`, later ones win.

        Raises:
            ValueError: there is no such profile, an override can't be applied, or the schema is
                not met; with the fix.
        """
        profile, data = self._merge(name, overrides)
        if self._schema is not None:
            data = convert(data, self._schema, _whose(profile))[1]
        return ProfileConfig(data, name=profile)

    def struct(self, name: str | None = None, overrides: Sequence[str | Override] = ()) -> SchemaT:
        """Return the configuration of a profile as an object of the schema; else as `resolve`.

        Raises:
            TypeError: the profiles were loaded without a schema.
        """
        if self._schema is None:
            raise TypeError("there is no schema; give one: load_profiles(path, schema=Settings)")
        profile, data = self._merge(name, overrides)
        return convert(data, self._schema, _whose(profile))[0]

    def _merge(
        self, name: str | None, overrides: Sequence[str | Override]
    ) -> tuple[str | None, dict[str, Any]]:
        data, found = merged(self._plain, {}), None
        if name is not None:
            for profile in self._chain(name):
                data, found = merged(data, profile.keys), profile.name
        for each in overrides:
            path, value = parse_override(each) if isinstance(each, str) else each
            set_at(data, path, value)
        return found, with_secrets(data, "an override")

    def _chain(self, name: str) -> Sequence[_Profile]:
        """Return the profile and all that it extends, the weakest first, each of them once."""
        return list(dict.fromkeys(self._walk(name, ())))

    def _walk(self, name: str, path: tuple[str, ...]) -> Iterator[_Profile]:
        profile = self._get(name, path)
        if profile.name in path:
            circle = " -> ".join((*path[path.index(profile.name) :], profile.name))
            raise ValueError(f"the profiles extend one another: {circle}; remove one 'extends'")
        for parent in profile.extends:
            yield from self._walk(parent, (*path, profile.name))
        yield profile

    def _get(self, name: str, path: tuple[str, ...]) -> _Profile:
        profile = self._profiles.get(normal(name))
        if profile is not None:
            return profile
        who = f"the profile {path[-1]!r} extends {name!r}, and " if path else ""
        if not self._profiles:
            raise ValueError(
                f"there is no profile {name!r}: the configuration has no {_PROFILES!r}; "
                "name one that has, or ask for no profile"
            )
        hint = suggest(name, self.names)
        known = ", ".join(map(repr, self.names[:20]))
        known = "" if "known:" in hint else f" known: {known}"
        raise ValueError(f"{who}there is no profile {name!r};{hint}{known}")


def load_profiles(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    schema: type[SchemaT] | None = None,
) -> Profiles[SchemaT]:
    """Read the profiles of a configuration file, or of several: a later one lies over the former.

    Args:
        path: YAML, TOML or JSON.
        schema: what a configuration has to be: keys that it does not know, and values of other
            types are errors, and its defaults are filled in.

    Raises:
        OSError: a file can't be read.
        ValueError: one is not as it should be; with the place and the fix.
    """
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    names = [fspath(each) for each in paths]
    return Profiles([(name, load_config(name)) for name in names], schema)


def _section(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    section: object = data.get(name)
    if section is None:
        return {}
    if is_mapping(section):
        return section
    kept = "profiles, name to keys" if name == _PROFILES else "keys that all profiles begin with"
    raise ValueError(f"{where}: {name!r} is kept for {kept}; got {section!r}")


def _names(extends: object, name: str, where: str) -> tuple[str, ...]:
    found = (extends,) if isinstance(extends, str) else extends
    if isinstance(found, list | tuple):
        names = cast("Sequence[object]", found)
        if all(isinstance(each, str) for each in names):
            return tuple(cast("Sequence[str]", names))
    raise ValueError(
        f"{where}: the profile {name!r} extends {extends!r}; write the name of a profile, "
        "or a list of names"
    )


def _whose(profile: str | None) -> str:
    return "the configuration" if profile is None else f"the profile {profile!r}"


Profiles.__module__ = load_profiles.__module__ = "trouper"
