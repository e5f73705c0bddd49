"""All that a workspace answers, so that two of them can be compared: the fixtures `workspace` and
`other`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import trouper
from trouper.runtime.store._records import RunRecord
from trouper.runtime.workspace._run_execution import outputs_in


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[trouper.Workspace]:
    with trouper.Workspace(tmp_path / "ws") as place:
        yield place


@pytest.fixture
def other(tmp_path: Path) -> Iterator[trouper.Workspace]:
    with trouper.Workspace(tmp_path / "other") as place:
        yield place


_OF_ONE_DATABASE = ("run", "execution")
"""Row numbers."""


def told_of_run(run: trouper.Run) -> dict[str, Any]:
    """Return all that a run tells, wherever it lies."""
    record = run.record()
    assert record is not None
    return {
        "record": _without_rows(record),
        "phase": run.phase,
        "parameters": run.parameters,
        "experiment": run.experiment.params,
        "results": run.results,
        "inputs": run.inputs(),
        "executions": run.executions(),
        "outputs": [dict(outputs_in(each).items()) for each in _records(run)],
        "actions": run.actions(),
        "logs": [each.message for each in run.logs()],
        "assets": [
            (each.id, each.kind, each.name, each.version, each.producer)
            for each in run.workspace.catalog.query_assets(scope=run, order="oldest")
        ],
    }


def _records(run: trouper.Run) -> list[RunRecord]:
    return list(run.workspace.store.runs.executions(run.key))


def _without_rows(record: RunRecord) -> dict[str, Any]:
    fields = msgspec.structs.asdict(record)
    return {name: value for name, value in fields.items() if name not in _OF_ONE_DATABASE}


def told_of(workspace: trouper.Workspace) -> dict[str, Any]:
    """Return all that a workspace tells."""
    catalog = workspace.catalog
    assets = catalog.query_assets(order="oldest")
    return {
        "runs": [(run, told_of_run(run)) for run in workspace.runs()],
        "projects": [(each, each.experiments()) for each in workspace.projects()],
        "scopes": workspace.scopes(),
        "assets": assets,
        "readers": [catalog.lineage.readers(each) for each in assets],
        "sources": [list(catalog.lineage.upstream(each)) for each in assets],
        "of runs": [[each.number for each in catalog.executions(run)] for run in workspace.runs()],
    }


def lose_database(workspace: trouper.Workspace) -> None:
    """Have nothing left of a workspace but its files."""
    workspace.close()
    for each in Path(workspace.path).glob("trouper.db*"):
        each.unlink()


def run_at(workspace: trouper.Workspace, name: str = "r") -> trouper.Run:
    """Return a run of one experiment."""
    return workspace.project("p").experiment("e").run(id=name)


def finished(workspace: trouper.Workspace, name: str = "r", **results: Any) -> trouper.Run:
    """Execute it once more, with these results."""
    run = run_at(workspace, name)
    with run.start() if run.phase == "pending" else run.rerun() as run_context:
        run_context.results.update(results)
    return run


def copied(run: trouper.Run, to: trouper.Workspace, name: str = "r") -> trouper.Run:
    """Copy its folder into another workspace."""
    there = run_at(to, name)
    shutil.copytree(run.path, there.path, dirs_exist_ok=True)
    return there


def file_of(run: trouper.Run) -> dict[str, Any]:
    """Return what its `run.json` holds."""
    told: dict[str, Any] = json.loads((run.path / "run.json").read_bytes())
    return told
