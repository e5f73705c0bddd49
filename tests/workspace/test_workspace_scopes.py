"""Workspace, project, experiment, run: places with a name, made when something is kept in them."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from harness.stores import new_run
from trouper.errors import (
    AmbiguousRun,
    NewerSchema,
    NoSuchRun,
    NoWorkspace,
    StoreReadOnly,
)
from trouper.runtime.workspace._names import check_run_id, folder_of, name_of


def experiment(tmp_path: Path, name: str = "e", **more: Any) -> trouper.Experiment:
    return trouper.Workspace(tmp_path / "ws").project("p").experiment(name, **more)


def record(run: Any, **more: Any) -> None:
    key = run.key
    claim = run.store.runs.claim(
        new_run(key.name, project=key.project, experiment=key.experiment, **more)
    )
    run.store.runs.finish(claim, "completed")


def test_nothing_is_on_disk_until_it_is_needed(tmp_path: Path) -> None:
    workspace = trouper.Workspace(tmp_path / "ws")
    run = workspace.project("p").experiment("e", params={"a": 1}).run({"lr": 0.1})
    assert (run.phase, run.results, run.record()) == ("pending", {}, None)
    assert (workspace.projects(), workspace.runs(), run.experiment.runs()) == ([], [], [])
    assert workspace.is_there() is False
    with pytest.raises(NoWorkspace, match="nothing was ever kept in"):
        workspace.find_run("x")
    workspace.close()
    assert list(tmp_path.iterdir()) == []
    record(run)
    workspace.close()
    assert [each.name for each in (tmp_path / "ws").iterdir()] == ["trouper.db"]
    assert run.phase == "completed"


def test_each_place_knows_its_name_its_folder_and_its_parent(tmp_path: Path) -> None:
    workspace = trouper.Workspace(tmp_path / "ws")
    project = workspace.project("my project")
    made = project.experiment("e/f".replace("/", "."), params={"d": [1]})
    run = made.run(id="r")
    told = [(each.kind, each.name, each.parent) for each in (run, made, project, workspace)]
    assert told == [
        ("run", "r", made),
        ("experiment", "e.f", project),
        ("project", "my project", workspace),
        ("workspace", "ws", None),
    ]
    assert run.path == tmp_path / "ws/projects/my project/experiments/e.f/runs/r"
    assert run.id == "r"
    assert run.workspace is made.workspace is workspace.workspace is workspace
    assert made.project is project
    assert repr(project) == f"<project 'my project' at '{project.path}'>"


def test_two_objects_of_one_place_are_equal(tmp_path: Path) -> None:
    one: object
    one, other = experiment(tmp_path).run(id="r"), experiment(tmp_path).run(id="r")
    assert one == other
    assert len({one, other, one.parent}) == 2
    assert one != experiment(tmp_path, "f").run(id="r")
    assert one != "r"


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    first = experiment(tmp_path, params={"dataset": "mnist"})
    for n in range(2):
        record(first.run(id=f"r{n}"), experiment_params=first.said_params)
    record(experiment(tmp_path, "é").run(id="r1"))
    workspace = trouper.Workspace(tmp_path / "ws", create=False)
    (project,) = workspace.projects()
    assert [each.name for each in project.experiments()] == ["e", "é"]
    found = project.experiment("e")
    assert found.params == {"dataset": "mnist"}
    assert project.experiment("none").params == {}
    assert [each.id for each in found.runs()] == ["r1", "r0"]
    assert workspace.find_run("r0") == workspace.find_run("p/e/r0") == found.run(id="r0")
    assert [each.id for each in workspace.runs(limit=2)] == ["r1", "r1"]
    with pytest.raises(AmbiguousRun, match="p/é/r1, p/e/r1; say which one"):
        workspace.find_run("r1")
    with pytest.raises(TypeError, match="the name of a run is a str, got None"):
        workspace.find_run(None)  # type: ignore[arg-type]  # what a user may do
    with pytest.raises(NoSuchRun, match="no run named 'x' is recorded"):
        workspace.find_run("x")
    assert found.run(id="new").phase == "pending"


def test_projects_and_experiments_that_have_assets_alone_are_listed_too(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_text("1")
    with trouper.Workspace(tmp_path / "ws") as workspace:
        project = workspace.project("ä b")
        workspace.data_assets.import_asset("data", source)
        assert workspace.projects() == []
        project.data_assets.import_asset("data", source)
        assert workspace.projects() == [project]
        assert project.experiments() == []
        experiment = workspace.project("p").experiment("é")
        experiment.data_assets.import_asset("data", source)
        assert [each.name for each in workspace.projects()] == ["p", "ä b"]
        assert workspace.project("p").experiments() == [experiment]
        assert project.experiments() == []


def test_equal_parameters_are_one_run_and_others_another(tmp_path: Path) -> None:
    """F18: the configuration was no part of a run's identity, so overrides took up the old run."""
    e = experiment(tmp_path)
    run = e.run({"lr": 0.1, "opt": "adam", "deep": {"a": [1]}})
    assert run.id.startswith("lr-0.1_opt-adam-")
    assert e.run({"deep": {"a": (1,)}, "opt": "adam", "lr": 0.1}).id[-12:] == run.id[-12:]
    config = trouper.ProfileConfig({"x": 1}, name="small")
    ids = {
        run.id,
        e.run({"lr": 0.1}).id,
        e.run({"lr": 0.1}, profile_config=config).id,
        e.run({"lr": 0.1}, profile_config={"x": 2}).id,
        e.run({}).id,
        e.run(profile_config=config).id,
    }
    assert len(ids) == 6
    assert e.run({}).id == e.run({}).id
    assert e.run({}).id.startswith("run-")
    assert e.run({"?": "/../"}).id.startswith("run-")
    assert e.run().id != e.run().id
    assert e.run({"a" * 200: "b" * 200}).id == check_run_id(e.run({"a" * 200: "b" * 200}).id)


@pytest.mark.parametrize(
    ("make", "kind", "problem"),
    [
        (lambda e: e.run(3), TypeError, "parameters of a run are a mapping, got 3"),
        (lambda e: e.run({1: 2}), TypeError, "keys of parameters of a run are str, got 1"),
        (lambda e: e.run({"x": object()}), TypeError, "parameters of a run can't be recorded: "),
        (lambda e: e.run({"x": "\udcff"}), TypeError, "parameters of a run can't be recorded: "),
        (lambda e: e.run(id=3), TypeError, "the id of a run is a str, got 3"),
        (lambda e: e.run(id="../x"), ValueError, r"the id of a run can't be '\.\./x'; it has 1 to"),
        (lambda e: e.run(id=""), ValueError, "the id of a run can't be ''"),
        (
            lambda e: e.project.experiment("e", params=[1]),
            TypeError,
            "params of the experiment 'e'",
        ),
        (lambda e: e.project.experiment(""), ValueError, "no experiment can be called ''"),
        (
            lambda e: e.workspace.project("a/b"),
            ValueError,
            "'/' stands between project,",
        ),
        (lambda e: e.workspace.project(".."), ValueError, "it means a folder of its own"),
        (lambda e: e.workspace.project(" a"), ValueError, "begins or ends with a space; 'a' would"),
        (lambda e: e.workspace.project("a\n"), ValueError, "begins or ends with a space"),
        (lambda e: e.workspace.project("a\x1bb"), ValueError, r"'\\x1b' can't be shown"),
        (lambda e: e.workspace.project("a" * 129), ValueError, "129 characters; use at most 128"),
        (
            lambda e: e.workspace.project("語" * 100),
            ValueError,
            "would have 900 bytes, and",
        ),
        (lambda e: e.workspace.project(None), TypeError, "name of a project is a str, got None"),
    ],
)
def test_what_is_no_name_and_no_plain_data_is_told(
    tmp_path: Path, make: Any, kind: type[Exception], problem: str
) -> None:
    """F15: names escaped from their folder."""
    with pytest.raises(kind, match=problem):
        make(experiment(tmp_path))
    assert list(tmp_path.iterdir()) == []


nasty = st.text(st.characters() | st.sampled_from(list("./\\%:~ \x00\n$&*?\u202e")), max_size=140)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a", "a"), (".a.", "%2Ea%2E"), (".", None), ("é/", None), ("%41", "%2541")],
)
def test_a_folder_is_neither_hidden_nor_equal_to_another_ones(
    name: str, folder: str | None
) -> None:
    if folder is None:
        with pytest.raises(ValueError, match="no project can be called"):
            folder_of(name)
    else:
        assert folder_of(name) == folder


@given(nasty)
def test_each_name_is_contained_and_round_trips_or_is_refused(name: str) -> None:
    try:
        folder = folder_of(name)
    except ValueError:
        return
    assert name_of(folder) == name
    assert folder not in (".", "..")
    assert not set(folder) & {"/", "\x00", "\\"}
    assert folder.isascii()
    assert 0 < len(folder.encode()) <= 240
    assert os.path.dirname(os.path.normpath(f"/ws/{folder}")) == "/ws"


@given(nasty)
def test_the_id_of_a_run_is_its_folder(name: str) -> None:
    try:
        check_run_id(name)
    except ValueError:
        return
    assert os.path.dirname(os.path.normpath(f"/ws/{name}")) == "/ws"
    assert name.isascii()


def test_a_place_that_can_be_no_workspace_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreReadOnly, match="is a file; name a folder"):
        trouper.Workspace(tmp_path / "file")
    with pytest.raises(NoWorkspace, match=r"there is no workspace at .*no trouper\.db in it"):
        trouper.Workspace(tmp_path, create=False)
    below = trouper.Workspace(tmp_path / "file" / "ws")
    with pytest.raises(StoreReadOnly, match="lies below a file"):
        _ = below.store
    other = tmp_path / "other"
    other.mkdir()
    (other / "trouper.db").write_text("no database at all, but long enough to be looked at" * 9)
    with pytest.raises(Exception, match="is no sound SQLite database"):
        trouper.Workspace(other).find_run("x")


def test_a_newer_schema_is_told(tmp_path: Path) -> None:
    run = experiment(tmp_path).run(id="r")
    record(run)
    run.store.connections.get().pragma("user_version", 999)
    run.workspace.close()
    with pytest.raises(NewerSchema, match="has schema 999"):
        _ = run.phase


def test_a_workspace_is_where_it_was_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPER_HOME")
    assert trouper.Workspace().path == tmp_path / ".trouper"
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "home"))
    with trouper.Workspace() as workspace:
        assert workspace.path == tmp_path / "home"
        assert trouper.Workspace("rel/../ws").path == tmp_path / "ws"
        record(workspace.project().experiment().run(id="r"))
        assert workspace.find_run("default/default/r").phase == "completed"
    monkeypatch.setenv("TROUPER_MAX_BYTES", str(1 << 20))
    with trouper.Workspace(max_bytes=2 << 20) as workspace:
        assert workspace.store.connections.place.max_bytes == 2 << 20
