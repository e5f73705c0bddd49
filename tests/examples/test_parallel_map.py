"""`examples/parallel_map.py`: equal files, hashed in worker processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trouper
from harness.command import PATIENCE
from harness.programs import EXAMPLES, load_program, run_program

parallel_map = load_program("parallel_map")


def fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "one.txt").write_bytes(b"same")
    (folder / "sub" / "two.txt").write_bytes(b"same")
    (folder / "other.txt").write_bytes(b"diff")
    (folder / "alone.txt").write_bytes(b"nothing is of this size")
    for number in range(3):
        (folder / f"big{number}").write_bytes(b"x" * 3_000_000)
        (folder / f"empty{number}").write_bytes(b"")
    (folder / "link").symlink_to("one.txt")


def test_equal_files_are_found_wherever_they_are(tmp_path: Path) -> None:
    fill(tmp_path)
    result = trouper.run(parallel_map.wf, config={"folder": tmp_path})
    report = result.unwrap()["report"]
    names = [[os.path.relpath(path, tmp_path) for path in paths] for paths in report.equal]
    assert names == [["big0", "big1", "big2"], ["one.txt", "sub/two.txt"]]
    assert report.spare == 6_000_004
    assert report.problems == []
    assert len(result.outputs["candidates"]) == 6


def test_nothing_to_find_is_no_error(tmp_path: Path) -> None:
    ended = run_program("parallel_map.py", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == b"0 sets of equal files; copies take 0 bytes\n"


@pytest.mark.parametrize("by_command", [False, True])
def test_it_runs_as_a_script_and_by_the_command(tmp_path: Path, by_command: bool) -> None:
    fill(tmp_path)
    (tmp_path / "a\x1b[31m").write_bytes(b"same")
    file, folder = str(EXAMPLES / "parallel_map.py"), str(tmp_path)
    command = [sys.executable, file, folder]
    if by_command:
        command = [sys.executable, "-m", "trouper", "run", file, "--override", f"folder={folder}"]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "2 sets of equal files; copies take 6,000,008 bytes" in ended.stdout
    assert "\x1b[31m" not in ended.stdout
    assert "a\\x1b[31m'" in ended.stdout


def test_a_file_that_cannot_be_read_is_told_and_left_out(tmp_path: Path) -> None:
    gone = parallel_map.File(str(tmp_path / "gone"), 4)
    hashed = parallel_map.digest(gone)
    assert hashed.problem == f"{tmp_path / 'gone'}: No such file or directory"
    assert parallel_map._size(gone.path) == 0
    report = parallel_map.report([hashed])
    assert (report.equal, report.problems) == ([], [hashed.problem])


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    ended = run_program("parallel_map.py", "nowhere", cwd=tmp_path)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last == b"parallel_map: folder='nowhere' is no folder; name one to look through"
