"""Scopes to keep assets in, and runs that do."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

import trouper
from trouper.actors._assets import KEY
from trouper.runtime.assets._run_assets import RunAssets, open_run_assets
from trouper.runtime.assets._scope import ScopeKind
from trouper.runtime.store._store import Store, open_store

_ABOVE: dict[ScopeKind, ScopeKind] = {
    "run": "experiment",
    "experiment": "project",
    "project": "workspace",
}


@frozen
class Place:
    """A scope by its bare bones."""

    kind: ScopeKind
    name: str
    path: Path
    parent: "Place | None"
    store: Store

    def below(self, kind: ScopeKind, name: str) -> "Place":
        return Place(kind, name, self.path / f"{kind}s" / name, self, self.store)

    def run(self, name: str = "r") -> "Place":
        """Return a run of this workspace."""
        return self.below("project", "p").below("experiment", "e").below("run", name)


@contextmanager
def workspace(root: Path, **options: Any) -> Generator[Place, None, None]:
    with open_store(root, **options) as store:
        yield Place("workspace", root.name, root, None, store)


@contextmanager
def run_assets(root: Path, name: str = "r", **options: Any) -> Generator[RunAssets, None, None]:
    """Give the assets of a run, as they are while it goes on."""
    with workspace(root, **options) as place:
        yield open_run_assets(place.run(name), execution=1)


def context_of(assets: RunAssets, task: str = "train") -> trouper.TaskContext[Any, Any, Any]:
    """Return the context that a task of the run has."""
    run = trouper.RunContext(run_name="r", kept={KEY: assets})
    return trouper.TaskContext(run_context=run, action=trouper.ActionID(name=task, run_name="r"))


async def execute(
    workflow: trouper.Workflow, place: Place, *, execution: int = 1, **options: Any
) -> trouper.WorkflowResult:
    """Execute a workflow under a run, as who records it does."""
    assets = open_run_assets(place, execution=execution)
    run = trouper.RunContext(run_name=place.name, kept={KEY: assets})
    try:
        return await workflow.execute(run_context=run, **options)
    finally:
        assets.close()
