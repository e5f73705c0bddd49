"""The tables of the catalog: an index of all manifests, which can be made anew from them."""

ASSETS = """
    -- One row for each manifest of the workspace: `size` bytes of it are indexed. Those that a
    -- process has written to since it was compacted are open. Bound: the folders there are; a row
    -- whose manifest is gone falls out when the catalog is rebuilt, or when it is read while open.
    CREATE TABLE manifest (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        token TEXT NOT NULL,
        size INTEGER NOT NULL,
        is_open INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX manifest_open ON manifest (scope) WHERE is_open;

    -- One row for each asset: what is searched for, and its record as JSON. Falls out with its
    -- manifest; so do tags, sources and uses.
    CREATE TABLE asset (
        number INTEGER PRIMARY KEY,
        manifest INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        created REAL NOT NULL,
        project TEXT,
        experiment TEXT,
        run TEXT,
        execution INTEGER,
        task TEXT,
        record TEXT NOT NULL,
        UNIQUE (id, manifest)
    ) STRICT;
    CREATE INDEX asset_by_name ON asset (manifest, name, kind, version);
    CREATE INDEX asset_by_run ON asset (run, created, id);
    CREATE INDEX asset_by_task ON asset (task, created, id);
    CREATE INDEX asset_by_time ON asset (created, id);

    CREATE TABLE asset_tag (
        tag TEXT NOT NULL,
        asset INTEGER NOT NULL REFERENCES asset (number) ON DELETE CASCADE,
        PRIMARY KEY (tag, asset)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX asset_tag_of ON asset_tag (asset);

    -- What an asset was made from, by the ids of those assets.
    CREATE TABLE asset_source (
        source TEXT NOT NULL,
        asset INTEGER NOT NULL REFERENCES asset (number) ON DELETE CASCADE,
        PRIMARY KEY (source, asset)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX asset_source_of ON asset_source (asset);

    -- Who has read an asset, whatever was made of it.
    CREATE TABLE asset_use (
        number INTEGER PRIMARY KEY,
        manifest INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
        asset TEXT NOT NULL,
        at REAL NOT NULL,
        project TEXT,
        experiment TEXT,
        run TEXT,
        execution INTEGER,
        task TEXT,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX asset_use_of ON asset_use (asset);
    CREATE INDEX asset_use_in ON asset_use (manifest);
    CREATE INDEX asset_use_by ON asset_use (run, task);
"""
