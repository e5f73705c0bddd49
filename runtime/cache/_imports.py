"""What a function imports while it runs: the source files of one's own modules, found without
running anything.

Rule: of such a module all of its code counts, and all that it imports itself; what is installed
counts by its name, which stands in the code anyway.
"""

import dis
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from typing import Any

_IMPORT = dis.opmap["IMPORT_NAME"]


def imports_in(code: types.CodeType, package: str) -> Iterator[str]:
    """Yield the absolute names that code, and the code that stands in it, may import."""
    if _IMPORT in code.co_code[::2]:
        yield from _imports_of(code, package)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from imports_in(constant, package)


def _imports_of(code: types.CodeType, package: str) -> Iterator[str]:
    before: list[Any] = [0, None]
    for each in dis.get_instructions(code):
        if each.opcode == _IMPORT:
            level, names = before
            try:
                name = resolve_name("." * int(level or 0) + str(each.argval), package)
            except ImportError:  # beyond the top: it will fail when it runs
                continue
            yield from _whole(name)
            # What is imported from a package may be a module of it.
            yield from (f"{name}.{part}" for part in names or () if part != "*")
        before = [before[1], each.argval]


def _whole(name: str) -> Iterator[str]:
    """Yield a module and the packages that it lies in, which are imported before."""
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def find_module(name: str) -> ModuleSpec | None:
    """Return where a module would come from, without importing the packages that it lies in."""
    where: Sequence[str] | None = None
    found: ModuleSpec | None = None
    for full in _whole(name):
        if full in sys.builtin_module_names:
            return None
        found = PathFinder.find_spec(full, where) or _by_others(full, where)
        if found is None:
            return None
        places = found.submodule_search_locations
        where = None if places is None else list(places)
        if where is None and full != name:
            return None  # no package, so nothing lies in it
    return found


def _by_others(name: str, where: Sequence[str] | None) -> ModuleSpec | None:
    """Ask the finders of the process's own, as those of packages that are installed editable."""
    for finder in sys.meta_path:
        with suppress(Exception):  # whatever a finder of somebody's does
            found = finder.find_spec(name, where)
            if found is not None:
                return found
    return None


def code_of(spec: ModuleSpec) -> types.CodeType | None:
    """Return the code of a module; None: it has none that can be read."""
    loader: Any = spec.loader
    try:
        found: types.CodeType | None = loader.get_code(spec.name)
    except Exception:  # no Python, no right to read it, or a loader of somebody's
        return None
    return found
