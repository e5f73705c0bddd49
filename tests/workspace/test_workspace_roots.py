"""Where a workspace may be: a folder on this machine, and always the same one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trouper

env = trouper.TaskEnvironment("roots")


@env.task(name="where")
async def where() -> str:
    ctx = trouper.ctx()
    assert ctx is not None
    return ctx.raw_data_path


def configured(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_HOME", root)
    trouper.run(where)


WAYS: dict[str, Callable[[str, pytest.MonkeyPatch], Any]] = {
    "a workspace": lambda root, _: trouper.Workspace(root),
    "workspace": lambda root, _: trouper.with_runcontext(workspace=root),
    "storage.root, or $TROUPER_HOME,": configured,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("root", "fix"),
    [
        ("s3://bucket/x", "a workspace is a folder on this machine. Name one; what its runs save"),
        ("http://host/x", "write a local path, or file:///..."),
        ("s3:/x", "write a local path, or file:///..."),
    ],
)
def test_an_address_makes_no_folder(
    root: str, fix: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F42: of `s3://bucket/x` a local folder called `s3:` was made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="can't be") as caught:
        WAYS[way](root, monkeypatch)
    assert str(caught.value).startswith(f"{way} can't be {root!r}")
    assert fix in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["", "a\0b", "a\ud800b"])
def test_what_names_no_folder_is_told(root: str) -> None:
    """F31: an empty name was the root."""
    with pytest.raises(ValueError, match=r"a workspace can't be .*; write a local path"):
        trouper.Workspace(root)
    with pytest.raises(ValueError, match=r"workspace can't be .*; (write a local path|leave it)"):
        trouper.with_runcontext(workspace=root)


def test_bytes_are_no_path() -> None:
    with pytest.raises(TypeError, match=r"a workspace can't be b'x'; write a local path"):
        trouper.Workspace(b"x")  # type: ignore[arg-type]  # what a user may do


@pytest.mark.parametrize("root", ["~/kept", "file://{home}/kept"])
def test_runs_are_where_a_workspace_looks_for_them(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `TROUPER_HOME=~/kept` that no shell has seen, runs were in a folder called `~`."""
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    root = root.format(home=home)
    monkeypatch.setenv("TROUPER_HOME", root)
    first = trouper.run(where)
    second = trouper.with_runcontext(workspace=root).run(where)
    assert first.outputs() == second.outputs() == (str(home / "kept" / "raw"),)
    with trouper.Workspace() as workspace:
        assert workspace.path == home / "kept"
        assert {each.name for each in workspace.runs()} == {first.name, second.name}
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("project", "told"),
    [("a/b", "no project can be called 'a/b'"), ("a\ud800b", r"project can't be 'a\\ud800b'")],
)
def test_a_name_that_is_no_project_is_told_at_once(project: str, told: str) -> None:
    """F31"""
    with pytest.raises(ValueError, match=told):
        trouper.with_runcontext(project=project)
    # Nothing is kept by that name there.
    assert trouper.with_runcontext(project="a/b", workspace=False).run(where).done()
