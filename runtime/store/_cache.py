"""The results of tasks, kept by the hash of all that they depend on.

Rule 1: a key is computed by one at a time (F39): in a process the others wait for its result, in
other processes they look again and again, and take over when the process that computes has died.
Rule 2: what fails is not kept, and the next in line tries it.
Rule 3: a result belongs to the run that has computed it; who looks says whose results count.
"""

import secrets
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

from attrs import define, field, frozen

from ._actions import storable
from ._connections import Connections
from ._database import Database
from ._limits import Limits
from ._owner import Owner, liveness, this_process

_USED_EVERY = 60.0
"""Seconds: a hit within so many of the last one is not noted, so that hits are mere reads."""


_computed_here: set[str] = set()
"""Tokens of what this process computes, of whichever store."""


@frozen(kw_only=True)
class Within:
    """Whose results count; and whose the result is, if it has to be computed."""

    scope: Literal["global", "project-domain", "run"] = "global"
    """`global`: those of all runs; else those of the same project and domain, or of the same run,
    which may have had several executions."""
    project: str = ""
    domain: str = ""
    run: str = ""

    def condition(self) -> tuple[str, Sequence[str]]:
        """Return which rows count, as SQL."""
        if self.scope == "global":
            return "", ()
        if self.scope == "run":
            return " AND project = ? AND run = ?", (self.project, self.run)
        return " AND project = ? AND domain = ?", (self.project, self.domain)

    def flight(self, key: bytes) -> bytes:
        """Return what equal calls have in common that may share one computation."""
        _, values = self.condition()
        if not values:
            return key
        return blake2b("\0".join((self.scope, *values)).encode(), key=key[:64]).digest()


EVERYWHERE = Within()


@frozen
class Hit:
    """The value is there."""

    value: bytes


@frozen
class Turn:
    """It is not there, and this process shall compute it."""

    token: str


@define(eq=False, kw_only=True)
class Cache:
    """The tables `cache` and `cache_flight`. The runtime uses `SingleFlight` above it."""

    _connections: Connections = field(alias="connections")
    _limits: Limits = field(alias="limits")
    _flights: dict[str, bytes] = field(factory=dict[str, bytes], init=False)
    """Tokens and keys of what is computed by this store's process."""

    def get(self, key: bytes, *, within: Within = EVERYWHERE) -> bytes | None:
        """Return what is kept under the key: the newest of those results that count."""
        with self._connections.reading() as db:
            row = _newest(db, key, within)
        if row is None:
            return None
        number, value, used = row
        if abs(time.time() - used) > _USED_EVERY:
            with self._connections.writing() as db:
                db.execute("UPDATE cache SET used = ? WHERE id = ?", (time.time(), number))
        return bytes(value)

    def begin(
        self, key: bytes, *, overwrite: bool = False, within: Within = EVERYWHERE
    ) -> Hit | Turn | None:
        """Return the value, or that it is this process's turn to compute it.

        None says that another process computes it: look again later.

        Args:
            overwrite: compute it in any case.
        """
        value = None if overwrite else self.get(key, within=within)
        if value is not None:
            return Hit(value)
        me, token, now = this_process(), secrets.token_hex(16), time.time()
        flight = within.flight(key)
        with self._connections.writing() as db:
            row = None if overwrite else _newest(db, key, within)
            if row is not None:
                return Hit(bytes(row[1]))  # it came in between
            if _is_in_flight(db, flight, now):
                return None
            db.execute(
                "REPLACE INTO cache_flight (key, token, host, pid, born, heartbeat) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (flight, token, me.host, me.pid, me.born, now),
            )
            # Before others may look: equal processes are told apart by it.
            _computed_here.add(token)
        self._flights[token] = flight
        return Turn(token)

    def finish(
        self, key: bytes, turn: Turn, value: bytes, *, task: str, within: Within = EVERYWHERE
    ) -> bool:
        """Keep the value and end the computation; return whether it is kept: not if too large."""
        self._forget(turn)
        is_kept = len(value) <= self._limits.cache_value_bytes
        now = time.time()
        whose = (key, within.project, within.domain, within.run)
        with self._connections.writing() as db:
            db.execute(_END_FLIGHT, (turn.token,))
            if is_kept:
                # Not replaced where it stands: the newest is the one with the highest id.
                db.execute(_DROP, whose)
                db.execute(_KEEP, (*whose, storable(task), value, len(value), now, now))
                self._let_fall_out(db)
        return is_kept

    def give_up(self, turn: Turn) -> None:
        """End a computation without a value; the next in line begins."""
        self._forget(turn)
        with self._connections.writing() as db:
            db.execute(_END_FLIGHT, (turn.token,))

    def _forget(self, turn: Turn) -> None:
        self._flights.pop(turn.token, None)
        _computed_here.discard(turn.token)

    def beat(self) -> None:
        """Tell other hosts that the computations of this process go on."""
        now, flights = time.time(), list(self._flights.items())
        if flights:
            with self._connections.writing() as db:
                db.executemany(
                    "UPDATE cache_flight SET heartbeat = ? WHERE key = ? AND token = ?",
                    [(now, key, token) for token, key in flights],
                )

    def clear(self, task: str | None = None) -> int:
        """Forget all values, or those of one task; return how many there were."""
        with self._connections.writing() as db:
            if task is None:
                db.execute("DELETE FROM cache")
            else:
                db.execute("DELETE FROM cache WHERE task = ?", (task,))
            return db.changes()

    def size(self) -> tuple[int, int]:
        """Return how many values there are, and their bytes."""
        with self._connections.reading() as db:
            return _size(db)

    def _let_fall_out(self, db: Database) -> None:
        newest = db.last_insert_rowid()
        entries, total = _size(db)
        while entries > self._limits.cache_entries or total > self._limits.cache_bytes:
            oldest = db.execute(
                "SELECT id, size FROM cache WHERE id <> ? ORDER BY used LIMIT 1", (newest,)
            ).fetchone()
            if oldest is None:
                return
            db.execute("DELETE FROM cache WHERE id = ?", (oldest[0],))
            entries, total = entries - 1, total - oldest[1]


_END_FLIGHT = "DELETE FROM cache_flight WHERE token = ?"
_DROP = "DELETE FROM cache WHERE key = ? AND project = ? AND domain = ? AND run = ?"
_KEEP = (
    "INSERT INTO cache (key, project, domain, run, task, value, size, created, used) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _newest(db: Database, key: bytes, within: Within) -> tuple[int, bytes, float] | None:
    condition, values = within.condition()
    found: tuple[int, bytes, float] | None = db.execute(
        f"SELECT id, value, used FROM cache WHERE key = ?{condition} ORDER BY id DESC LIMIT 1",
        (key, *values),
    ).fetchone()
    return found


def _is_in_flight(db: Database, key: bytes, now: float) -> bool:
    row = db.execute(
        "SELECT token, host, pid, born, heartbeat FROM cache_flight WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return False
    token, host, pid, born, heartbeat = row
    owner = Owner(host, pid, born)
    if owner == this_process():
        # Of another store object here; or left over, because the disk refused its end.
        return token in _computed_here
    return liveness(owner, heartbeat, now) != "dead"


def _size(db: Database) -> tuple[int, int]:
    entries, total = db.execute("SELECT entries, bytes FROM cache_size").fetchone() or (0, 0)
    return entries, total
