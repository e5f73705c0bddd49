"""Files, folders and data frames on the command line: each as the path or URL of what is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.command import trouper_command, write

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

FILE = """
import trouper
from trouper.io import DataFrame, Dir, File

env = trouper.TaskEnvironment("files")

@env.task
def length(file: File | None = None) -> int:
    return -1 if file is None else len(file.read_text())

@env.task
async def lengths(files: list[File]) -> list[int]:
    return [each.size for each in files]

@env.task
def count(folder: Dir) -> int:
    return folder.count

@env.task
def rows(frame: DataFrame) -> int:
    return frame.rows

@env.task
def fails() -> None:
    raise KeyError("in a thread")
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("one")
    (tmp_path / "data" / "b.txt").write_text("three")
    return Path(write(tmp_path, FILE))


def output(trouper_command: Call, path: Path, *words: str) -> Any:
    code, out, err = trouper_command("run", "--json", path.name, *words)
    assert code == 0, err
    return json.loads(out)["outputs"]["o0"]


def test_a_file_is_its_path_or_its_url(trouper_command: Call, path: Path, tmp_path: Path) -> None:
    assert output(trouper_command, path, "length", "--file", "data/a.txt") == 3
    url = (tmp_path / "data" / "b.txt").as_uri()
    assert output(trouper_command, path, "length", f"--file={url}") == 5
    as_json = json.dumps({"type": "trouper.File", "uri": url, "size": 5})
    assert output(trouper_command, path, "length", "--file", as_json) == 5
    assert output(trouper_command, path, "length", "--file", "null") == -1
    words = ["--files", "data/a.txt", "--files", "data/b.txt"]
    assert output(trouper_command, path, "lengths", *words) == [3, 5]


def test_a_folder_is_its_path(trouper_command: Call, path: Path) -> None:
    assert output(trouper_command, path, "count", "--folder", "data") == 2


def test_a_data_frame_is_the_path_of_its_file(
    trouper_command: Call, path: Path, tmp_path: Path
) -> None:
    import pyarrow  # slow, and only this test needs it
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1, 2, 3]}), tmp_path / "t.parquet")
    assert output(trouper_command, path, "rows", "--frame", "t.parquet") == 3


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["length", "--file", "none.txt"], ["--file takes the path or URL of a File: ", "none"]),
        (["length", "--file", "data"], ["--file takes", "of a folder make a trouper.io.Dir"]),
        (["count", "--folder", "data/a.txt"], ["--folder takes the path or URL of a Dir: "]),
        (["length", "--file", "ftp://a/b"], ["--file takes", "s3://BUCKET/"]),
        (["rows", "--frame", "data/a.txt"], ["--frame takes the path or URL of a DataFrame: "]),
    ],
)
def test_what_is_not_there_is_said_before_anything_runs(
    trouper_command: Call, path: Path, words: list[str], parts: list[str]
) -> None:
    code, out, err = trouper_command("run", path.name, *words)
    assert (code, out) == (2, ""), out + err
    assert not [part for part in parts if part not in err], err


def test_a_failure_in_a_thread_is_told_without_the_places_of_trio(
    trouper_command: Call, path: Path
) -> None:
    code, out, _ = trouper_command("run", path.name, "fails")
    assert code == 1
    told = out.partition("what failed fails")[2].strip().splitlines()
    assert told[0] == "KeyError: 'in a thread'"
    assert [line.rpartition(" in ")[2] for line in told[1:]] == ["fails"]
