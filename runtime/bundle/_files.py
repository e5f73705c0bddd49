"""Which files a bundle holds.

Rule: only regular files below the root, by names relative to it; a link is what it leads to, and
one that leads out of the root is left out.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ._ignore import Rules, rules_above
from ._never import is_never_file, is_never_folder

_PACKAGES = ("site-packages", "dist-packages")


def loaded_files(root: Path, beside: Iterable[str]) -> dict[str, str]:
    """Return the source files of the modules that are loaded: name in the bundle to path.

    Not those of the standard library, of installed packages, and of trouper itself.

    Args:
        beside: files that may belong to no module, as that of a program.
    """
    loaded = _loaded_below(os.path.join(root, ""))
    found = loaded.now()
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    for file in (*beside, os.path.abspath(main or "")):
        name = loaded.name_of(file)
        if name is not None:
            found[name] = file
    return found


class _Loaded:
    """The modules whose files lie below one folder. Each module is looked at once."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._files: dict[str, tuple[str, str]] = {}
        """By module: name in the bundle, and path."""
        self._seen = {"__main__"}  # which is another one for each program
        self._lock = threading.Lock()

    def now(self) -> dict[str, str]:
        """Return the files of the modules that are loaded now."""
        # A copy: another thread may be importing.
        modules = sys.modules.copy()
        with self._lock:
            for module in modules.keys() - self._seen:
                self._seen.add(module)
                file = getattr(modules[module], "__file__", None)
                if type(file) is str and not _is_ours(module):
                    file = os.path.abspath(file)
                    name = self.name_of(file)
                    if name is not None:
                        self._files[module] = (name, file)
            return dict(found for module, found in self._files.items() if module in modules)

    def name_of(self, file: str) -> str | None:
        """Return the name of a source file in the bundle; None: it does not belong there."""
        if not file.startswith(self._prefix) or not file.endswith((".py", ".pyw")):
            return None
        name = file[len(self._prefix) :]
        if file.startswith(_STANDARD) or any(part in _PACKAGES for part in name.split(os.sep)):
            return None
        return name.replace(os.sep, "/")


_loaded_below = lru_cache(maxsize=64)(_Loaded)


def _is_ours(module: str) -> bool:
    return module == "trouper" or module.startswith("trouper.")


_STANDARD = tuple(
    os.path.join(path, "")
    for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
)


def all_files(root: Path, without: Iterable[Path]) -> dict[str, str]:
    """Return every file below the root: name in the bundle to path.

    Not what .gitignore leaves out, what is in no bundle ever, and what lies in `without`.

    Raises:
        OSError: a folder can't be read.
    """
    real = os.path.realpath(root)
    left_out = {os.path.realpath(each) for each in without}
    found: dict[str, str] = {}
    folders = [(real, rules_above(real))]
    for folder, above in folders:
        rules = above.inside(folder)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.path in left_out:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not (
                        is_never_folder(entry.path) or rules.ignores(entry.path, is_folder=True)
                    ):
                        folders.append((entry.path, rules))
                elif _is_wanted(entry, rules, real):
                    name = entry.path[len(real) :].lstrip(os.sep)
                    found[name.replace(os.sep, "/")] = entry.path
    return found


def _is_wanted(entry: os.DirEntry[str], rules: Rules, real: str) -> bool:
    if is_never_file(entry.name) or not entry.is_file():
        return False
    if rules.ignores(entry.path, is_folder=False):
        return False
    # What a link leads to has to be something that might stand in the bundle by itself.
    return not entry.is_symlink() or _may_stand(os.path.realpath(entry.path), real)


def _may_stand(end: str, real: str) -> bool:
    if not end.startswith(os.path.join(real, "")) or is_never_file(os.path.basename(end)):
        return False
    folder = os.path.dirname(end)
    while len(folder) > len(real):
        if is_never_folder(folder):
            return False
        folder = os.path.dirname(folder)
    return True
