"""What the tables use of an SQLite connection. apsw's own types need a newer Python than ours."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement gives."""

    @property
    def get(self) -> Any:
        """The first column of the first row; None if there is no row."""
        ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """A connection."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, statements: str, bindings: Sequence[Any] = (), /) -> Rows: ...

    def executemany(self, statements: str, bindings: Iterable[Sequence[Any]], /) -> Rows: ...

    def pragma(self, name: str, value: Any = None, /) -> Any: ...

    def changes(self) -> int: ...

    def last_insert_rowid(self) -> int: ...

    def set_busy_timeout(self, milliseconds: int, /) -> None: ...

    def close(self) -> None: ...
