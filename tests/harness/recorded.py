"""A workspace with runs that are recorded, and have kept something."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.stores import new_run
from trouper.actors._assets import KEY
from trouper.runtime.assets._run_assets import RunAssets, open_run_assets

Call = Callable[..., tuple[int, str, str]]
"""A command in this process: its exit code, output and errors."""

DAY = 86_400.0


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trouper.Workspace]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / ".trouper"))
    with trouper.Workspace() as opened:
        yield opened


class Recorded:
    """A run that is recorded, with its assets."""

    def __init__(self, workspace: trouper.Workspace, name: str, **more: Any) -> None:
        self.store = workspace.store
        new = new_run(name, **more)
        self.claim = self.store.runs.claim(new)
        run: Any = workspace.project(new.project).experiment(new.experiment).run(id=name)
        self.path = run.path
        self.assets: RunAssets = open_run_assets(run, execution=1)

    def context(self, task: str) -> trouper.TaskContext[Any, Any, Any]:
        run = trouper.RunContext(run_name=self.claim.name, kept={KEY: self.assets})
        action = trouper.ActionID(name=task, run_name=self.claim.name)
        return trouper.TaskContext(run_context=run, action=action)

    def end(self, phase: Any = "completed", *, ago: float = 0.0) -> "Recorded":
        self.assets.close()
        self.store.runs.finish(self.claim, phase)
        if ago:
            with self.store.connections.writing() as db:
                db.execute(
                    "UPDATE execution SET ended = ended - ?1, started = started - ?1 WHERE id = ?2",
                    (ago, self.claim.execution),
                )
        return self


def training(workspace: trouper.Workspace, name: str = "first", **more: Any) -> Recorded:
    """Return a run of three tasks: one makes data, one a model of it, one reads that."""
    run = Recorded(workspace, name, project="p", experiment="e", **more)
    run.context("load").artifact.save("data.csv", "a,b\n1,2\n", tags=["raw"])
    train = run.context("train")
    train.artifact.load("data.csv")
    train.artifact.save("model.bin", b"\0\1\2")
    train.artifact.save("model.bin", b"\0\xff\2\3")
    train.log("loss").append("0.5 \x1b[2J")
    train.log("loss").append("0.4")
    train.log("loss").flush()
    run.context("judge").artifact.load("model.bin")
    return run
