"""The result map of a run that is recorded: what is set is on disk when the call returns (F10)."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from ...actors._secret import masked

if TYPE_CHECKING:
    from ._tracked import Tracked

_STAYS = "results are recorded and stay; set one to None instead"


class KeptResults(dict[str, Any]):
    """A dict whose values are recorded as they are set. Any thread may use it.

    Who has set a value reads that very object until the execution ends, as in a run in memory. All
    others, and a resumed run, read it as it is recorded: plain data, tuples as lists, asterisks for
    secrets.
    """

    _tracked: "Tracked | None" = None

    def bind(self, tracked: "Tracked") -> None:
        """Record in this execution from now on; what earlier ones have set is here then."""
        if tracked.claim.number > 1:
            for key, value in tracked.store.results.all(tracked.claim.run).items():
                super().__setitem__(key, value)
        self._tracked = tracked

    def unbind(self) -> None:
        """Record nothing more: the execution has ended."""
        self._tracked = None

    def __setitem__(self, key: str, value: Any) -> None:
        """Record a value.

        Raises:
            TypeError: the key is no str, or the value is no plain data.
            StoreError: it can't be recorded; the text says why.
        """
        if self._tracked is not None:
            self._tracked.set_result(key, masked(value))
        super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(  # type: ignore[override]  # keys are str, so the overloads fall into one
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any
    ) -> None:
        for key, value in {**dict(other), **named}.items():
            self[key] = value

    def __ior__(self, other: Any) -> "KeptResults":  # type: ignore[override,misc]  # likewise
        self.update(other)
        return self

    def __delitem__(self, key: str) -> NoReturn:
        raise TypeError(_STAYS)

    def pop(self, *_: Any) -> NoReturn:
        raise TypeError(_STAYS)

    def popitem(self) -> NoReturn:
        raise TypeError(_STAYS)

    def clear(self) -> NoReturn:
        raise TypeError(_STAYS)
