"""Where the console lines of runs go: standard error, or above a live picture."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

_say: Callable[[str], None] | None = None


def say(text: str) -> None:
    """Print a text of one line or several. Losing it never fails what logged it."""
    if _say is not None:
        for line in text.split("\n"):
            _say(line)
        return
    # Looked up each time: a program may have put another one there.
    stream = sys.stderr
    stream.write(f"{text}\n")
    stream.flush()


@contextmanager
def said_by(line: Callable[[str], None]) -> Generator[None, None, None]:
    """Give each line that runs would print to `line` instead, while the block goes on."""
    global _say
    before, _say = _say, line
    try:
        yield
    finally:
        _say = before
