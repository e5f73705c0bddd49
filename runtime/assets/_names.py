"""What an asset may be called, and which file its name stands for.

Rule 1: a name is what the user says, kept as it is in the record; the file's name is made from it,
so that no name leaves the folder of its scope (F15).
Rule 2: two names never share a file, and "@" stands in no file's name but where versions are.
"""

from functools import lru_cache
from typing import cast
from urllib.parse import quote

from ._errors import AssetNameError

LONGEST = 512
"""Characters of a name."""
_LONGEST_PART = 240
"""Bytes of a part of a file's name: file systems allow 255."""
_SAFE = "-_.,+= ()[]{}!#$&;^~"
"""Besides letters and digits. What a shell minds is for the user to quote."""


@lru_cache(maxsize=4096)
def file_of(name: str) -> str:
    """Return the relative POSIX path that a name stands for; "/" in it makes folders.

    Raises:
        AssetNameError: it is empty, too long, or would not stay in its folder.
    """
    if not isinstance(cast("object", name), str):
        raise AssetNameError(f"the name of an asset is a str, got {name!r}")
    if not 0 < len(name) <= LONGEST:
        raise AssetNameError(
            f"the name of an asset has 1 to {LONGEST} characters, got {len(name)}: {name[:40]!r}"
        )
    return "/".join(_part(part, name) for part in name.split("/"))


def _part(part: str, name: str) -> str:
    if part in ("", ".", ".."):
        raise AssetNameError(
            f"an asset can't be called {name!r}: every part between '/' needs a name of its own, "
            "and none is '.' or '..'; write it as in 'plots/loss.png'"
        )
    try:
        quoted = quote(part, safe=_SAFE, encoding="utf-8", errors="strict")
    except UnicodeEncodeError as error:
        raise AssetNameError(
            f"an asset can't be called {name!r}: UTF-8 can't hold it; leave out {error.object!r}"
        ) from None
    # Nothing hidden, nothing that Windows would cut off, and none of our own temporary files.
    if quoted[0] in ". ":
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if quoted[-1] in ". ":
        quoted = f"{quoted[:-1]}%{ord(quoted[-1]):02X}"
    if len(quoted) > _LONGEST_PART:
        raise AssetNameError(
            f"{part[:40]!r}... has {len(quoted)} bytes as the name of a file, and at most "
            f"{_LONGEST_PART} are allowed; choose a shorter name"
        )
    return quoted


def place_of(folder: str, name: str, version: int, suffix: str = "") -> str:
    """Return where a version lies, relative to the folder of its scope.

    The first at its name, further ones below `@2`, `@3`, and so on.
    """
    file = f"{file_of(name)}{suffix}"
    return f"{folder}/{file}" if version == 1 else f"{folder}/@{version}/{file}"
