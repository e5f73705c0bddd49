"""The result map of a run: small values that are on disk when the call returns (F10)."""

import time
from typing import Any

import msgspec
from attrs import define, field

from ._claiming import lost_claim
from ._connections import Connections
from ._errors import TooMuch
from ._limits import Limits
from ._records import Claim

_LONGEST_KEY = 1024


@define(eq=False, kw_only=True)
class Results:
    """The table `result`."""

    _connections: Connections = field(alias="connections")
    _limits: Limits = field(alias="limits")

    def set(self, claim: Claim, key: str, value: Any) -> tuple[bytes, float]:
        """Record a value; it is visible from other processes when this returns.

        Returns:
            The value as it is recorded, and when that was.

        Raises:
            TypeError: the key is no str, or the value is no plain data.
            TooMuch: the value is too large, or the run has too many keys.
            ClaimLost: the execution has ended.
        """
        packed, at = self._packed(key, value), time.time()
        with self._connections.writing() as db:
            db.execute(
                "INSERT INTO result (run, key, value, execution, set_at) "
                "SELECT run, ?, ?, id, ? FROM execution "
                "WHERE id = ? AND token = ? AND ended IS NULL "
                "ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, "
                "execution = excluded.execution, set_at = excluded.set_at",
                (key, packed, at, claim.execution, claim.token),
            )
            if not db.changes():
                raise lost_claim(db, claim)
            count = "SELECT count(*) FROM result WHERE run = ?"
            if db.execute(count, (claim.run,)).get > self._limits.results:
                raise TooMuch(
                    f"the run {claim.name!r} has {self._limits.results} results already, so "
                    f"{key!r} is refused; put many values under one key, as a list"
                )
        return packed, at

    def _packed(self, key: object, value: Any) -> bytes:
        if not isinstance(key, str):
            raise TypeError(f"the key of a result is a str, got {key!r}")
        if not 0 < len(key) <= _LONGEST_KEY:
            raise ValueError(
                f"the key of a result has 1 to {_LONGEST_KEY} characters, got {len(key)}: "
                f"{key[:40]!r}"
            )
        try:
            key.encode()
            packed = pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TypeError(
                f"the result {key!r} can't be kept: {error}; make it dicts, lists and scalars, "
                "or save it as an artifact"
            ) from error
        if len(packed) > self._limits.result_bytes:
            raise TooMuch(
                f"the result {key!r} has {len(packed)} bytes, and at most "
                f"{self._limits.result_bytes} are kept; save it as an artifact"
            )
        return packed

    def all(self, run: int) -> dict[str, Any]:
        """Return all results of a run, by the id of the run, in the order of their keys."""
        with self._connections.reading() as db:
            rows = db.execute(
                "SELECT key, value FROM result WHERE run = ? ORDER BY key", (run,)
            ).fetchall()
        return {key: unpack(value) for key, value in rows}

    def get(self, run: int, key: str, default: Any = None) -> Any:
        """Return one result, as plain data."""
        with self._connections.reading() as db:
            row = db.execute(
                "SELECT value FROM result WHERE run = ? AND key = ?", (run, key)
            ).fetchone()
        return default if row is None else unpack(row[0])


def pack(value: Any) -> bytes:
    """Return plain data as bytes; what JSON can't hold, NaN and bytes for two, is kept."""
    return msgspec.msgpack.encode(value)


def unpack(packed: bytes) -> Any:
    """Return what was packed; tuples come back as lists, structs as dicts."""
    return msgspec.msgpack.decode(packed)
