"""Functions that tests call in worker processes: of a module that can be imported."""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn


def process_number() -> int:
    return os.getpid()


def total(*numbers: int) -> int:
    return sum(numbers)


def square(number: int) -> int:
    return number * number


def fail(reason: str = "no disk") -> NoReturn:
    raise OSError(28, reason)


class Odd(Exception):
    """Can be pickled, and not read again: it wants two arguments."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def fail_oddly() -> NoReturn:
    raise Odd("this", "that")


def leave() -> NoReturn:
    sys.exit(3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def give_a_function() -> Any:
    return lambda: None


class Broken:
    """Can be pickled where it was made, and not read anywhere."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> NoReturn:
    raise ValueError("cannot be read")


def give_what_is_broken() -> Broken:
    return Broken()


def tell_and_wait(path: str) -> None:
    """Write the process's number into a file, then never return."""
    Path(path).write_text(str(os.getpid()))
    signal.pause()


def describe(value: object) -> str:
    return type(value).__name__
