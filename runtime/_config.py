"""Overrides of a configuration, as they are written on a command line: `model.lr=1e-3`."""

import re
from typing import Any

from ._config_file import load_yaml

# What YAML may read as a number, a bool, a date or null; other text needs no reading.
_WORD = re.compile(r"[\w.+:~-]+")

Override = tuple[tuple[str, ...], Any]
"""The path of keys, and the value."""


def parse_override(text: str) -> Override:
    """Return path and value of `"a.b=3"`.

    The value is read as in a YAML file (`1e-3`, `true`, `null`, `2024-01-01`, `[1, 2]`), but
    text that merely looks like YAML (`#ff0000`, `C: x`, `[a-z]+`) stays text. Quotes keep any text
    as it is; nothing after `=` is the empty text.

    Raises:
        ValueError: there is no `=`, a key is empty, or quotes or brackets don't close.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"the override {text!r} has no '='; write KEY=VALUE, as in model.lr=0.1")
    path = tuple(part.strip() for part in key.split("."))
    if not all(path):
        raise ValueError(f"the override {text!r} has an empty key; write KEY=VALUE or A.B=VALUE")
    return path, _value(value, text)


def _value(value: str, text: str) -> Any:
    bracketed = value[:1] + value[-1:] in ("[]", "{}")
    if value[:1] in ("'", '"') or bracketed or _is_unclosed(value):
        try:
            return load_yaml(value)
        except ValueError as problem:  # {-_} is an int to YAML, and then none
            raise ValueError(
                f"the value of the override {text!r} does not end as it begins; "
                f"close it, or put quotes around all of it to keep it as text"
            ) from problem
    return _word(value) if _WORD.fullmatch(value) else value


def _is_unclosed(value: str) -> bool:
    """Return whether a list or mapping was begun and not ended: as text it would fail much later.

    `[a-z]+` and `[INFO] ready` have all of their brackets.
    """
    begin, end = value[:1], {"[": "]", "{": "}"}.get(value[:1])
    return end is not None and value.count(begin) > value.count(end)


def _word(value: str) -> Any:
    try:
        found: object = load_yaml(value)
    except ValueError:  # `...` ends a document; 2024-13-01 is no date
        return value
    # `x:` is a mapping, `-` a list, and `---` starts a document: none of them was meant.
    return value if isinstance(found, dict | list) or value.startswith("---") else found
