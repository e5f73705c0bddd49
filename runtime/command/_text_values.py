"""Text from a command line as the value that a parameter takes.

Rule 1: what takes text gets it as it was written; "21" becomes a number only where one is meant.
Rule 2: msgspec says what text is legal for a type; a list, mapping or object is written as JSON or
YAML (`[1, 2]`, `{a: 1}`), a list also as one flag for each item, a mapping as one for each pair.
Rule 3: a `trouper.io.File`, `Dir` or `DataFrame` is written as its path or URL.
"""

import enum
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

import msgspec

from .._annotations import show_type
from .._config import parse_override

_BOOLS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_BRACKETS = ("[", "{", '"')


def read_value(texts: Sequence[str], hint: Any) -> Any:
    """Return the value of a flag that was given, once or several times.

    Raises:
        ValueError: it is none; says what the type takes, and why this is none.
    """
    bare = _bare(hint)
    origin = get_origin(bare) or bare
    if _is(origin, Mapping) and not texts[0].startswith("{"):
        return _convert([_pair(text, bare) for text in texts], hint, texts)
    if _is_list(origin) and not texts[0].startswith("["):
        return _convert(_items(texts, bare), hint, texts)
    if len(texts) > 1:
        raise ValueError(f"takes {show_type(hint)}, and was given {len(texts)} times")
    return _one(texts[0], hint)


def read_pairs(texts: Sequence[str], hint: Any) -> dict[str, Any]:
    """Return what `**parameter` gets, from KEY=VALUE each."""
    pairs = (_pair(text, dict[str, hint]) for text in texts)
    return {str(key): value for pair in pairs for key, value in pair.items()}


def _one(text: str, hint: Any) -> Any:
    bare = _bare(hint)
    kinds = [_bare(each) for each in get_args(bare)] if _is_union(bare) else [bare]
    if Any in kinds or object in kinds:
        return _read(text)
    if str in kinds:
        others = [each for each in kinds if each not in (str, NoneType)]
        return _other_than_text(text, others) if others else _convert(text, hint, [text])
    if bool in kinds:
        text = _BOOLS.get(text.lower(), text)
    for kind in kinds:
        if _is(kind, enum.Enum) and text in kind.__members__:
            return kind[text]
        if _is_address(kind) and not text.startswith("{"):
            return None if text == "null" and NoneType in get_args(hint) else _existing(text, kind)
    try:
        return _converted(text, hint)
    except msgspec.ValidationError:
        # Text that is none of it may still spell it: `[1, 2]`, `{a: 1}`.
        return _convert(_read(text), hint, [text])


def _is_address(kind: Any) -> bool:
    """Tell whether it is File, Dir or DataFrame; none of them is loaded for that."""
    return isinstance(kind, type) and kind.__module__ == "trouper.io" and hasattr(kind, "existing")


def _existing(text: str, kind: Any) -> Any:
    """Return the address of what lies at a path or URL."""
    try:
        return kind.existing(text)
    except (OSError, ImportError, ValueError) as error:
        raise ValueError(f"takes the path or URL of a {kind.__name__}: {error}") from error


def _other_than_text(text: str, kinds: Sequence[Any]) -> Any:
    """Return what text means beside str: `21` is an int for `int | str`."""
    data = _read(text)
    for kind in kinds:
        try:
            return _converted(data, kind, strict=True)
        except msgspec.ValidationError:
            continue
    return text


def _items(texts: Sequence[str], hint: Any) -> list[Any]:
    kinds = [each for each in get_args(hint) if each is not ...]
    if not kinds:
        return [_read(text) for text in texts]
    if get_origin(hint) is tuple and get_args(hint)[-1] is not ... and len(kinds) == len(texts):
        return [_one(text, kind) for text, kind in zip(texts, kinds, strict=True)]
    return [_one(text, kinds[0]) for text in texts]


def _pair(text: str, hint: Any) -> dict[Any, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"takes KEY=VALUE, or a mapping in {{}}, not {text!r}")
    kinds = get_args(hint) or (str, Any)
    return {_one(key, kinds[0]): _one(value, kinds[1])}


def _read(text: str) -> Any:
    """Return what JSON or YAML makes of it: `21`, `true`, `[1, 2]`; other text stays text."""
    if text[:1] in _BRACKETS:
        try:
            return json.loads(text)  # many times as fast as YAML, and 10,000 numbers fit on a line
        except ValueError:
            pass
    return parse_override(f"value={text}")[1]


def _convert(value: Any, hint: Any, texts: Sequence[str]) -> Any:
    if isinstance(value, list) and _is(get_origin(_bare(hint)) or _bare(hint), Mapping):
        pairs = cast("list[dict[Any, Any]]", value)
        value = {key: each for pair in pairs for key, each in pair.items()}
    try:
        return _converted(value, hint)
    except msgspec.ValidationError as error:
        shown = " ".join(texts)
        raise ValueError(f"takes {show_type(hint)}, not {shown!r}: {error}") from error


def _converted(value: Any, hint: Any, *, strict: bool = False) -> Any:
    try:
        return msgspec.convert(value, hint, strict=strict, dec_hook=_make)
    except TypeError as error:  # msgspec refuses the type itself
        raise msgspec.ValidationError(str(error)) from error


def _make(kind: type, value: Any) -> Any:
    """Return an object of a type that msgspec does not know."""
    if isinstance(value, str) and issubclass(kind, Path):
        return kind(value)
    raise msgspec.ValidationError(
        f"{show_type(kind)} can't be written on a command line; take a str, or a msgspec.Struct"
    )


def _bare(hint: Any) -> Any:
    """Return a type without what is annotated about it, and without its `| None`."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if _is_union(hint):
        kinds = [each for each in get_args(hint) if each is not NoneType]
        if len(kinds) == 1:
            return _bare(kinds[0])
    return hint


def is_switch(hint: Any) -> bool:
    """Tell whether a flag of this type needs no value."""
    return _bare(hint) is bool


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _is_list(origin: Any) -> bool:
    return _is(origin, (Sequence, set, frozenset)) and not _is(origin, (str, bytes, bytearray))


def _is(kind: Any, bases: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, bases)
