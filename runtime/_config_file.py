"""Configuration files: YAML 1.2, JSON and TOML, where a key stands once or is an error."""

import errno
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast


class NoYaml(ValueError):
    """Text that is no YAML; `line` counts from 1, and is None where nobody can tell."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def load_yaml(text: str) -> Any:
    """Return the one document in `text`: safe, and 1.2, so `1e-3` is a float and `no` a str.

    Raises:
        NoYaml: it can't be read.
        ValueError: a value in it can't be: `2024-13-01` is no date.
    """
    from ruamel.yaml import YAML  # here, for it takes longer to load than all of trouper
    from ruamel.yaml.error import YAMLError

    yaml: Any = YAML(typ="safe", pure=True)  # its methods have no annotations
    try:
        return yaml.load(text)
    except YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        if mark is not None:
            raise NoYaml(str(problem), mark.line + 1) from error
        # Of a character that has no place there it tells on several lines, without the line.
        at: int | None = getattr(error, "position", None)
        line = None if at is None else text.count("\n", 0, at) + 1
        raise NoYaml(str(problem).partition("\n")[0], line) from error


def load_config(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the mapping that a configuration file holds; an empty file gives an empty one.

    Raises:
        ValueError: it can't be read, and where: file and, if there is one, line.
        OSError: there is no such file, or it may not be opened.
    """
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{file}: {file.suffix or 'no suffix'!r}; use {', '.join(_READERS)}")
    try:
        data = reader(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as problem:
        at = f"byte {problem.object[problem.start]:#04x} at {problem.start}"
        raise ValueError(f"{file}: it is no text in UTF-8 ({at}); save it as that") from problem
    except RecursionError as problem:
        raise ValueError(f"{file}: it is nested too deep; make it flatter") from problem
    except ValueError as problem:
        raise ValueError(f"{file}{_where(problem)}") from problem
    if data is None:
        return {}
    if type(data) is dict:
        return cast("dict[str, Any]", data)
    raise ValueError(f"{file}: it holds a {type(data).__name__}; write `key: value` pairs")


def _where(problem: Exception) -> str:
    """Return the line and what is wrong there, as `, line 3: duplicate key`."""
    if isinstance(problem, NoYaml) and problem.line is not None:
        return f", line {problem.line}: {problem}"
    if isinstance(problem, json.JSONDecodeError):
        return f", line {problem.lineno}: {problem.msg}"
    return f": {problem}"


def _load_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique) if text.strip() else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"found duplicate key {key!r}; keep one of them")
        found[key] = value
    return found


_READERS: Mapping[str, Callable[[str], Any]] = {
    ".yaml": load_yaml,
    ".yml": load_yaml,
    ".json": _load_json,
    ".toml": tomllib.loads,
}
