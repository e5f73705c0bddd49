"""A project of somebody: files in a folder, and its code as a program would have loaded it."""

import importlib
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any


def make_files(root: Path, files: Mapping[str, str]) -> Path:
    """Write files by their names below a folder, and return the folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@contextmanager
def imported(root: Path, *names: str) -> Generator[list[Any], None, None]:
    """Import modules of a project; forget them, and all that they have imported, at the end."""
    before = dict(sys.modules)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        modules: list[ModuleType] = [importlib.import_module(name) for name in names]
        yield list(modules)
    finally:
        sys.path.remove(str(root))
        for name in sys.modules.keys() - before.keys():
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root)):
                del sys.modules[name]
