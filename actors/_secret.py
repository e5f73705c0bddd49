"""Values that nobody is to see: what is shown or recorded holds asterisks in their place.

Rule: only `reveal()` gives the value away. Text of a run that would hold one goes through
`mask_text` before it is printed, logged or kept.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeGuard
from weakref import WeakValueDictionary

MASK = "***"

SHORTEST = 4
"""Characters; a shorter value is masked where it stands, not searched for in other text: masking
each "1" would hide nothing and garble everything."""


class Secret:
    """A value that only `reveal()` gives away: a password, a token.

    In a configuration file `{secret: VALUE}` makes one. `str()`, `repr()` and formatting show
    asterisks, and two are equal if their values are.
    """

    __slots__ = ("__weakref__", "_value")
    _value: Any

    def __init__(self, value: Any) -> None:
        """Keep a value.

        Raises:
            TypeError: it is no str, number or None, but a mapping or list: mark the values in it.
        """
        if isinstance(value, Secret):
            value = value.reveal()
        if value is not None and not isinstance(value, str | int | float):
            raise TypeError(
                f"a secret holds one value, not a {type(value).__name__}; mark each value in it"
            )
        object.__setattr__(self, "_value", value)
        _known.add(self)

    def reveal(self) -> Any:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret is read-only; make another one")

    def __reduce__(self) -> tuple[Any, ...]:
        # To a worker process it goes with its value; nothing else pickles one.
        return Secret, (self._value,)


class _Known:
    """The secrets there are, as one pattern that is made anew when there is another one."""

    def __init__(self) -> None:
        # By id, because equal ones come and go each by itself.
        self._secrets: WeakValueDictionary[int, Secret] = WeakValueDictionary()
        self._pattern: re.Pattern[str] | None = None
        self._added = self._heeded = 0
        """How many there were ever, and as the pattern was made."""
        self.free_lock()

    def free_lock(self) -> None:
        # Reentrant: a signal handler that logs, or a finalizer, may come in the middle of it.
        self._lock = threading.RLock()

    def add(self, secret: Secret) -> None:
        with self._lock:
            self._secrets[id(secret)] = secret
            self._added += 1

    def pattern(self) -> re.Pattern[str] | None:
        """Return what finds them in text; None: there are none."""
        if self._heeded != self._added:
            with self._lock:
                added = self._added
                texts = {str(each.reveal()) for each in self._secrets.values()}
                long = sorted((each for each in texts if len(each) >= SHORTEST), key=len)
                # The longest first: one may hold another.
                words = "|".join(re.escape(each) for each in reversed(long))
                self._pattern = re.compile(words) if words else None
                # Last: until then nobody takes the old one for what there is.
                self._heeded = added
        return self._pattern


_known = _Known()
os.register_at_fork(after_in_child=_known.free_lock)  # another thread may have held it


def mask_text(text: str) -> str:
    """Return a text with asterisks in place of every secret of this process that stands in it."""
    pattern = _known.pattern()
    return text if pattern is None else pattern.sub(MASK, text)


def masked(value: Any) -> Any:
    """Return plain data with asterisks in place of secrets: of the objects, and of their text."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if _is_mapping(value):
        return {
            mask_text(key) if isinstance(key, str) else key: masked(each)
            for key, each in value.items()
        }
    if _is_list(value):
        return [masked(each) for each in value]
    return value


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


Secret.__module__ = "trouper"
