"""The results of tasks, kept by the hash of all that they depend on.

Rule 1: a key is computed by one at a time (F39): in a process the others wait for its result, in
other processes they look again and again, and take over when the process that computes has died.
Rule 2: what fails is not kept, and the next in line tries it.
"""

import secrets
import time

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

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under the key."""
        with self._connections.reading() as db:
            row = db.execute("SELECT value, used FROM cache WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, used = row
        if abs(time.time() - used) > _USED_EVERY:
            with self._connections.writing() as db:
                db.execute("UPDATE cache SET used = ? WHERE key = ?", (time.time(), key))
        return bytes(value)

    def begin(self, key: bytes, *, overwrite: bool = False) -> Hit | Turn | None:
        """Return the value, or that it is this process's turn to compute it.

        None says that another process computes it: look again later.

        Args:
            overwrite: compute it in any case.
        """
        value = None if overwrite else self.get(key)
        if value is not None:
            return Hit(value)
        me, token, now = this_process(), secrets.token_hex(16), time.time()
        with self._connections.writing() as db:
            row = db.execute("SELECT value FROM cache WHERE key = ?", (key,)).fetchone()
            if row is not None and not overwrite:
                return Hit(bytes(row[0]))  # it came in between
            if _is_in_flight(db, key, now):
                return None
            db.execute(
                "REPLACE INTO cache_flight (key, token, host, pid, born, heartbeat) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (key, token, me.host, me.pid, me.born, now),
            )
            # Before others may look: equal processes are told apart by it.
            _computed_here.add(token)
        self._flights[token] = key
        return Turn(token)

    def finish(
        self, key: bytes, turn: Turn, value: bytes, *, task: str, run: str | None = None
    ) -> bool:
        """Keep the value and end the computation; return whether it is kept: not if too large."""
        self._forget(turn)
        is_kept = len(value) <= self._limits.cache_value_bytes
        now = time.time()
        with self._connections.writing() as db:
            db.execute(_END_FLIGHT, (key, turn.token))
            if is_kept:
                db.execute(_KEEP, (key, storable(task), value, len(value), now, now, run))
                self._let_fall_out(db, key)
        return is_kept

    def give_up(self, key: bytes, turn: Turn) -> None:
        """End a computation without a value; the next in line begins."""
        self._forget(turn)
        with self._connections.writing() as db:
            db.execute(_END_FLIGHT, (key, turn.token))

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

    def _let_fall_out(self, db: Database, newest: bytes) -> None:
        entries, total = _size(db)
        while entries > self._limits.cache_entries or total > self._limits.cache_bytes:
            oldest = db.execute(
                "SELECT key, size FROM cache WHERE key <> ? ORDER BY used LIMIT 1", (newest,)
            ).fetchone()
            if oldest is None:
                return
            db.execute("DELETE FROM cache WHERE key = ?", (oldest[0],))
            entries, total = entries - 1, total - oldest[1]


_END_FLIGHT = "DELETE FROM cache_flight WHERE key = ? AND token = ?"
_KEEP = (
    "INSERT INTO cache (key, task, value, size, created, used, run) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET task = excluded.task, value = excluded.value, "
    "size = excluded.size, created = excluded.created, used = excluded.used, run = excluded.run"
)


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
