"""Configuration files: what they give, and where they are wrong."""

from pathlib import Path
from typing import Any

import pytest

from trouper.runtime._config_file import load_config


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("a.yaml", "lr: 1e-3\non: yes\nmodel: {layers: [1, 2]}", None),
        ("a.YML", "", {}),
        ("a.yaml", "# nothing\n", {}),
        ("a.json", '{"lr": 0.001}', {"lr": 0.001}),
        ("a.json", " \n", {}),
        ("a.toml", "[model]\nlayers = [1]\n", {"model": {"layers": [1]}}),
        ("a.toml", "", {}),
        ("a.json", '\ufeff{"lr": 1}', {"lr": 1}),
    ],
)
def test_each_format_gives_plain_data(tmp_path: Path, name: str, text: str, data: Any) -> None:
    expected = {"lr": 0.001, "on": "yes", "model": {"layers": [1, 2]}} if data is None else data
    assert load_config(written(tmp_path, name, text)) == expected
    assert load_config(str(tmp_path / name)) == expected


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yaml", "a: 1\nb: 2\na: 3", 'a.yaml, line 3: found duplicate key "a"'),
        ("a.yaml", "a: 1\nb: [1", "a.yaml, line 2: expected"),
        ("a.yaml", "a: 1\n---\nb: 2", "a.yaml, line 2: but found another document"),
        ("a.yaml", "a: !!python/object:os.system x", "a.yaml, line 1: could not determine a con"),
        ("a.yaml", "b: 1\na: \x07", r"a.yaml, line 2: unacceptable character #x0007: [ a-z]*$"),
        ("a.yaml", "[" * 5_000, "a.yaml: it is nested too deep; make it flatter"),
        ("a.json", "[" * 100_000, "a.json: it is nested too deep; make it flatter"),
        ("a.yaml", "- 1", "a.yaml: it holds a list; write `key: value` pairs"),
        ("a.json", '{"a": 1,\n b}', "a.json, line 2: "),
        ("a.json", '{"a": 1, "a": 2}', "a.json: found duplicate key 'a'; keep one of them"),
        ("a.json", "3", "a.json: it holds a int"),
        ("a.toml", "a = 1\na = 2\n", r"a.toml: .*line 2"),
        ("a.ini", "", r"a.ini: '.ini'; use .yaml, .yml, .json, .toml"),
        ("config", "", "config: 'no suffix'; use .yaml"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        load_config(written(tmp_path, name, text))


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("a: é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.yaml: it is no text in UTF-8 .byte 0x.. at"):
        load_config(tmp_path / "a.yaml")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nope.yaml"):
        load_config(tmp_path / "nope.yaml")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        load_config(tmp_path)
