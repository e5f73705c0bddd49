"""A bundle as bytes: reproducible, whole, and named by what is in it."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import IO, Any

import pytest

from harness.projects import make_files
from trouper.runtime.bundle import _archive
from trouper.runtime.bundle._archive import replacing
from trouper.runtime.bundle._code import Bundle, Code
from trouper.runtime.bundle._hashes import Hashes
from trouper.runtime.bundle._manifest import BundleError


def bundle_of(root: Path) -> Bundle:
    make_files(root, {"job.py": "x = 1\n"})
    made: dict[str, Any] = {}
    exec(compile("def body(): ...", str(root / "job.py"), "exec"), made)
    return Code("job", [made["body"]], style="all").bundle()


def written(bundle: Bundle) -> bytes:
    out = io.BytesIO()
    bundle.write(out)
    return out.getvalue()


def test_it_is_equal_byte_for_byte_whenever_and_wherever_it_is_made(tmp_path: Path) -> None:
    files = {"pyproject.toml": "", "b/x.txt": "text", "a.txt": "a" * 10_000, "z/" + "n" * 150: ""}
    first = bundle_of(make_files(tmp_path / "one", files))
    second_root = make_files(tmp_path / "two", dict(reversed(files.items())))
    for path in second_root.rglob("*"):
        os.utime(path, (1, 1))
    (second_root / "a.txt").chmod(0o600)
    second = bundle_of(second_root)
    assert written(first) == written(second) == written(first)
    assert first.manifest == second.manifest


def test_another_process_makes_the_same(tmp_path: Path) -> None:
    root = make_files(tmp_path, {"pyproject.toml": "", "job.py": "x = 1\n", "b.txt": "b"})
    program = (
        "import sys; from pathlib import Path; from test_bundle_archive import *\n"
        f"sys.stdout.buffer.write(written(bundle_of(Path({str(root)!r}))))"
    )
    tests = Path(__file__).resolve().parents[1]
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests), str(tests / "bundle"), *sys.path]),
            "PYTHONHASHSEED": "7",
        },
        capture_output=True,
        check=True,
    ).stdout
    assert out == written(bundle_of(root))


def test_it_holds_the_files_and_a_manifest(tmp_path: Path) -> None:
    make_files(tmp_path, {"pyproject.toml": "", "run.sh": "#!/bin/sh\n"})
    (tmp_path / "run.sh").chmod(0o755)
    bundle = bundle_of(tmp_path)
    with tarfile.open(fileobj=io.BytesIO(written(bundle))) as tar:
        members = {each.name: each for each in tar.getmembers()}
        read = {name: _content(tar, name) for name in members}
    assert list(members) == [".trouper-bundle/manifest.json", "job.py", "pyproject.toml", "run.sh"]
    assert read["job.py"] == b"x = 1\n"
    assert [members[name].mode for name in ("job.py", "run.sh")] == [0o644, 0o755]
    assert {(each.mtime, each.uid, each.gid, each.uname) for each in members.values()} == {
        (0, 0, 0, "")
    }
    manifest = json.loads(read[".trouper-bundle/manifest.json"])
    assert manifest["content"] == bundle.manifest.content
    assert (manifest["format"], manifest["style"], manifest["target"]) == (1, "all", "job")
    assert [each["name"] for each in manifest["files"]] == ["job.py", "pyproject.toml", "run.sh"]
    assert str(tmp_path) not in read[".trouper-bundle/manifest.json"].decode()


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file: IO[bytes] | None = tar.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_its_version_changes_with_what_is_in_it(tmp_path: Path, change: str) -> None:
    make_files(tmp_path, {"pyproject.toml": "", "a.txt": "1"})
    before = bundle_of(tmp_path).manifest.content
    assert bundle_of(tmp_path).manifest.content == before
    if change == "content":
        (tmp_path / "a.txt").write_text("2")
    elif change == "name":
        (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    else:
        (tmp_path / "a.txt").chmod(0o755)
    assert bundle_of(tmp_path).manifest.content != before


@pytest.mark.parametrize("text", ["shorter", "x = 2\n", "x = 1\n and longer"])
def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path, text: str) -> None:
    bundle = bundle_of(tmp_path)
    (tmp_path / "job.py").write_text(text[:3] if text == "shorter" else text)
    with pytest.raises(BundleError, match=r"job\.py was changed while it was bundled; try again"):
        written(bundle)


def test_a_disk_that_fails_is_no_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    bundle = bundle_of(tmp_path)
    monkeypatch.setattr(_archive, "open", lambda *_: Broken(), raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        written(bundle)


def test_what_takes_the_place_of_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "out.bin"
    with pytest.raises(RuntimeError, match="half"), replacing(path) as file:
        file.write(b"hal")
        raise RuntimeError("half")
    assert list(path.parent.iterdir()) == []
    with replacing(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"


def test_hashes_are_taken_again_only_of_what_looks_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def hash_file(path: str) -> bytes:
        read.append(path)
        return b"h"

    now = [time.time() + 60.0]
    monkeypatch.setattr("trouper.runtime.bundle._hashes.time", lambda: now[0])
    monkeypatch.setattr("trouper.runtime.bundle._hashes.hash_file", hash_file)
    monkeypatch.setattr("trouper.runtime.bundle._hashes.MOST", 1)
    make_files(tmp_path, {"a": "1", "b": "1"})
    hashes, a, b = Hashes(), str(tmp_path / "a"), str(tmp_path / "b")
    assert hashes.of(a) == hashes.of(a) == (b"h", 1, False)
    assert read == [a]
    (tmp_path / "a").write_text("22")
    hashes.of(a)
    assert read == [a, a]
    hashes.of(b)
    hashes.of(a)
    assert read == [a, a, b, a]  # no more than the bound are remembered
    now[0] -= 60.0
    (tmp_path / "b").write_text("3")
    hashes.of(b)
    hashes.of(b)
    assert read[4:] == [b, b]  # it was changed just now, and may be once more
