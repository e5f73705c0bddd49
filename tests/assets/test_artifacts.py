"""`ctx.artifact`: what is saved comes back, in versions, contained, whole or not at all."""

import hashlib
import io
import math
import os
import stat
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

import trouper
from harness.assets import context_of, run_assets
from trouper.runtime.assets._artifacts import Artifacts
from trouper.runtime.assets._errors import AssetDataError, AssetError, AssetGone
from trouper.runtime.assets._records import ArtifactAsset
from trouper.runtime.assets._run_assets import RunAssets


class Point(msgspec.Struct):
    x: int


@pytest.fixture
def assets(tmp_path: Path) -> Iterator[RunAssets]:
    with run_assets(tmp_path / "ws") as found:
        yield found


@pytest.fixture
def artifact(assets: RunAssets) -> Artifacts:
    found: Artifacts = context_of(assets).artifact
    return found


@pytest.mark.parametrize(
    ("data", "loaded"),
    [
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        ("text, ä", "text, ä"),
        ({"loss": 0.5, "deep": [1, None]}, {"loss": 0.5, "deep": [1, None]}),
        ([1, "a"], [1, "a"]),
        ((1, 2), [1, 2]),
        ([], []),
        (None, None),
        (7, 7),
        (Point(3), {"x": 3}),
        (iter([b"a", b"b"]), b"ab"),
        ((part for part in (b"a", "ä")), "aä".encode()),
        ([b"a", bytearray(b"b")], b"ab"),
        (io.BytesIO(b"file"), b"file"),
        (io.StringIO("file"), b"file"),
    ],
)
def test_what_is_saved_is_loaded_as_it_was(artifact: Artifacts, data: Any, loaded: Any) -> None:
    asset = artifact.save("x", data)
    assert artifact.load("x") == loaded
    assert asset.load() == loaded
    content = asset.path.read_bytes()
    assert asset.size == len(content)
    assert asset.hash == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_numbers_that_json_has_no_word_for_are_kept(artifact: Artifacts) -> None:
    artifact.save("metrics.json", {"loss": math.nan, "best": [math.inf, None]})
    loaded = artifact.load("metrics.json")
    assert math.isnan(loaded["loss"])
    assert loaded["best"] == [math.inf, None]


def test_a_path_is_copied_and_a_str_is_no_path(artifact: Artifacts, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights")
    assert artifact.save("model", source).path.read_bytes() == b"weights"
    assert source.exists()
    assert artifact.save("words", str(source)).load() == str(source)


def test_it_lies_in_the_runs_folder_of_artifacts(artifact: Artifacts, tmp_path: Path) -> None:
    """Seed page: `ctx.artifact.save(...)` writes a file into the run's artifacts directory."""
    asset = artifact.save("metrics.json", {"loss": 0.05}, tags=["b", "a"])
    folder = tmp_path / "ws/projects/p/experiments/e/runs/r/artifacts"
    assert asset.path == folder / "metrics.json"
    assert asset.path.read_text() == '{"loss":0.05}'
    assert (asset.mime, asset.tags, asset.version) == ("application/json", ("a", "b"), 1)
    assert artifact.save("plots/loss.png", b"").path == folder / "plots/loss.png"


def test_files_are_for_their_owner_alone(artifact: Artifacts) -> None:
    path = artifact.save("deep/secret", b"x").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_name_again_is_a_new_version(artifact: Artifacts) -> None:
    """F15: each record has the hash of its own content."""
    saved = [artifact.save("m.json", {"step": step}) for step in range(3)]
    assert [each.version for each in saved] == [1, 2, 3]
    assert [each.load() for each in saved] == [{"step": 0}, {"step": 1}, {"step": 2}]
    assert artifact.load("m.json") == {"step": 2}
    assert artifact.load("m.json", version=1) == {"step": 0}
    assert [each.path.name for each in saved] == ["m.json"] * 3


def test_versions_go_on_in_another_process(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        with run_assets(tmp_path) as assets:
            assert context_of(assets).artifact.save("m", b"x").version == expected
            if expected == 2:
                assets.close()


def test_a_version_that_another_process_took_is_not_taken_again(artifact: Artifacts) -> None:
    """It has written its file, and was killed before it could record it."""
    first = artifact.save("m", b"1")
    orphan = first.path.parent / "@2/m"
    orphan.parent.mkdir()
    orphan.write_bytes(b"theirs")
    assert artifact.save("m", b"3").version == 3
    assert orphan.read_bytes() == b"theirs"


def test_it_can_be_read_as_a_stream(artifact: Artifacts) -> None:
    artifact.save("big", iter([b"a" * 10, b"b"]))
    with artifact.open("big") as file:
        assert file.read(3) == b"aaa"


def test_what_is_not_there_is_named(artifact: Artifacts) -> None:
    with pytest.raises(AssetError, match="no artifact 'model'"):
        artifact.load("model")
    artifact.save("model", b"")
    with pytest.raises(AssetError, match="no version 7 of artifact 'model'"):
        artifact.open("model", version=7)
    assert artifact.find("other") is None


def test_a_file_that_was_taken_away_is_named(artifact: Artifacts) -> None:
    asset = artifact.save("model", b"x")
    asset.path.unlink()
    for use in (asset.load, asset.open, lambda: artifact.load("model")):
        with pytest.raises(AssetGone, match="artifact 'model' is recorded, but"):
            use()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (object(), "object is no plain data"),
        ({"x": object()}, "dict is no plain data"),
        (iter([b"a", 7]), "gave 7"),
        ("\ud800", "UTF-8 can't hold the text"),
        (Path("nowhere"), "no file 'nowhere'"),
        (Path("/"), "'/' is a folder; write data_assets.import_asset"),
    ],
)
def test_what_cant_be_kept_leaves_nothing(
    artifact: Artifacts, tmp_path: Path, data: Any, problem: str
) -> None:
    with pytest.raises(AssetDataError, match=problem):
        artifact.save("x", data)
    assert artifact.find("x") is None
    assert not [each for each in tmp_path.rglob("artifacts/*") if each.is_file()]


@pytest.mark.parametrize("tags", ["word", [""], [7]])
def test_tags_are_checked(artifact: Artifacts, tags: Any) -> None:
    with pytest.raises(TypeError, match="tag"):
        artifact.save("x", b"", tags=tags)
    assert artifact.find("x") is None


def test_tags_of_a_mapping(artifact: Artifacts) -> None:
    assert artifact.save("x", b"", tags={"stage": "dev"}).tags == ("stage=dev",)


def test_memory_does_not_grow_with_an_artifact(artifact: Artifacts, tmp_path: Path) -> None:
    source = tmp_path / "big"
    with source.open("wb") as file:
        file.truncate(64 << 20)
    peaks = []
    for data in (iter([bytes(1 << 20)] * 8), source):
        tracemalloc.start()
        try:
            artifact.save("big", data)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert max(peaks) < 8 << 20


# -- the async forms ------------------------------------------------------------------------------


async def test_async_forms(artifact: Artifacts) -> None:
    async def chunks() -> AsyncIterator[bytes | str]:
        yield b"a"
        await trio.lowlevel.checkpoint()
        yield "b"

    asset = await artifact.asave("x", chunks(), tags=["t"])
    assert (asset.load(), asset.size, asset.tags) == (b"ab", 2, ("t",))
    assert await artifact.aload("x") == b"ab"
    assert (await artifact.asave("x", {"a": 1})).version == 2


def files_of(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("artifacts/*") if each.is_file()]


async def test_an_async_stream_that_fails_or_is_cancelled_leaves_nothing(
    artifact: Artifacts, tmp_path: Path
) -> None:
    async def wrong() -> AsyncIterator[Any]:
        yield b"a"
        yield {"no": "chunk"}

    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        scope.cancel()
        await trio.lowlevel.checkpoint()
        yield b"never"

    with pytest.raises(AssetDataError, match="gave"):
        await artifact.asave("x", wrong())
    with trio.CancelScope() as scope:
        await artifact.asave("x", endless())
    assert scope.cancelled_caught
    assert artifact.find("x") is None
    assert not files_of(tmp_path)


# -- trouble --------------------------------------------------------------------------------------


def test_without_nameless_files_it_is_as_good(
    artifact: Artifacts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("trouper.runtime.assets._incoming._NAMELESS", 0)
    assert artifact.save("deep/x", b"1").load() == b"1"
    assert artifact.save("deep/x", b"2").version == 2
    with pytest.raises(AssetDataError):
        artifact.save("y", iter([b"", 7]))
    names = [each.name for each in tmp_path.rglob("*") if each.name.endswith(".tmp")]
    assert not names


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(artifact: Artifacts) -> None:
    folder = artifact.save("x", b"").path.parent
    folder.chmod(0o500)
    try:
        with pytest.raises(trouper.AssetsReadOnly, match="check the rights there"):
            artifact.save("y", b"")
    finally:
        folder.chmod(0o700)


def test_a_source_that_cant_be_read_is_named(
    artifact: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def broken(_path: Path, _mode: str) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(AssetError, match="source' can't be read"):
        artifact.save("x", source)


def test_records_are_typed(artifact: Artifacts) -> None:
    """Seed page: registers an `ArtifactAsset`."""
    assert isinstance(artifact.save("x", b""), ArtifactAsset)
    assert trouper.ArtifactAsset is ArtifactAsset
