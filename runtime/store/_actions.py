"""Action records: what each node or call of a task did."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
from attrs import define, field
from msgspec.structs import astuple

from ._connections import Connections
from ._database import Database
from ._limits import Limits
from ._records import ActionRecord

_NAMES = ActionRecord.__struct_fields__
_CACHED, _INTERRUPTIBLE = map(_NAMES.index, ("is_cached", "interruptible"))
_ROW = f"({', '.join('?' * len(_NAMES))})"
_MOST_AT_ONCE = 128
"""Rows of one statement."""


@cache
def _insert(rows: int) -> str:
    return (
        f"INSERT INTO action ({', '.join(_NAMES)}) VALUES {', '.join([_ROW] * rows)} "
        "ON CONFLICT (execution, name) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in _NAMES[2:])
    )


_SELECT = f"SELECT {', '.join(_NAMES)} FROM action WHERE execution = ?"
_FEW = f"{_SELECT} LIMIT ?"
_ORDERED = f"{_SELECT} ORDER BY started, name LIMIT ?"
_UPDATE = (
    f"UPDATE action SET {', '.join(f'{name} = ?' for name in _NAMES[2:])} "
    "WHERE execution = ? AND name = ?"
)


@define(eq=False, kw_only=True)
class Actions:
    """The table `action`."""

    _connections: Connections = field(alias="connections")
    _limits: Limits = field(alias="limits")
    _most: dict[int, int] = field(factory=dict[int, int], init=False)
    """Of each execution, at most how many rows there are: records that were written."""
    _left_out: defaultdict[int, set[str]] = field(factory=lambda: defaultdict(set), init=False)
    """Of each execution, actions that go on and had no room, so that each is counted once."""

    def write(self, records: Iterable[ActionRecord]) -> None:
        """Write records in one transaction; a later one of the same action replaces it whole.

        A record of an execution that has fallen out is dropped.
        """
        groups: dict[int, list[ActionRecord]] = defaultdict(list)
        for record in records:
            groups[record.execution].append(record)
        with self._connections.writing() as db:
            for execution, group in groups.items():
                if db.execute("SELECT 1 FROM execution WHERE id = ?", (execution,)).fetchone():
                    self._write(db, execution, group)

    def _write(self, db: Database, execution: int, group: Sequence[ActionRecord]) -> None:
        limit, rows = self._limits.actions, self._most.get(execution)
        # Equal to the limit it is exact: rows only become more.
        if rows is None or (rows < limit < rows + len(group)):
            count = "SELECT count(*) FROM action WHERE execution = ?"
            rows = int(db.execute(count, (execution,)).get)
        if rows + len(group) <= limit:
            put(db, group)
            self._most[execution] = rows + len(group)
            return
        self._most[execution] = self._write_what_has_room(db, execution, group, rows)

    def _write_what_has_room(
        self, db: Database, execution: int, group: Sequence[ActionRecord], rows: int
    ) -> int:
        """Return how many rows there are now."""
        left_out = 0
        for record in group:
            values = [storable(each) for each in astuple(record)]
            db.execute(_UPDATE, (*values[2:], *values[:2]))
            if db.changes():
                continue
            if rows < self._limits.actions:
                db.execute(_insert(1), values)
                rows += 1
            else:
                left_out += self._leave_out(record)
        db.execute(
            "UPDATE execution SET actions_left_out = actions_left_out + ? WHERE id = ?",
            (left_out, execution),
        )
        return rows

    def _leave_out(self, record: ActionRecord) -> bool:
        """Return whether the action is left out for the first time."""
        names = self._left_out[record.execution]
        is_new = record.name not in names
        (names.add if record.ended is None else names.discard)(record.name)
        return is_new

    def forget(self, execution: int) -> None:
        """Drop what is kept in memory of an execution that has ended."""
        self._most.pop(execution, None)
        self._left_out.pop(execution, None)

    def of(self, execution: int, *, most: int = -1) -> Sequence[ActionRecord]:
        """Return the actions of an execution, in the order in which they began.

        Args:
            most: at most so many; -1: all.
        """
        with self._connections.reading() as db:
            return actions_of(db, execution, most=most)


def put(db: Database, records: Sequence[ActionRecord]) -> None:
    """Write records; a later one of the same action replaces it whole."""
    # Each statement lets other threads run, and then waits until they let this one: 5 ms where they
    # are busy. So there are few, and of few lengths, which SQLite knows already.
    start, many = 0, _MOST_AT_ONCE
    while left := len(records) - start:
        while many > left:
            many //= 2
        values = list(chain.from_iterable(map(astuple, records[start : start + many])))
        try:
            db.execute(_insert(many), values)
        except UnicodeEncodeError:  # half a pair of surrogates somewhere
            db.execute(_insert(many), [storable(each) for each in values])
        start += many


def lines_of(db: Database, execution: int, *, most: int) -> bytes:
    """Return the actions of an execution as lines of JSON, as those of their records would be."""
    # Without making records: a run waits for it at its end, and may have many.
    return _encode_lines([_as_dict(row) for row in _rows(db, execution, most)])


_encode_lines = msgspec.json.Encoder().encode_lines


def few_actions(db: Database, execution: int, most: int) -> Sequence[ActionRecord] | None:
    """Return the actions of an execution; as `Actions.of`; None: it has more than `most`."""
    rows = db.execute(_FEW, (execution, most + 1)).fetchall()
    if len(rows) > most:
        return None
    return sorted(map(_record, rows), key=lambda each: (each.started, each.name))


def actions_of(db: Database, execution: int, *, most: int = -1) -> Sequence[ActionRecord]:
    """Return the actions of an execution; as `Actions.of`."""
    return [_record(row) for row in _rows(db, execution, most)]


def _rows(db: Database, execution: int, most: int) -> Sequence[Sequence[Any]]:
    return db.execute(_ORDERED, (execution, most)).fetchall()


def storable(value: Any) -> Any:
    r"""Return what SQLite can hold: half a pair of surrogates is written out, as `\udcff`."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _record(row: Sequence[Any]) -> ActionRecord:
    return ActionRecord(**_as_dict(row))


def _as_dict(row: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(_NAMES, row, strict=True))
    found["is_cached"], found["interruptible"] = bool(row[_CACHED]), bool(row[_INTERRUPTIBLE])
    return found
