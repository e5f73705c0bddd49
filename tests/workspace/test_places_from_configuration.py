"""Where the data of a workspace's own runs goes: as configured, like that of any run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.rebuilding import run_at
from trouper.runtime.command._prune_data import Finder


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[trouper.Workspace]:
    with trouper.Workspace(tmp_path / "ws") as place:
        yield place


def files_below(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*") if each.is_file()}


def saving(seen: list[Any]) -> trouper.Workflow:
    wf = trouper.Workflow("saving")

    @wf.task
    async def save(ctx: trouper.TaskContext) -> trouper.io.File:
        seen.append((ctx.raw_data_path, ctx.run_base_dir))
        ctx.artifact.save("model", b"1")
        ctx.checkpoint("at", data={"step": len(seen)})
        passed = await trouper.io.File.asave("passed", "1", keep=False)
        seen.append(passed.path)
        return await trouper.io.File.asave("kept.txt", "1")

    return wf


async def test_they_go_to_the_configured_places(
    workspace: trouper.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, base = tmp_path / "raw", tmp_path / "base"
    monkeypatch.chdir(tmp_path)
    trouper.init(run={"raw_data_path": "raw", "run_base_dir": str(base)})
    run, seen = run_at(workspace), list[Any]()
    result = await saving(seen).execute(run=run)
    assert seen[0] == ("raw", str(base))
    assert base in Path(seen[1]).parents
    assert Path(result.outputs["save"].path).is_relative_to(raw / "r")
    assert "kept.txt" in files_below(raw)
    assert len(files_below(raw)) == 3
    record = run.record()
    assert record is not None
    assert record.params["raw_data_path"] == str(raw)
    # From the environment too, and what was kept elsewhere before is still found.
    monkeypatch.setenv("TROUPER_RAW_DATA_PATH", str(tmp_path / "other"))
    trouper.init()
    with run.rerun() as run_context:
        assert run_context.checkpoints("at").latest().load() == {"step": 1}
        assert run_context.artifact.load("model") == b"1"
        saved = run_context.artifact.save("model", b"2")
        assert saved.version == 2
        assert Path(saved.path).is_relative_to(tmp_path / "other" / "r")
    # Nothing said any more: into the run's folder again.
    monkeypatch.delenv("TROUPER_RAW_DATA_PATH")
    trouper.init()
    with run.rerun() as run_context:
        assert run_context.artifact.save("model", b"3").path.is_relative_to(run.path)
    record = run.record()
    assert record is not None
    found = Finder(workspace.store, workspace.path, keep_buckets=False).data_of(record)
    assert {each.parent.parent for each in found.folders} == {raw, tmp_path / "other"}
    assert found.size >= 3


def test_a_place_that_can_not_be_used_is_told_before_anything_runs(
    workspace: trouper.Workspace, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    trouper.init(run={"run_base_dir": str(tmp_path / "file")})
    with pytest.raises(trouper.io.StorageError):
        run_at(workspace).start()
    assert run_at(workspace).phase == "pending"
