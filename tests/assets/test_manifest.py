"""Manifests: whole lines, appended by many, compacted while others go on."""

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.assets import context_of, run_assets
from trouper.runtime.assets import _append
from trouper.runtime.assets._append import AppendFile, end_of_lines, make_folder
from trouper.runtime.assets._manifest import Manifest, read_manifest
from trouper.runtime.assets._records import ArtifactAsset, LogAsset, Producer, Use


def artifact(number: int, **more: Any) -> ArtifactAsset:
    return ArtifactAsset(id=f"id-{number}", name=f"n{number}", created=1.0, file="f", **more)


def lines_of(path: Path) -> list[Any]:
    read = read_manifest(path)
    assert read is not None
    return read.lines


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(tmp_path / "deep" / "assets.jsonl")


@pytest.fixture(autouse=True)
def close(manifest: Manifest) -> Any:
    yield
    manifest.close()


def test_records_come_back_as_they_were(manifest: Manifest) -> None:
    records: list[Any] = [
        artifact(1, tags=("a",), producer=Producer(run="r", task="t", attempt=2)),
        LogAsset(id="l", name="ä\n", created=2.5, file="logs/x.log"),
        Use(asset="id-1", at=3.0, producer=Producer(task="u")),
    ]
    manifest.append(*records)
    assert lines_of(manifest.path) == records


def test_each_is_one_line_of_json(manifest: Manifest) -> None:
    for number in range(3):
        manifest.append(artifact(number))
    head, *lines = map(json.loads, manifest.path.read_text().splitlines())
    assert (head["trouper"], head["schema"]) == ("assets", 1)
    assert [each["id"] for each in lines] == ["id-0", "id-1", "id-2"]
    assert {each["kind"] for each in lines} == {"artifact"}
    assert "root" not in lines[0]


def test_it_is_read_from_where_it_was_left(manifest: Manifest) -> None:
    manifest.append(artifact(1))
    first = read_manifest(manifest.path)
    assert first is not None
    manifest.append(artifact(2))
    second = read_manifest(manifest.path, first.token, first.size)
    assert second is not None
    assert (second.is_anew, second.lines) == (False, [artifact(2)])
    again = read_manifest(manifest.path, "another", first.size)
    assert again is not None
    assert (again.is_anew, len(again.lines)) == (True, 2)


def test_there_is_none_yet(manifest: Manifest) -> None:
    assert read_manifest(manifest.path) is None
    manifest.compact()
    assert not manifest.path.exists()
    make_folder(manifest.path.parent)
    manifest.path.touch()
    assert read_manifest(manifest.path) is None


@pytest.mark.parametrize("torn", ['{"kind":"artif', "x" * 200_000, '{"trouper'])
def test_half_a_line_is_not_there_and_is_cut_off(manifest: Manifest, torn: str) -> None:
    """What a process that was killed while it wrote leaves behind."""
    manifest.append(artifact(1))
    manifest.close()
    with manifest.path.open("a") as file:
        file.write(torn)
    assert lines_of(manifest.path) == [artifact(1)]
    other = Manifest(manifest.path)
    other.append(artifact(2))
    other.close()
    assert lines_of(manifest.path) == [artifact(1), artifact(2)]
    manifest.append(artifact(3))
    assert lines_of(manifest.path) == [artifact(1), artifact(2), artifact(3)]


def test_half_a_first_line_is_written_again(manifest: Manifest) -> None:
    make_folder(manifest.path.parent)
    manifest.path.write_text('{"trou')
    assert read_manifest(manifest.path) is None
    manifest.append(artifact(1))
    assert lines_of(manifest.path) == [artifact(1)]


def test_compaction_keeps_the_last_line_of_each_asset(manifest: Manifest) -> None:
    use = Use(asset="id-1", at=3.0, producer=Producer(task="u"))
    manifest.append(artifact(1), artifact(2), use, artifact(1, tags=("new",)), use)
    manifest.compact()
    assert lines_of(manifest.path) == [artifact(1, tags=("new",)), artifact(2), use]
    manifest.append(artifact(3))
    assert lines_of(manifest.path)[-1] == artifact(3)


def test_who_appends_while_others_compact_loses_nothing(manifest: Manifest) -> None:
    def append(base: int) -> None:
        mine = Manifest(manifest.path)
        for number in range(100):
            mine.append(artifact(base + number))
        mine.close()

    threads = [threading.Thread(target=append, args=(base,)) for base in (0, 1000, 2000)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        manifest.compact()
    for each in threads:
        each.join()
    manifest.compact()
    expected = {f"id-{base + number}" for base in (0, 1000, 2000) for number in range(100)}
    found = [each.id for each in lines_of(manifest.path)]
    assert len(found) == 300
    assert set(found) == expected


def test_a_folder_that_was_removed_is_made_again(manifest: Manifest) -> None:
    manifest.append(artifact(1))
    manifest.path.unlink()
    manifest.path.parent.rmdir()
    manifest.append(artifact(2))
    assert lines_of(manifest.path) == [artifact(2)]


# -- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no json\n", "is no manifest of assets"),
        ('{"trouper":"assets","schema":2,"token":"x"}\n', "has schema 2.*Upgrade trouper"),
        ('{"trouper":"assets","schema":1,"token":"x"}\n{"kind":"?"}\n', "no record.*take the line"),
    ],
)
def test_what_is_no_manifest_is_told(manifest: Manifest, text: str, problem: str) -> None:
    make_folder(manifest.path.parent)
    manifest.path.write_text(text)
    with pytest.raises(trouper.ManifestDamaged, match=problem):
        read_manifest(manifest.path)
    with pytest.raises(trouper.ManifestDamaged, match=problem):
        manifest.compact()
    assert manifest.path.read_text() == text


def test_a_manifest_that_cant_be_read_is_named(manifest: Manifest) -> None:
    make_folder(manifest.path)
    with pytest.raises(trouper.ManifestDamaged, match="can't be read"):
        read_manifest(manifest.path)
    manifest.path.rmdir()
    manifest.path.symlink_to(manifest.path)
    with pytest.raises(trouper.ManifestDamaged, match="can't be read"):
        read_manifest(manifest.path)


def writes_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full in the middle of a line."""

    def half(fd: int, data: bytes) -> int:
        os.write(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_append, "write_all", half)


def test_what_a_full_disk_took_of_a_line_is_taken_back(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.append(artifact(1))
    with monkeypatch.context() as patch:
        writes_half(patch)
        with pytest.raises(trouper.AssetsFull, match="free some space"):
            manifest.append(artifact(2))
        with pytest.raises(trouper.AssetsFull, match="free some space"):
            manifest.compact()
    assert lines_of(manifest.path) == [artifact(1)]
    assert [each.name for each in manifest.path.parent.iterdir()] == ["assets.jsonl"]
    manifest.append(artifact(3))
    assert lines_of(manifest.path) == [artifact(1), artifact(3)]


@pytest.mark.parametrize(
    ("number", "error", "problem"),
    [
        (errno.EACCES, trouper.AssetsReadOnly, "check the rights there"),
        (errno.EROFS, trouper.AssetsReadOnly, "check the rights there"),
        (errno.EDQUOT, trouper.AssetsFull, "free some space there"),
        (errno.ENOTDIR, trouper.AssetNameError, "the name of another asset"),
        (errno.ENAMETOOLONG, trouper.AssetNameError, "choose a shorter name"),
        (errno.EIO, trouper.AssetError, "look after the disk"),
    ],
)
def test_errors_of_the_system_say_what_to_do(
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    problem: str,
) -> None:
    def refuse(*_args: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("trouper.runtime.assets._append.os.open", refuse)
    with pytest.raises(error, match=problem):
        manifest.append(artifact(1))


def test_a_durable_file_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("trouper.runtime.assets._append.os.fsync", synced.append)
    lasting = Manifest(tmp_path / "a.jsonl", is_durable=True)
    lasting.append(artifact(1))
    assert len(synced) == 2  # the first line, and the record
    lasting.compact()
    assert len(synced) == 3
    usual = Manifest(tmp_path / "b.jsonl")
    usual.append(artifact(1))
    usual.compact()
    assert len(synced) == 3
    lasting.close()
    usual.close()


def test_a_durable_artifact_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("trouper.runtime.assets._append.os.fsync", synced.append)
    with run_assets(tmp_path, durability="full") as assets:
        context_of(assets).artifact.save("x", b"1")
    assert len(synced) == 4  # the file, its folder, the manifest's first line, and the record


def test_what_is_done_before_compaction_is_done_alone(manifest: Manifest) -> None:
    manifest.append(artifact(1))
    seen: list[bool] = []
    manifest.compact(before=lambda: seen.append(manifest.path.exists()))
    assert seen == [True]


def test_on_open_is_told_before_the_first_record_and_after_a_compaction(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "assets.jsonl"
    mine = Manifest(path, on_open=lambda: seen.append(path.exists() and path.stat().st_size))
    mine.append(artifact(1))
    mine.append(artifact(2))
    assert len(seen) == 1
    Manifest(path).compact()
    mine.append(artifact(3))
    assert len(seen) == 2
    assert len(lines_of(path)) == 3
    mine.close()


def test_a_file_that_cant_be_looked_at_is_let_go(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.append(artifact(1))

    def refuse(_path: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr("trouper.runtime.assets._append.os.stat", refuse)
        with pytest.raises(trouper.AssetsReadOnly):
            manifest.append(artifact(2))
    manifest.append(artifact(3))
    assert lines_of(manifest.path) == [artifact(1), artifact(3)]


def test_what_on_open_refuses_writes_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError("no")

    mine = Manifest(tmp_path / "assets.jsonl", on_open=refuse)
    with pytest.raises(RuntimeError, match="no"):
        mine.append(artifact(1))
    assert read_manifest(mine.path) is None


def test_a_forked_child_has_a_lock_of_its_own(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f")
    file.append(b"parent\n")
    pid = os.fork()
    if not pid:
        file.append(b"child\n")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    file.append(b"parent\n")
    assert file.path.read_bytes() == b"parent\nchild\nparent\n"
    file.close()


def test_the_end_of_lines_is_found_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\n" + b"x" * 200_000)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert end_of_lines(fd, 200_002) == 2
        assert end_of_lines(fd, 1) == 0
    finally:
        os.close(fd)


def test_a_write_that_takes_less_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    file = AppendFile(tmp_path / "f")
    file.append(b"0123456789\n")
    assert file.path.read_bytes() == b"0123456789\n"
    file.close()
