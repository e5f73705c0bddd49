"""Whether what was measured was recorded: figures of runs that leave no trace would say little."""

from pathlib import Path

from trouper.runtime.store._store import open_store


def refuse_unrecorded(folder: Path, calls: int) -> None:
    """Look into the workspace of a folder for the runs, and the actions of one.

    Raises:
        RuntimeError: they are not there.
    """
    with open_store(folder / ".trouper", read_only=True) as store:
        runs = store.runs.query(target="one_by_one", limit=None)
        if not runs or any(run.phase != "completed" for run in runs):
            raise RuntimeError(f"the runs were not recorded: {len(runs)} found")
        actions = store.actions.of(runs[0].execution)
    if len(actions) != calls + 1:
        raise RuntimeError(f"{len(actions)} actions were recorded, not {calls + 1}")
