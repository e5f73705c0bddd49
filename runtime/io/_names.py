"""What a stored value may be called.

Rule: a name that is taken is kept as it is, on a disk and in a bucket alike; any other is refused.
"""

from pathlib import PurePosixPath

LONGEST = 240
"""Bytes of a name: file systems allow 255, and take some for their own."""


def check_value_name(name: object, what: str = "a file") -> str:
    """Return the name.

    Raises:
        TypeError, ValueError: it is none; with the fix.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} is a str, got {name!r}")
    if name in ("", ".", ".."):
        raise ValueError(f"{what} can't be called {name!r}; choose a name as 'data.csv'")
    if "/" in name:
        raise ValueError(f"{what} can't be called {name!r}: '/' makes folders; use trouper.io.Dir")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} can't be called {name!r}: UTF-8 can't hold it") from None
    if any(ord(each) < 32 or 127 <= ord(each) < 160 for each in name):
        raise ValueError(f"{what} can't be called {name!r}: leave the control characters out")
    if length > LONGEST:
        raise ValueError(
            f"the name of {what} may have {LONGEST} bytes, and {name[:40]!r}... has {length}"
        )
    return name


def check_inner_path(path: object) -> str:
    """Return a relative POSIX path inside of a folder, in which no part leads out of it.

    Raises:
        TypeError, ValueError: as `check_value_name`.
    """
    if isinstance(path, PurePosixPath):
        path = str(path)
    if not isinstance(path, str):
        raise TypeError(f"a path inside of a folder is a str, got {path!r}")
    for part in path.split("/"):
        check_value_name(part, f"a part of the path {path!r}")
    return path
