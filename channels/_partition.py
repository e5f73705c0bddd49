"""Which reader gets a message by its key: equal keys, the same reader.

Rule 1: a key is compared, so it must have an equality of its own: a str, a number, a tuple of them,
an enum, None, a class, or any hashable value. What compares by identity is refused, because each
such object would be a key of its own.
Rule 2: strings, bytes, numbers, enums, classes, None and tuples of these go to the same reader in
every process; other values only within one, because Python salts their hashes.
Rule 3: when a reader ends, its keys move on, and only those.
"""

from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from inspect import iscoroutinefunction
from numbers import Number
from reprlib import repr as shortened
from typing import Any, Protocol, cast
from zlib import crc32

from attrs import field, frozen

_MASK = (1 << 64) - 1
_NUMBERS = frozenset({int, float, bool})


class PartitionError(ValueError):
    """A message could not be given to a reader: what chooses one raised, or gave back rubbish.

    The message was not sent. It is raised where it was sent, at `ctx.send` or `yield`.
    """


@frozen
class Partition:
    """`fan_out=Partition(key)`: messages with equal keys go to the same reader, in order.

    `fan_out=Partition(to=choose)`: `choose(message)` gives the name of the reader itself.
    """

    key: Callable[[Any], Any] | None = None
    """Takes a message and returns its key; a plain function, called in the event loop."""
    to: Callable[[Any], str] | None = field(default=None, kw_only=True)
    """Takes a message and returns the name of the node that reads it."""

    def __attrs_post_init__(self) -> None:
        given = [each for each in (self.key, self.to) if each is not None]
        if len(given) != 1:
            raise TypeError(
                "Partition takes one function: Partition(key) for the message's key, or "
                "Partition(to=choose) for the name of its reader"
            )
        self._check_function(given[0])

    def _check_function(self, function: object) -> None:
        what = "key" if self.to is None else "to"
        if not callable(function):
            raise TypeError(
                f"{what} of Partition must be a function, got {function!r}; write e.g. "
                "Partition(lambda order: order.customer)"
            )
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            raise TypeError(
                f"{what} of Partition must be a plain function, but {function!r} is async; do what "
                "waits in the actor, and put the key into the message"
            )


def hash_key(key: Any) -> int:
    """Return an int of 64 bits, equal for equal keys.

    Raises:
        TypeError: it is no key (rule 1).
    """
    kind: type[Any] = type(cast("object", key))
    if kind is str:
        return crc32(key.encode("utf-8", "surrogatepass"))
    if kind in _NUMBERS:
        return _hash_number(key)
    return _hash_rest(key)


def _hash_number(key: Any) -> int:
    # A NaN is unequal to itself, and still has to go somewhere; equal numbers have equal hashes.
    return hash(key) & _MASK if key == key else 0


def _hash_rest(key: Any) -> int:
    if isinstance(key, str):  # of a subclass: an enum's member, which is equal to its text
        return crc32(str.encode(key, "utf-8", "surrogatepass"))
    if isinstance(key, Number):
        return _hash_number(key)
    if isinstance(key, bytes):
        return crc32(key)
    if isinstance(key, tuple):
        number = 1
        for part in cast("tuple[object, ...]", key):
            number = (number * 1_000_003 ^ hash_key(part)) & _MASK
        return number
    if key is None:
        return 0
    if isinstance(key, type):
        return crc32(f"{key.__module__}.{key.__qualname__}".encode())
    if isinstance(key, Enum) and _is_compared_by_identity(key):
        return crc32(f"{type(key).__qualname__}.{key.name}".encode())
    if callable(key) or _is_compared_by_identity(key):
        if isinstance(key, Coroutine):
            key.close()  # else Python warns that nobody awaits it
        raise TypeError("it compares by identity, so no two messages would have the same key")
    return hash(key) & _MASK


def _is_compared_by_identity(key: Any) -> bool:
    equals: Any = type(key).__eq__
    return equals is object.__eq__


class MayEnd(Protocol):
    """What is asked of a reader."""

    def is_over(self) -> bool: ...


def reader_of(number: int, readers: Sequence[MayEnd]) -> int:
    """Return the index of the reader that a hashed key belongs to; -1 if all have ended.

    While a reader lives, its keys stay with it, whatever happens to the others.
    """
    count = len(readers)
    first = first_reader_of(number, count)
    if not readers[first].is_over():
        return first
    # Not simply the next one: it would get all keys of the one that has ended.
    start = first_reader_of(number * 31 + 17, count)
    others: Sequence[int] = [*range(start, count), *range(start)]
    for at in others:
        if not readers[at].is_over():
            return at
    return -1


def first_reader_of(number: int, count: int) -> int:
    """Return 0 to `count` - 1; mixed, so that keys which are multiples of `count` spread too."""
    mixed = number * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & _MASK
    return int(mixed * count >> 64)


def call_chooser(owner: str, partition: Partition, payload: Any) -> Any:
    """Return what the partition's function says of a message.

    Raises:
        PartitionError: it raised.
    """
    key = partition.key
    choose = partition.to if key is None else key
    assert choose is not None
    try:
        return choose(payload)
    except Exception as error:
        what = "function `to`" if key is None else "key function"
        raise PartitionError(
            f"the {what} of fan_out=Partition(...) of {owner!r} failed on {shortened(payload)}: "
            f"{_shown(repr, error)}; let it answer for every message, or leave such messages out "
            "before"
        ) from error


def number_of(owner: str, key: Any, payload: Any) -> int:
    """Return `hash_key(key)`.

    Raises:
        PartitionError: it is no key.
    """
    try:
        return hash_key(key)
    except Exception as error:
        raise PartitionError(
            f"the key function of fan_out=Partition(...) of {owner!r} gave {shortened(key)} for "
            f"{shortened(payload)}, which is no key ({_shown(str, error)}); return a str, a "
            "number, or a tuple of them"
        ) from error


def _shown(make: Callable[[object], str], error: Exception) -> str:
    try:
        return make(error)
    except Exception as problem:  # the user's __str__ or __repr__
        return f"{type(error).__name__}(its text can't be made: {type(problem).__name__})"


Partition.__module__ = PartitionError.__module__ = "trouper"
