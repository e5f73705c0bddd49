"""Where messages go that could not be handled, with their history."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from ..channels._envelope import Envelope
from ._failure import FailureSummary

DEFAULT_BOUND = 10_000


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was given up."""

    node: str
    """Who could not handle it."""
    envelope: Envelope[Any]
    reason: str
    """`max_attempts`, `expired`, or why it was dropped."""
    failures: tuple[FailureSummary, ...] = ()
    """What each attempt ended with, oldest first."""


DeadLetter.__module__ = "trouper"


class DeadLetters:
    """Keeps the newest dead letters; counts all of them, and those that fell out."""

    def __init__(self, bound: int = DEFAULT_BOUND) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=bound)
        self.total = 0

    @property
    def fallen_out(self) -> int:
        return self.total - len(self._kept)

    def add(self, letter: DeadLetter) -> None:
        self._kept.append(letter)
        self.total += 1

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
