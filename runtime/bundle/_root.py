"""Which folder a piece of code belongs to: where the files of its bundle are, and their names."""

import os
import sys
from collections.abc import Iterator
from functools import lru_cache, partial
from inspect import unwrap
from pathlib import Path
from typing import Any

_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")


def file_of(target: Any) -> str | None:
    """Return the file that a function, class or object was written in; None: in none."""
    while isinstance(target, partial):
        target = target.func
    target = unwrap(target)
    code = getattr(target, "__code__", None)
    if code is not None:
        return _existing(code.co_filename)
    kind = target if isinstance(target, type) else type(target)
    return _existing(getattr(sys.modules.get(kind.__module__), "__file__", None))


def _existing(file: str | None) -> str | None:
    if not file or file.startswith("<"):
        return None
    path = os.path.abspath(file)
    return path if os.path.isfile(path) else None


def root_of(file: str | None) -> Path:
    """Return the folder of the project that a file belongs to.

    That is the nearest folder above it with a mark of one (`pyproject.toml`, `.git`, ...), the home
    folder not counted; else the folder that holds the file, or its outermost package. Without
    a file it is the current folder.
    """
    return Path.cwd() if file is None else _project_of(os.path.dirname(file))


@lru_cache(maxsize=256)
def _project_of(path: str) -> Path:
    folder = Path(path)
    for each in _below_home(folder):
        if any((each / mark).exists() for mark in _MARKS):
            return each
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _below_home(folder: Path) -> Iterator[Path]:
    """Yield a folder and those above it, but for the home folder and what is above that."""
    ends = {Path.home(), Path(folder.anchor)}
    for each in (folder, *folder.parents):
        if each in ends:
            return
        yield each
