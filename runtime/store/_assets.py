"""The catalog's tables: which assets there are, by scope, producer, name and tag.

Rule 1: an index and no more. What it holds is what the manifests say up to `manifest.size`.
Rule 2: a manifest is read inside the transaction that indexes it, so that of several processes
each line is indexed by one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from attrs import define, field

from ._asset_rows import MAKER, AssetQuery, AssetRow, Changes, Found, Order, UseQuery, UseRow
from ._connections import Connections
from ._database import Database

ReadBehind = Callable[[str, int], Changes | None]
"""(token, size) that are indexed -> what there is behind; None: the manifest is not there."""

_COLUMNS = AssetRow.__struct_fields__[:-2]
_INSERT = (
    f"INSERT INTO asset (manifest, {', '.join(_COLUMNS)}) "
    f"VALUES (?, {', '.join('?' * len(_COLUMNS))}) ON CONFLICT (id, manifest) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
    + " RETURNING number"
)
_USE_COLUMNS = UseRow.__struct_fields__
_INSERT_USE = (
    f"INSERT INTO asset_use (manifest, {', '.join(_USE_COLUMNS)}) "
    f"VALUES (?, {', '.join('?' * len(_USE_COLUMNS))})"
)
_ORDERS: dict[Order, str] = {
    "newest": "created DESC, asset.id DESC",
    "oldest": "created, asset.id",
    "name": "name, version, asset.id",
    "recorded": "number DESC",
}


@define(eq=False, kw_only=True)
class AssetIndex:
    """The tables `manifest`, `asset` and those that belong to them."""

    _connections: Connections = field(alias="connections")

    # -- writing -----------------------------------------------------------------------------

    def open_manifest(self, scope: str, kind: str) -> None:
        """Note that the scope's manifest is being written, before it is."""
        with self._connections.writing() as db:
            db.execute(
                "INSERT INTO manifest (scope, kind, token, size, is_open) VALUES (?, ?, '', 0, 1) "
                "ON CONFLICT (scope) DO UPDATE SET is_open = 1",
                (scope, kind),
            )

    def open_manifests(self) -> Sequence[tuple[str, str, int]]:
        """Return scope, kind and indexed bytes of those that may have grown."""
        with self._connections.reading() as db:
            rows = db.execute("SELECT scope, kind, size FROM manifest WHERE is_open").fetchall()
        return [(scope, kind, size) for scope, kind, size in rows]

    def indexed(self, scope: str) -> int:
        """Return how many bytes of a scope's manifest are indexed."""
        with self._connections.reading() as db:
            size = db.execute("SELECT size FROM manifest WHERE scope = ?", (scope,)).get
        return size or 0

    def index(self, scope: str, kind: str, read: ReadBehind, *, close: bool = False) -> None:
        """Index what a manifest holds behind what is indexed of it.

        Args:
            read: called in the transaction.
            close: whether nobody writes to it any more.
        """
        with self._connections.writing() as db:
            row = db.execute(
                "SELECT id, token, size FROM manifest WHERE scope = ?", (scope,)
            ).fetchone()
            number, token, size = row or (None, "", 0)
            changes = read(token, size)
            if changes is None:
                # Also if it was noted, and its process was killed before it wrote the first line.
                db.execute("DELETE FROM manifest WHERE id = ? AND size > 0", (number,))
                return
            if number is None:
                db.execute(
                    "INSERT INTO manifest (scope, kind, token, size, is_open) "
                    "VALUES (?, ?, '', 0, 1)",
                    (scope, kind),
                )
                number = db.last_insert_rowid()
            write_changes(db, number, changes)
            db.execute(
                "UPDATE manifest SET token = ?, size = ?, is_open = is_open AND NOT ? WHERE id = ?",
                (changes.token, changes.size, close, number),
            )

    def forget(self, scopes: Iterable[str]) -> None:
        """Take scopes out, with all that is indexed of them."""
        with self._connections.writing() as db:
            db.executemany("DELETE FROM manifest WHERE scope = ?", ((each,) for each in scopes))

    def scopes(self) -> Sequence[str]:
        with self._connections.reading() as db:
            return [scope for (scope,) in db.execute("SELECT scope FROM manifest ORDER BY scope")]

    def scopes_above_runs(self) -> Sequence[str]:
        """Return those that are no run's; there may be many runs."""
        sql = "SELECT scope FROM manifest WHERE kind <> 'run' ORDER BY scope"
        with self._connections.reading() as db:
            return [scope for (scope,) in db.execute(sql)]

    def forget_all(self) -> None:
        with self._connections.writing() as db:
            db.execute("DELETE FROM manifest")

    # -- reading -----------------------------------------------------------------------------

    def select(self, query: AssetQuery) -> Sequence[Found]:
        sql, values = _assets_sql(query)
        with self._connections.reading() as db:
            return [Found(record, scope) for record, scope in db.execute(sql, values)]

    def newest(
        self, scope: str, name: str, kinds: Sequence[str], version: int | None = None
    ) -> Found | None:
        """Return the highest version of a name in this scope alone; None: there is none.

        Of several kinds that was recorded last, whatever the clock said.
        """
        chosen = "" if version is None else "AND version = ? "
        sql = (
            "SELECT number, record, scope FROM asset JOIN manifest ON manifest.id = manifest "
            f"WHERE scope = ? AND name = ? AND asset.kind = ? {chosen}"
            "ORDER BY version DESC, number DESC LIMIT 1"
        )
        more = () if version is None else (version,)
        with self._connections.reading() as db:
            rows = [db.execute(sql, (scope, name, kind, *more)).fetchone() for kind in kinds]
        last = max((row for row in rows if row is not None), default=None)
        return None if last is None else Found(*last[1:])

    def uses(self, query: UseQuery) -> Sequence[str]:
        """Return the records of uses, oldest first."""
        where, values = _where(
            ("asset", query.asset),
            *((name, getattr(query, name)) for name in MAKER),
        )
        sql = f"SELECT record FROM asset_use WHERE {where} ORDER BY at, asset, record"
        with self._connections.reading() as db:
            return [record for (record,) in db.execute(sql, values)]


def write_changes(db: Database, manifest: int, changes: Changes) -> None:
    """Index what is new of a manifest, by its row; inside a transaction."""
    if changes.is_anew:
        db.execute("DELETE FROM asset WHERE manifest = ?", (manifest,))
        db.execute("DELETE FROM asset_use WHERE manifest = ?", (manifest,))
    for row in changes.assets:
        number = db.execute(_INSERT, (manifest, *_values(row))).get
        if row.tags or row.sources:
            _write_lists(db, number, row)
    db.executemany(
        _INSERT_USE, [(manifest, *msgspec.structs.astuple(each)) for each in changes.uses]
    )


def _values(row: AssetRow) -> Sequence[Any]:
    return msgspec.structs.astuple(row)[: len(_COLUMNS)]


def _write_lists(db: Database, number: int, row: AssetRow) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO asset_tag (tag, asset) VALUES (?, ?)",
        [(tag, number) for tag in row.tags],
    )
    db.executemany(
        "INSERT OR IGNORE INTO asset_source (source, asset) VALUES (?, ?)",
        [(source, number) for source in row.sources],
    )


def _where(*pairs: tuple[str, Any]) -> tuple[str, list[Any]]:
    given = [(column, value) for column, value in pairs if value is not None]
    words = " AND ".join(f"{column} = ?" for column, _ in given)
    return words or "1", [value for _, value in given]


def _assets_sql(query: AssetQuery) -> tuple[str, list[Any]]:
    where, values = _where(
        ("name", query.name),
        ("version", query.version),
        *((name, getattr(query, name)) for name in MAKER),
        ("manifest.kind", query.scope_kind),
    )
    words = [where]
    if query.kinds:
        words.append(f"asset.kind IN ({', '.join('?' * len(query.kinds))})")
        values += query.kinds
    if query.ids is not None:
        words.append(f"asset.id IN ({', '.join('?' * len(query.ids))})")
        values += query.ids
    for tag in query.tags:
        words.append("number IN (SELECT asset FROM asset_tag WHERE tag = ?)")
        values.append(tag)
    if query.source is not None:
        words.append("number IN (SELECT asset FROM asset_source WHERE source = ?)")
        values.append(query.source)
    if query.scope is not None and (query.scope or query.scope_alone):
        inside, bounds = _scope_sql(query.scope, alone=query.scope_alone)
        words.append(f"manifest IN (SELECT id FROM manifest WHERE {inside})")
        values += bounds
    limit = "" if query.limit is None else " LIMIT ?"
    values += [] if query.limit is None else [query.limit]
    return (
        "SELECT record, scope FROM asset JOIN manifest ON manifest.id = asset.manifest "
        f"WHERE {' AND '.join(words)} ORDER BY {_ORDERS[query.order]}{limit}",
        values,
    )


def _scope_sql(scope: str, *, alone: bool) -> tuple[str, list[str]]:
    if alone:
        return "scope = ?", [scope]
    # "0" comes right behind "/": these are all that begin with it.
    return "scope = ? OR (scope > ? AND scope < ?)", [scope, f"{scope}/", f"{scope}0"]
