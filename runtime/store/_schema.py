"""The tables, as an ordered list of migrations: `PRAGMA user_version` counts those applied.

Rule 1: a migration that was released never changes; what is new is appended.
Rule 2: a database with more migrations than this list has is refused, never guessed at.
Rule 3: each table names its bound, and what falls out when it is reached.
"""

from pathlib import Path

from ._asset_schema import ASSETS
from ._database import Database
from ._errors import NewerSchema, NoWorkspace

APPLICATION = 0x74727072
"""`PRAGMA application_id` of our databases: 'trpr'. Another program's file is not touched."""

MIGRATIONS: tuple[str, ...] = (
    """
    -- One row for each experiment that a run was recorded in, with what it is about: JSON, or NULL
    -- if nobody has said so yet. Falls out with its last run.
    CREATE TABLE experiment (
        project TEXT NOT NULL,
        name TEXT NOT NULL,
        params TEXT,
        created REAL NOT NULL,
        PRIMARY KEY (project, name)
    ) STRICT, WITHOUT ROWID;

    -- One row for each run: a name within an experiment of a project. Falls out with its last
    -- execution.
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        project TEXT NOT NULL,
        experiment TEXT NOT NULL,
        name TEXT NOT NULL,
        parameters TEXT,
        created REAL NOT NULL,
        UNIQUE (project, experiment, name)
    ) STRICT;
    CREATE INDEX run_by_name ON run (name);

    -- One row for each attempt at a run. Bound: Limits.executions; the oldest that have ended
    -- fall out, with their actions, when a new one begins.
    CREATE TABLE execution (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        token TEXT NOT NULL,
        phase TEXT NOT NULL,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        mode TEXT NOT NULL,
        version TEXT NOT NULL,
        domain TEXT,
        org TEXT,
        queue TEXT,
        labels TEXT NOT NULL,
        annotations TEXT NOT NULL,
        params TEXT NOT NULL,
        profile TEXT,
        config TEXT NOT NULL,
        config_hash TEXT NOT NULL,
        inputs BLOB,
        outputs BLOB,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        born TEXT NOT NULL,
        started REAL NOT NULL,
        heartbeat REAL NOT NULL,
        ended REAL,
        error_code TEXT,
        error TEXT,
        trace TEXT,
        abort_requested REAL,
        actions_left_out INTEGER NOT NULL DEFAULT 0,
        UNIQUE (run, number)
    ) STRICT;
    CREATE INDEX execution_alive ON execution (host) WHERE ended IS NULL;

    -- One row for each action of an execution. Bound: Limits.actions for each execution; further
    -- ones are left out, and counted in execution.actions_left_out.
    CREATE TABLE action (
        execution INTEGER NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        parent TEXT,
        task TEXT NOT NULL,
        phase TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        started REAL NOT NULL,
        ended REAL,
        error_code TEXT,
        error TEXT,
        key BLOB,
        output BLOB,
        call_group TEXT,
        queue TEXT,
        is_cached INTEGER NOT NULL,
        interruptible INTEGER NOT NULL,
        PRIMARY KEY (execution, name)
    ) STRICT, WITHOUT ROWID;

    -- One row for each key of a run's result map. Bound: Limits.results keys for each run, and
    -- Limits.result_bytes for each value; more is refused.
    CREATE TABLE result (
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        execution INTEGER NOT NULL,
        set_at REAL NOT NULL,
        PRIMARY KEY (run, key)
    ) STRICT, WITHOUT ROWID;

    -- Results of tasks by the hash of what they depend on, one row for each run that has computed
    -- it: the newest counts, within the scope of who looks. Bounds: Limits.cache_entries and
    -- Limits.cache_bytes; what was used longest ago falls out. A value over
    -- Limits.cache_value_bytes is not kept.
    CREATE TABLE cache (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL,
        project TEXT NOT NULL,
        domain TEXT NOT NULL,
        run TEXT NOT NULL,
        task TEXT NOT NULL,
        value BLOB NOT NULL,
        size INTEGER NOT NULL,
        created REAL NOT NULL,
        used REAL NOT NULL,
        UNIQUE (key, project, domain, run)
    ) STRICT;
    CREATE INDEX cache_by_use ON cache (used, size);

    -- How much the cache holds, so that nobody has to count. Bound: one row.
    CREATE TABLE cache_size (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT;
    INSERT INTO cache_size VALUES (1, 0, 0);
    CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN
        UPDATE cache_size SET entries = entries + 1, bytes = bytes + new.size;
    END;
    CREATE TRIGGER cache_changes AFTER UPDATE OF size ON cache BEGIN
        UPDATE cache_size SET bytes = bytes + new.size - old.size;
    END;
    CREATE TRIGGER cache_shrinks AFTER DELETE ON cache BEGIN
        UPDATE cache_size SET entries = entries - 1, bytes = bytes - old.size;
    END;

    -- Who computes a value that is not in the cache yet. Bound: one row for each computation that
    -- goes on; a row of a process that has died falls out when its key is wanted again.
    CREATE TABLE cache_flight (
        key BLOB PRIMARY KEY,
        token TEXT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        born TEXT NOT NULL,
        heartbeat REAL NOT NULL
    ) STRICT;
    """
    + ASSETS,
)


def migrate(db: Database, path: Path) -> None:
    """Bring the database to the newest schema; several processes may do so at once.

    Raises:
        NewerSchema: a newer trouper has been here.
        NoWorkspace: the database belongs to another program.
    """
    if check_version(db, path) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited for the lock.
        for script in MIGRATIONS[check_version(db, path) :]:
            db.execute(script)
        db.pragma("user_version", len(MIGRATIONS))
        db.pragma("application_id", APPLICATION)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def check_version(db: Database, path: Path) -> int:
    """Return how many migrations the database has had.

    Raises:
        NewerSchema: more than this version of trouper knows.
        NoWorkspace: it holds tables of another program.
    """
    is_one_look = db.in_transaction
    if is_one_look:
        return _version(db, path)
    # One look, at one state: another process may make the tables at this moment.
    db.execute("BEGIN")
    try:
        return _version(db, path)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _version(db: Database, path: Path) -> int:
    version, application = db.pragma("user_version"), db.pragma("application_id")
    if application != APPLICATION:
        if application or version or db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise NoWorkspace(
                f"{str(path)!r} is the database of another program (application_id "
                f"{application:#x}); choose another folder for the workspace"
            )
        return 0
    if version > len(MIGRATIONS):
        raise NewerSchema(
            f"the database {str(path)!r} has schema {version}, and this trouper knows "
            f"{len(MIGRATIONS)}: a newer one has written it. Upgrade trouper, or choose another "
            "folder for the workspace"
        )
    return int(version)
