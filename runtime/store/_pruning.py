"""Take runs out of the database, when a person has asked for it."""

import time
from collections.abc import Callable

from ._connections import Connections
from ._owner import Owner, liveness
from ._records import RunRecord


def forget_run(
    connections: Connections,
    run: RunRecord,
    manifest: str,
    *,
    before: Callable[[], None],
    with_cached: bool = False,
    clock: Callable[[], float] = time.time,
) -> bool:
    """Forget a run, its executions, actions, results and what the catalog has of it.

    Args:
        run: as it was when it was chosen; one that has begun anew since then stays.
        manifest: the run's folder, relative to the workspace.
        with_cached: also what it has put into the cache, which refers to data that goes.
        before: called in the transaction, once it is known that it goes; if it raises, it stays.

    Returns:
        Whether it is gone.

    Raises:
        StoreError: it can't be written.
    """
    with connections.writing() as db:
        row = db.execute(
            "SELECT id, ended, host, pid, born, heartbeat FROM execution WHERE run = ? "
            "ORDER BY number DESC LIMIT 1",
            (run.run,),
        ).fetchone()
        if row is None or row[0] != run.execution:
            return False
        _, ended, host, pid, born, heartbeat = row
        if ended is None and liveness(Owner(host, pid, born), heartbeat, clock()) != "dead":
            return False
        before()
        db.execute("DELETE FROM run WHERE id = ?", (run.run,))
        if with_cached:
            db.execute("DELETE FROM cache WHERE project = ? AND run = ?", (run.project, run.name))
        db.execute(
            "DELETE FROM experiment WHERE project = ?1 AND name = ?2 AND NOT EXISTS "
            "(SELECT 1 FROM run WHERE project = ?1 AND experiment = ?2)",
            (run.project, run.experiment),
        )
        db.execute("DELETE FROM manifest WHERE scope = ?", (manifest,))
    return True
