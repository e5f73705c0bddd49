"""Where messages go that could not be handled, with their history."""

from collections import deque
from collections.abc import Callable, Iterator
from time import time
from typing import Any, Final

import msgspec

from ..channels._envelope import Envelope
from ._failure import FailureSummary

DEFAULT_BOUND = 10_000


class Attempt(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One delivery that failed."""

    number: int
    """From 1; it begins anew when a dead letter is put back."""
    node: str
    at: float
    """Seconds since the epoch."""
    failure: FailureSummary


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was given up."""

    node: str
    """Who could not handle it."""
    envelope: Envelope[Any]
    reason: str
    """`max_attempts`, `released`, `expired`, `invalid`, `stopped`, or why it was dropped."""
    attempts: tuple[Attempt, ...] = ()
    """Its failed deliveries, oldest first; the last 20."""
    placed: int = 0
    """Outputs that its attempts have placed."""
    at: float = msgspec.field(default_factory=time)
    """When it was given up, seconds since the epoch."""

    @property
    def id(self) -> str:
        """`Envelope.id`."""
        return self.envelope.id

    @property
    def failures(self) -> tuple[FailureSummary, ...]:
        """What each attempt ended with, oldest first."""
        return tuple(each.failure for each in self.attempts)


LATE_REPLY: Final = "late_reply"
"""The reason of a reply that nobody waited for any more: a message of no edge."""


class DeadLetters:
    """Keeps the newest dead letters; counts all of them, and those that fell out."""

    def __init__(self, bound: int = DEFAULT_BOUND) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=bound)
        self._put_back: dict[int, DeadLetter] = {}
        """The newest of them, by identity: who still has one may not put it back twice."""
        self._bound = bound
        self.total = 0
        self.taken = 0
        """How many were put back."""

    @property
    def fallen_out(self) -> int:
        return self.total - self.taken - len(self._kept)

    def add(self, letter: DeadLetter) -> None:
        self._kept.append(letter)
        self.total += 1

    def choose(self, wanted: Callable[[DeadLetter], object]) -> list[DeadLetter]:
        """Return those for which `wanted` is true, oldest first."""
        return [letter for letter in tuple(self._kept) if wanted(letter)]

    def take(self, letter: DeadLetter) -> bool:
        """Take one out, told by identity; return whether it was here."""
        for at, kept in enumerate(self._kept):
            if kept is letter:
                del self._kept[at]
                self.taken += 1
                self._put_back[id(letter)] = letter
                if len(self._put_back) > self._bound:
                    del self._put_back[next(iter(self._put_back))]
                return True
        return False

    def was_put_back(self, letter: DeadLetter) -> bool:
        return self._put_back.get(id(letter)) is letter

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)


DeadLetter.__module__ = Attempt.__module__ = "trouper"
