"""Sizes and ages as people read and write them."""

import os
import re
import time
from pathlib import Path

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")


def size_text(size: int) -> str:
    """Return `0 B`, `999 B`, `1.5 KiB`, `12 MiB`."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 9.95 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def age_text(at: float | None, now: float | None = None) -> str:
    """Return `now`, `45s`, `12m`, `3h`, `6d`: how long ago it was; `-` for never.

    A clock may have been set back since then: that is `now`.
    """
    if at is None:
        return "-"
    seconds = (time.time() if now is None else now) - at
    if seconds < 1:
        return "now"
    for unit, most in (("s", 60.0), ("m", 60.0), ("h", 48.0)):
        if seconds / _SECONDS[unit] < most:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{int(seconds / _SECONDS['d']):,}d"


def read_age(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `12h`, `7d`, `2w`; a bare number is in days.

    Raises:
        ValueError: it is none.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no age; write a number and s, m, h, d or w, as in 7d")
    return float(found[1]) * _SECONDS[found[2] or "d"]


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder, links not followed; what vanishes is not."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
    return total
