"""The catalog: finds what the manifests say, whoever wrote them, and can be made anew."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.assets import Place, context_of, workspace
from trouper.runtime.assets import _append, _rebuild, _shelf
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._data_assets import data_assets_of
from trouper.runtime.assets._run_assets import open_run_assets
from trouper.runtime.store._errors import StoreError
from trouper.runtime.store._records import NewRun


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with workspace(tmp_path / "ws") as found:
        yield found


@pytest.fixture
def catalog(place: Place) -> Catalog:
    return Catalog(place.store)


def names(found: list[Any]) -> list[str]:
    return [each.name for each in found]


def fill(place: Place) -> None:
    """Two runs of one experiment, one of another project, each by two tasks."""
    for run in (
        place.run("one"),
        place.run("two"),
        place.below("project", "q").below("experiment", "e").below("run", "one"),
    ):
        assets = open_run_assets(run, execution=1)
        for task in ("train", "test"):
            ctx = context_of(assets, task)
            ctx.artifact.save(f"{task}.json", {"a": 1}, tags=[task, run.name])
            ctx.checkpoint(task, data=1)
            ctx.log(task).append("line")
            ctx.log(task).flush()
    data_assets_of(place).import_asset("data", __file__, tags=["raw"])


def test_by_task(place: Place, catalog: Catalog) -> None:
    """F6: seed page: queries like `catalog.query_assets(producer_task="train")` work."""
    fill(place)
    found = catalog.query_assets(producer_task="train", producer_run="one")
    assert len(found) == 6
    assert {each.producer.task for each in found} == {"train"}
    assert catalog.query_assets(producer_task="nobody") == []


def test_by_run(place: Place, catalog: Catalog) -> None:
    """F14: equal names in two projects do not collide."""
    fill(place)
    assert len(catalog.query_assets(producer_run="one")) == 12
    assert len(catalog.query_assets(producer_run="q/e/one")) == 6
    assert len(catalog.query_assets(producer_run=place.run("one"))) == 6
    assert len(catalog.produces("p/e/one", "train")) == 3
    assert catalog.query_assets(producer_run="one", producer_execution=2) == []
    with pytest.raises(ValueError, match="NAME or PROJECT/EXPERIMENT/NAME, got 'a/b'"):
        catalog.query_assets(producer_run="a/b")


def test_by_kind_name_and_tag(place: Place, catalog: Catalog) -> None:
    fill(place)
    assert len(catalog.query_assets(kind="log")) == 6
    assert len(catalog.query_assets(kind=["log", "data"])) == 7
    assert names(catalog.query_assets(tag="raw")) == ["data"]
    assert len(catalog.query_assets(tag=["train", "one"])) == 2
    assert len(catalog.query_assets(name="train")) == 6
    with pytest.raises(ValueError, match="no kind 'logs' of assets; known: artifact, data"):
        catalog.query_assets(kind="logs")


def test_by_scope(place: Place, catalog: Catalog) -> None:
    fill(place)
    project = place.below("project", "p")
    assert len(catalog.query_assets(scope=place)) == 19
    assert len(catalog.query_assets(scope=project)) == 12
    assert len(catalog.query_assets(scope=place.run("two"))) == 6
    assert names(catalog.query_assets(scope="workspace")) == ["data"]
    assert len(catalog.query_assets(scope="run")) == 18
    assert catalog.query_assets(scope=place.below("project", "p-and-more")) == []
    with pytest.raises(ValueError, match="no kind 'folder' of scope"):
        catalog.query_assets(scope="folder")  # type: ignore[arg-type]  # that is what is tested


def test_order_and_limit(place: Place, catalog: Catalog) -> None:
    ctx = context_of(open_run_assets(place.run()))
    for name in ("b", "a", "c", "a"):
        ctx.artifact.save(name, b"")
    assert names(catalog.query_assets()) == ["a", "c", "a", "b"]
    assert names(catalog.query_assets(order="oldest")) == ["b", "a", "c", "a"]
    by_name = catalog.query_assets(order="name")
    assert [(each.name, each.version) for each in by_name][:2] == [("a", 1), ("a", 2)]
    assert names(catalog.query_assets(limit=2)) == ["a", "c"]
    assert catalog.query_assets(limit=0) == []
    with pytest.raises(ValueError, match="limit must be 0 or more, got -1"):
        catalog.query_assets(limit=-1)
    with pytest.raises(ValueError, match="choose newest, oldest or name"):
        catalog.query_assets(order="best")  # type: ignore[arg-type]  # that is what is tested


def test_by_id(place: Place, catalog: Catalog) -> None:
    asset = context_of(open_run_assets(place.run())).artifact.save("x", b"1")
    assert catalog.get(asset.id) == asset
    with pytest.raises(trouper.AssetError, match="no asset 'none'"):
        catalog.get("none")


def test_what_other_processes_write_is_seen_at_once(place: Place, catalog: Catalog) -> None:
    with workspace(place.path) as other:
        ctx = context_of(open_run_assets(other.run()))
        for number in range(3):
            ctx.artifact.save(f"x{number}", b"")
            assert len(catalog.query_assets()) == number + 1


def test_runs_are_those_of_the_store(place: Place, catalog: Catalog) -> None:
    place.store.runs.claim(NewRun(name="r", target="t"))
    assert [each.name for each in catalog.runs()] == ["r"]


def test_executions_are_those_of_a_run(place: Place, catalog: Catalog) -> None:
    assert catalog.executions("r") == []
    for number in (1, 2):
        claim = place.store.runs.claim(NewRun(name="r", target="t"))
        place.store.runs.finish(claim, "completed")
        assert [each.id for each in catalog.executions("r")] == ["r.1", "r.2"][:number]
    run = trouper.Workspace(place.path).find_run("r")
    assert catalog.executions(run) == run.executions() == catalog.executions("default/default/r")


# -- rebuild --------------------------------------------------------------------------------------


def everything(catalog: Catalog) -> tuple[list[Any], list[Any]]:
    uses = [catalog.lineage.readers(each) for each in catalog.query_assets(order="oldest")]
    return catalog.query_assets(order="oldest"), uses


def test_a_rebuilt_catalog_is_equal(place: Place, catalog: Catalog) -> None:
    """F14: `rebuild()` loses imported data."""
    fill(place)
    context_of(open_run_assets(place.run("one"))).artifact.load("train.json")
    before = everything(catalog)
    assert len(before[0]) == 19
    assert catalog.rebuild().manifests == 4
    assert everything(catalog) == before


def test_it_is_rebuilt_from_the_manifests_alone(place: Place, catalog: Catalog) -> None:
    fill(place)
    before = everything(catalog)
    place.store.assets.forget_all()
    assert catalog.query_assets() == []
    catalog.rebuild()
    assert everything(catalog) == before


def test_a_run_folder_can_be_moved_to_another_workspace(
    place: Place, catalog: Catalog, tmp_path: Path
) -> None:
    fill(place)
    open_run_assets(place.run("one")).close()
    before = catalog.query_assets(scope=place.run("one"), order="oldest")
    with workspace(tmp_path / "other") as other:
        to = other.run("one").path
        to.parent.mkdir(parents=True)
        shutil.move(place.run("one").path, to)
        there = Catalog(other.store)
        assert there.rebuild().manifests == 1
        moved = there.query_assets(order="oldest")
        assert [each.id for each in moved] == [each.id for each in before]
        assert all(each.path.is_relative_to(to) and each.path.exists() for each in moved)
    assert catalog.rebuild().manifests == 3
    assert catalog.query_assets(scope=place.run("one")) == []


def test_what_is_no_scope_is_left_alone(place: Place, catalog: Catalog) -> None:
    fill(place)
    manifest = place.run("one").path / "assets.jsonl"
    for odd in ("elsewhere", "projects", "projects/p/runs/x", "projects/p/data", "a/b/c/d/e/f/g/h"):
        (place.path / odd).mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, place.path / odd)
    assert catalog.rebuild().manifests == 4


def test_a_manifest_that_was_removed_is_forgotten(place: Place, catalog: Catalog) -> None:
    fill(place)
    assert len(catalog.query_assets()) == 19
    shutil.rmtree(place.run("one").path)
    assert len(catalog.query_assets()) == 13


def test_a_closed_run_is_compact_and_can_go_on(place: Place, catalog: Catalog) -> None:
    """Never rewritten for each asset, but when the run closes."""
    assets = open_run_assets(place.run())
    ctx = context_of(assets)
    ctx.artifact.save("x", b"1")
    ctx.artifact.load("x")
    ctx.log("l").append("a")
    inode = assets.shelf.manifest.path.stat().st_ino
    ctx.artifact.save("x", b"2")
    assert assets.shelf.manifest.path.stat().st_ino == inode
    before = everything(catalog)
    assets.close()
    assert assets.shelf.manifest.path.stat().st_ino != inode
    assert everything(catalog) == before
    assert place.store.assets.open_manifests() == []
    assert ctx.artifact.save("x", b"3").version == 3
    assert len(catalog.query_assets(name="x")) == 3
    assert [scope for scope, _, _ in place.store.assets.open_manifests()] == [assets.key]


def test_others_go_on_while_a_run_is_closed(place: Place, catalog: Catalog) -> None:
    with workspace(place.path) as other:
        theirs = context_of(open_run_assets(other.run()))
        theirs.artifact.save("x", b"1")
        open_run_assets(place.run()).close()
        theirs.artifact.save("y", b"2")
        assert sorted(names(catalog.query_assets())) == ["x", "y"]


def test_a_run_without_assets_writes_nothing(place: Place) -> None:
    """Nothing on disk until needed."""
    open_run_assets(place.run()).close()
    assert not place.run().path.exists()
    assert place.store.assets.scopes() == []


# -- trouble --------------------------------------------------------------------------------------


def test_the_catalog_is_told_at_times(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shelf, "INDEX_EVERY", 3)
    ctx = context_of(open_run_assets(place.run()))
    key = "projects/p/experiments/e/runs/r"
    sizes = []
    for number in range(6):
        ctx.artifact.save(f"{number}", b"")
        sizes.append(place.store.assets.indexed(key))
    assert sizes[:2] == [0, 0]
    assert 0 < sizes[2] == sizes[3] == sizes[4] < sizes[5]


def test_a_catalog_that_takes_nothing_costs_no_asset(
    place: Place, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is in the manifest; who asks the catalog is told of its trouble."""
    monkeypatch.setattr(_shelf, "INDEX_EVERY", 1)

    def full(*_args: Any, **_named: Any) -> None:
        raise StoreError("full")

    ctx = context_of(open_run_assets(place.run()))
    with monkeypatch.context() as patch:
        patch.setattr(type(place.store.assets), "index", full)
        ctx.artifact.save("x", b"")
        with pytest.raises(StoreError, match="full"):
            catalog.query_assets()
    assert names(catalog.query_assets()) == ["x"]


def test_a_damaged_manifest_takes_no_other_with_it(
    place: Place, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    fill(place)
    manifest = place.run("one").path / "assets.jsonl"
    whole = manifest.read_bytes()
    assert len(catalog.query_assets()) == 19
    manifest.write_bytes(whole + b"garbage\n")
    context_of(open_run_assets(place.run("two"))).artifact.save("new", b"")
    for _ in range(2):
        assert len(catalog.query_assets()) == 20
    assert len(catalog.query_assets(scope=place.run("two").parent)) == 13
    (told,) = caplog.records
    assert str(manifest) in told.getMessage()
    assert "take the line out" in told.getMessage()
    with pytest.raises(trouper.ManifestDamaged, match="garbage"):
        catalog.query_assets(scope=place.run("one"))
    # What was known stays, and a rebuild does all that it can before it says what it can't.
    with pytest.raises(trouper.ManifestDamaged, match="garbage"):
        catalog.rebuild()
    assert len(catalog.query_assets()) == 20
    manifest.write_bytes(whole)
    assert catalog.rebuild().manifests == 4
    assert len(catalog.query_assets(scope=place.run("one"))) == 6


def test_a_rebuild_names_the_damaged_ones(
    place: Place, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rebuild, "_NAMED", 2)
    fill(place)
    for run in ("one", "two", "three"):
        place.run(run).path.mkdir(exist_ok=True)
        (place.run(run).path / "assets.jsonl").write_text("no json\n")
    place.store.assets.forget_all()
    with pytest.raises(trouper.ManifestDamaged, match=r"one.*three.*; and 1 more"):
        catalog.rebuild()
    assert len(catalog.query_assets()) == 7


def test_a_task_saves_on_whatever_the_catalog_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shelf, "INDEX_EVERY", 2)
    ctx = context_of(open_run_assets(place.run()))
    ctx.artifact.save("x", b"")
    with (place.run().path / "assets.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    assert ctx.artifact.save("x", b"").version == 2


def test_a_workspace_that_is_only_read(place: Place) -> None:
    fill(place)
    Catalog(place.store).catch_up()
    place.store.close()
    with workspace(place.path, read_only=True) as other:
        catalog = Catalog(other.store)
        assert len(catalog.query_assets()) == 19
        assert context_of(open_run_assets(other.run("one"))).find_asset("data") is not None


def test_a_full_disk_keeps_nobody_from_reading(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ctx = context_of(open_run_assets(place.run()))
    ctx.artifact.save("x", b"1")
    monkeypatch.setattr(_append, "write_all", full)
    assert ctx.artifact.load("x") == b"1"
    assert "that 'train' has read an asset is not recorded" in caplog.text
    with pytest.raises(trouper.AssetsFull, match="What was written before is kept"):
        ctx.artifact.save("y", b"")
    monkeypatch.undo()
    assert names(Catalog(place.store).query_assets()) == ["x"]
