"""`data_assets.import_asset`, and `ctx.find_asset`, which finds what was imported."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.assets import Place, context_of, execute, workspace
from trouper.runtime.assets._data_assets import data_assets_of, hash_of
from trouper.runtime.assets._run_assets import open_run_assets
from trouper.runtime.assets._shelf import shelf_of


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with workspace(tmp_path / "ws") as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text("x,y\n1,2\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    (path / "deep").mkdir(parents=True)
    (path / "a.png").write_bytes(b"a")
    (path / "deep" / "b.png").write_bytes(b"bb")
    (path / "link").symlink_to("a.png")
    return path


@pytest.mark.parametrize("action", ["copy", "move", "symlink", "hardlink"])
def test_a_file_is_imported(place: Place, source: Path, action: Any) -> None:
    inode = source.stat().st_ino
    asset = data_assets_of(place).import_asset("training-data", source, action, tags=["raw"])
    assert isinstance(asset, trouper.DataAsset)
    assert asset.path.read_text() == "x,y\n1,2\n"
    assert asset.path.is_absolute()
    assert asset.path.suffix == ".csv"
    assert (asset.mime, asset.size, asset.tags) == ("text/csv", 8, ("raw",))
    assert asset.source == str(source)
    assert source.exists() == (action != "move")
    assert asset.path.is_symlink() == (action == "symlink")
    assert (asset.path.stat().st_ino == inode) == (action != "copy")
    if action == "copy":
        assert stat.S_IMODE(asset.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("action", ["copy", "move", "symlink", "hardlink"])
def test_a_folder_is_imported(place: Place, folder: Path, action: Any) -> None:
    size, digest = hash_of(folder)
    asset = data_assets_of(place).import_asset("images", folder, action)
    assert asset.is_folder
    assert (asset.path / "deep/b.png").read_bytes() == b"bb"
    assert (asset.path / "link").is_symlink()
    assert (asset.size, asset.hash) == (size, digest)
    assert hash_of(asset.path) == (size, digest)
    assert folder.exists() == (action != "move")


def test_a_hash_tells_folders_apart(folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(folder, twin, symlinks=True)
    assert hash_of(twin) == hash_of(folder)
    (twin / "a.png").rename(twin / "c.png")
    assert hash_of(twin) != hash_of(folder)


def test_again_is_a_new_version(place: Place, source: Path) -> None:
    assets = data_assets_of(place)
    first = assets.import_asset("data", source)
    source.write_text("other")
    second = assets.import_asset("data", source)
    assert (first.version, second.version) == (1, 2)
    assert (first.path.read_text(), second.path.read_text()) == ("x,y\n1,2\n", "other")
    assert assets.get("data") == second
    assert assets.get("data", version=1) == first
    assert assets.list() == [first, second]
    assert assets.get("none") is None


@pytest.mark.parametrize(
    ("name", "src", "action", "error", "problem"),
    [
        ("data", "nowhere", "copy", trouper.AssetDataError, "there is no '.*nowhere'"),
        ("data", "/dev/null", "copy", trouper.AssetDataError, "is no file and no folder"),
        ("../data", __file__, "copy", trouper.AssetNameError, "'..'"),
        ("data", __file__, "steal", ValueError, "copy, move, symlink, hardlink"),
    ],
)
def test_what_cant_be_imported(
    place: Place, name: str, src: str, action: Any, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        data_assets_of(place).import_asset(name, src, action)
    assert not list((place.path / "data").rglob("*"))


@pytest.mark.parametrize("action", ["copy", "move"])
def test_an_import_that_fails_leaves_the_source(
    place: Place, source: Path, action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trouper.runtime.assets._data_assets.os.rename", _refuse)
    with pytest.raises(trouper.AssetsFull, match="free some space"):
        data_assets_of(place).import_asset("data", source, action)
    assert source.read_text() == "x,y\n1,2\n"
    assert not [each for each in (place.path / "data").iterdir() if each.is_file()]
    assert data_assets_of(place).list() == []


def _refuse(_source: Any, _target: Any) -> None:
    raise OSError(28, "No space left on device")


def test_what_cant_be_linked_says_what_to_do(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(_source: Any, _target: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("trouper.runtime.assets._data_assets.os.link", other_disk)
    with pytest.raises(trouper.AssetError, match="use action='copy' or 'symlink'"):
        data_assets_of(place).import_asset("data", source, "hardlink")


async def test_the_async_form(place: Place, source: Path) -> None:
    asset = await data_assets_of(place).aimport_asset("data", source)
    assert await trio.Path(asset.path).read_text() == "x,y\n1,2\n"


# -- find_asset -----------------------------------------------------------------------------------


async def test_the_pages_train_finds_its_data(place: Place, source: Path) -> None:
    """F7: the page's `Train`, verbatim; `.path` is absolute and can be opened."""
    data_assets_of(place.below("project", "p")).import_asset("training-data", source)

    class Train(trouper.Task):
        async def execute(self, ctx: trouper.TaskContext) -> dict:  # type: ignore[type-arg]  # likewise
            dataset = ctx.find_asset("training-data")
            loss = 0.05
            ctx.set_result("final_loss", loss)
            ctx.artifact.save("metrics.json", {"loss": loss})
            ctx.log("train").append(f"loss={loss}")
            return {"loss": loss, "dataset": dataset.path if dataset else None}

    wf = trouper.Workflow()
    wf.add(Train)
    result = await execute(wf, place.run())
    found = result.unwrap()["train"]["dataset"]
    assert found.is_absolute()
    assert found.read_text() == "x,y\n1,2\n"
    assert result.results == {"final_loss": 0.05}


def test_the_nearest_wins(place: Place, source: Path) -> None:
    """Seed page: searches the asset hierarchy from run, experiment, project to workspace. F7."""
    run = place.run()
    ctx = context_of(open_run_assets(run))
    assert ctx.find_asset("data") is None
    above = [place, place.below("project", "p"), run.parent]
    for scope in above:
        assert scope is not None
        data_assets_of(scope).import_asset("data", source)
        assert ctx.find_asset("data").path.is_relative_to(scope.path / "data")
    saved = ctx.artifact.save("data", b"mine")
    assert ctx.find_asset("data") == saved
    elsewhere = place.below("project", "p").below("experiment", "other").below("run", "r")
    found = context_of(open_run_assets(elsewhere)).find_asset("data")
    assert found.scope == "projects/p"


def test_any_kind_is_found_and_the_newest_version(place: Place) -> None:
    ctx = context_of(open_run_assets(place.run()))
    ctx.checkpoint("x", data=1)
    ctx.log("x").append("line")
    assert ctx.find_asset("x").kind == "log"
    for number in range(3):
        ctx.artifact.save("x", number)
    assert ctx.find_asset("x").load() == 2
    assert ctx.find_asset("x", kind="checkpoint").load() == 1
    assert ctx.find_asset("x", kind="data") is None


def test_what_another_process_has_kept_is_found(place: Place, tmp_path: Path) -> None:
    ctx = context_of(open_run_assets(place.run()))
    with workspace(tmp_path / "ws") as other:
        assert other.store is not place.store
        context_of(open_run_assets(other.run())).artifact.save("x", b"theirs")
    assert ctx.find_asset("x").load() == b"theirs"


def test_a_run_imports_for_itself(place: Place, source: Path) -> None:
    ctx = context_of(open_run_assets(place.run()))
    asset = ctx.data_assets.import_asset("data", source)
    assert asset.producer.task == "train"
    assert asset.path.is_relative_to(place.run().path)
    assert shelf_of(place.run()).newest("data") == asset
    assert os.path.isabs(asset.path)
