"""`trouper ws`, `assets`, `logs` and `prune`: text and JSON, of real folders."""

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.command import COMMAND, PATIENCE, on_terminal, run_process, trouper_command
from harness.stores import child, go, line, new_run
from trouper.actors._assets import KEY
from trouper.runtime.assets._run_assets import RunAssets, open_run_assets
from trouper.runtime.command._measures import age_text, bytes_below, read_age, size_text

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trouper.Workspace]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / ".trouper"))
    with trouper.Workspace() as opened:
        yield opened


class Recorded:
    """A run that is recorded, with its assets."""

    def __init__(self, workspace: trouper.Workspace, name: str, **more: Any) -> None:
        self.store = workspace.store
        new = new_run(name, **more)
        self.claim = self.store.runs.claim(new)
        run: Any = workspace.project(new.project).experiment(new.experiment).run(id=name)
        self.path = run.path
        self.assets: RunAssets = open_run_assets(run, execution=1)

    def context(self, task: str) -> trouper.TaskContext[Any, Any, Any]:
        run = trouper.RunContext(run_name=self.claim.name, kept={KEY: self.assets})
        action = trouper.ActionID(name=task, run_name=self.claim.name)
        return trouper.TaskContext(run_context=run, action=action)

    def end(self, phase: Any = "completed", *, ago: float = 0.0) -> "Recorded":
        self.assets.close()
        self.store.runs.finish(self.claim, phase)
        if ago:
            with self.store.connections.writing() as db:
                db.execute(
                    "UPDATE execution SET ended = ended - ?1, started = started - ?1 WHERE id = ?2",
                    (ago, self.claim.execution),
                )
        return self


def training(workspace: trouper.Workspace, name: str = "first", **more: Any) -> Recorded:
    """Return a run of three tasks: one makes data, one a model of it, one reads that."""
    run = Recorded(workspace, name, project="p", experiment="e", **more)
    run.context("load").artifact.save("data.csv", "a,b\n1,2\n", tags=["raw"])
    train = run.context("train")
    train.artifact.load("data.csv")
    train.artifact.save("model.bin", b"\0\1\2")
    train.artifact.save("model.bin", b"\0\xff\2\3")
    train.log("loss").append("0.5 \x1b[2J")
    train.log("loss").append("0.4")
    train.log("loss").flush()
    run.context("judge").artifact.load("model.bin")
    return run


# -- ws ---------------------------------------------------------------------------------------


def test_a_workspace_is_made_once(trouper_command: Call, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert trouper_command("ws", "init", folder)[1] == f"made the workspace {folder}\n"
    assert trouper_command("ws", "init", "--root", folder)[1].startswith("there is a workspace")
    code, out, _ = trouper_command("ws", "init", folder, "--json")
    assert (code, json.loads(out)) == (0, {"root": str(folder), "made": False})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "trouper.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "words",
    [
        ("ws", "ls"),
        ("ws", "tree"),
        ("assets", "ls"),
        ("assets", "cat", "x"),
        ("logs", "x"),
        ("prune",),
    ],
)
def test_a_folder_that_is_no_workspace_is_named(
    trouper_command: Call, tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, out, err = trouper_command(*words, "--root", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "there is no workspace at" in err
    assert not (tmp_path / "nowhere").exists()


def test_experiments_are_listed(workspace: trouper.Workspace, trouper_command: Call) -> None:
    training(workspace).end()
    training(workspace, "second").end("failed")
    Recorded(workspace, "alone").end()
    code, out, err = trouper_command("ws", "ls")
    assert (code, err) == (0, "")
    first, head, *rows = out.splitlines()
    assert first.startswith(f"{workspace.path}, ")
    assert head.split() == ["PROJECT", "EXPERIMENT", "RUNS", "SIZE", "LAST", "PHASES"]
    assert [row.split()[:3] for row in rows] == [["default", "default", "1"], ["p", "e", "2"]]
    assert rows[1].endswith("1 completed, 1 failed")
    found = json.loads(trouper_command("ws", "ls", "--json")[1])
    assert found["experiments"][1]["phases"] == {"completed": 1, "failed": 1}
    assert found["size"] > found["experiments"][1]["size"] > 10


def test_a_workspace_without_runs_says_so(trouper_command: Call, tmp_path: Path) -> None:
    trouper_command("ws", "init", tmp_path / "w")
    assert trouper_command("ws", "ls", "--root", tmp_path / "w")[1].endswith("\nno runs\n")
    assert trouper_command("assets", "ls", "--root", tmp_path / "w")[1] == "no assets\n"
    assert json.loads(trouper_command("assets", "ls", "--root", tmp_path / "w", "--json")[1]) == []


def test_the_tree_has_runs_below_experiments(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    for number in range(3):
        training(workspace, f"r{number}", target="etl\x1b[2J").end()
    code, out, _ = trouper_command("ws", "tree", "--limit", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == [str(workspace.path), "  p", "    e, 3 runs"]
    assert [each.split()[:2] for each in lines[3:5]] == [["r2", "completed"], ["r1", "completed"]]
    assert lines[3].endswith(r"etl\x1b[2J")
    assert lines[5] == "      and 1 older run"
    tree = json.loads(trouper_command("ws", "tree", "--json", "--limit", "0")[1])
    runs = tree["projects"]["p"]["e"]
    assert [each["name"] for each in runs] == ["r2", "r1", "r0"]
    assert Path(runs[0]["path"]) == workspace.path / "projects/p/experiments/e/runs/r2"
    assert runs[0]["size"] == bytes_below(Path(runs[0]["path"]))


# -- assets -----------------------------------------------------------------------------------


def listed(call: Call, *words: object) -> list[tuple[str, int]]:
    code, out, err = call("assets", "ls", "--json", *words)
    assert code == 0, err
    return [(each["name"], each["version"]) for each in json.loads(out)]


def test_assets_are_chosen_by_what_they_are(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    training(workspace).end()
    other = Recorded(workspace, "other", project="q")
    other.context("load").artifact.save("data.csv", b"")
    other.end()
    all_of_p = [("loss", 1), ("model.bin", 2), ("model.bin", 1), ("data.csv", 1)]
    assert listed(trouper_command) == [("data.csv", 1), *all_of_p]
    assert listed(trouper_command, "--project", "p") == all_of_p
    assert listed(trouper_command, "--project", "p", "--experiment", "e") == all_of_p
    assert listed(trouper_command, "--experiment", "e") == []
    assert listed(trouper_command, "--run", "first") == all_of_p
    assert listed(trouper_command, "--run", "p/e/first", "--kind", "log") == [("loss", 1)]
    assert listed(trouper_command, "--task", "train", "--limit", "1") == [("loss", 1)]
    assert listed(trouper_command, "--tag", "raw") == [("data.csv", 1)]
    assert listed(trouper_command, "--name", "model.bin", "--order", "oldest") == [
        ("model.bin", 1),
        ("model.bin", 2),
    ]


def test_the_list_tells_size_age_maker_and_place(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    run = Recorded(workspace, "r")
    run.context("train\x1b[2J").artifact.save("a\x1b]0;t\x07", b"x" * 2048)
    run.end()
    code, out, _ = trouper_command("assets", "ls")
    assert code == 0
    head, row = out.splitlines()
    assert head.split() == ["ID", "KIND", "NAME", "V", "SIZE", "AGE", "MADE", "BY", "WHERE"]
    assert "2.0 KiB" in row
    assert r"a\x1b]0;t\x07" in row
    assert r"train\x1b[2J" in row
    assert row.endswith("default/default/r")
    assert "\x1b" not in out


def test_all_of_an_asset_is_shown(workspace: trouper.Workspace, trouper_command: Call) -> None:
    run = training(workspace).end()
    code, out, _ = trouper_command("assets", "show", "model.bin")
    assert code == 0
    assert out.startswith("artifact model.bin, version 2, 4 B\n")
    assert "\nwhere: p/e/first\n" in out
    assert f"\npath: {run.path}/artifacts/@2/model.bin\n" in out
    assert "\nmade by: train\n" in out
    assert "\nmade from: 1; see trouper assets lineage\n" in out
    shown = json.loads(trouper_command("assets", "show", "model.bin", "--version=1", "--json")[1])
    assert (shown["kind"], shown["version"], shown["size"]) == ("artifact", 1, 3)
    assert trouper_command("assets", "show", shown["id"])[1].startswith("artifact model.bin, ver")
    assert "\nlines: 2\n" in trouper_command("assets", "show", "loss")[1]


def test_where_an_asset_lies(workspace: trouper.Workspace, trouper_command: Call) -> None:
    run = training(workspace).end()
    place = run.path / "artifacts/data.csv"
    assert trouper_command("assets", "path", "data.csv") == (0, f"{place}\n", "")
    assert json.loads(trouper_command("assets", "path", "data.csv", "--json")[1]) == {
        "path": str(place)
    }


def test_a_name_that_several_have_is_an_error_that_lists_them(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    training(workspace, "one").end()
    training(workspace, "two").end()
    code, _, err = trouper_command("assets", "show", "data.csv")
    assert code == 2
    assert "is the name of several; give --run, --kind, or the id of one" in err
    assert "artifact in p/e/one" in err
    assert "artifact in p/e/two" in err
    assert "p/e/two" in trouper_command("assets", "show", "data.csv", "--run", "two")[1]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("show", "model.bim"), "no asset 'model.bim' so; did you mean 'model.bin'?"),
        (("show", "model.bin", "--version", "9"), "there is no asset 'model.bin' so"),
        (("ls", "--kind", "artefact"), "no kind 'artefact'; did you mean 'artifact'?"),
        (("ls", "--run", "frist"), "no run 'frist' is recorded; did you mean 'first'?"),
        (("ls", "--run", "first", "--project", "p"), "leave out --project and --experiment"),
        (("ls", "--project", "a/b"), "leave it out"),
    ],
)
def test_what_is_not_there_is_named(
    workspace: trouper.Workspace, trouper_command: Call, words: tuple[str, ...], part: str
) -> None:
    training(workspace).end()
    code, out, err = trouper_command("assets", *words)
    assert (code, out) == (2, "")
    assert part in err


def test_content_goes_into_a_pipe_byte_by_byte(workspace: trouper.Workspace) -> None:
    training(workspace).end()
    command = [*COMMAND, "assets", "cat", "model.bin", "--root", str(workspace.path)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    assert done.stdout == b"\0\xff\2\3"
    done = subprocess.run([*command, "--json"], capture_output=True, timeout=PATIENCE, check=True)
    assert json.loads(done.stdout)["base64"] == "AP8CAw=="
    text = run_process("assets", "cat", "data.csv", "--json", "--root", workspace.path)
    assert json.loads(text.stdout)["text"] == "a,b\n1,2\n"


def test_content_on_a_terminal_is_harmless(workspace: trouper.Workspace) -> None:
    training(workspace).end()
    at = ("--root", workspace.path)
    with on_terminal("assets", "cat", "loss", *at, kind="xterm") as terminal:
        code, shown = terminal.finish()
    assert (code, shown) == (0, "0.5 \\x1b[2J\r\n0.4\r\n")
    with on_terminal("assets", "cat", "model.bin", *at, kind="xterm") as terminal:
        code, shown = terminal.finish()
    assert code == 2
    assert "model.bin is no text (4 B)" in shown
    with on_terminal("assets", "path", "data.csv", *at, kind="xterm") as terminal:
        assert terminal.finish()[1].endswith("artifacts/data.csv\r\n")


def test_folders_and_files_that_are_gone_are_told(
    workspace: trouper.Workspace, trouper_command: Call, tmp_path: Path
) -> None:
    run = training(workspace)
    (tmp_path / "set").mkdir()
    run.context("load").data_assets.import_asset("set", tmp_path / "set")
    run.end()
    assert "is a folder" in trouper_command("assets", "cat", "set")[2]
    (run.path / "artifacts/data.csv").unlink()
    code, _, err = trouper_command("assets", "cat", "data.csv")
    assert code == 2
    assert "is recorded, but" in err


def test_lineage_is_walked_both_ways(workspace: trouper.Workspace, trouper_command: Call) -> None:
    training(workspace).end()
    code, out, _ = trouper_command("assets", "lineage", "model.bin")
    assert code == 0
    lines = [line.partition("  1")[0] for line in out.splitlines()]
    assert lines[0].startswith("artifact model.bin v2, 4 B, made by train in p/e/first")
    assert lines[1] == "made from"
    assert lines[2].startswith("  artifact data.csv v1, 8 B, made by load in p/e/first")
    assert lines[3:] == ["nothing was made from it", "read by 1 task", "  judge of run first"]
    assert (
        "used for\n  artifact model.bin v1" in trouper_command("assets", "lineage", "data.csv")[1]
    )
    graph = json.loads(trouper_command("assets", "lineage", "data.csv", "--json")[1])
    assert "loss" in {each["name"] for each in graph["downstream"]}
    assert {each["from"] for each in graph["edges"]} == {graph["asset"]["id"]}
    assert [each["task"] for each in graph["readers"]] == ["train"]


def test_a_read_only_workspace_can_be_looked_at(
    workspace: trouper.Workspace, trouper_command: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    training(workspace).end()
    workspace.close()
    from trouper.runtime.store._errors import StoreReadOnly

    def refuse(_self: object) -> None:
        raise StoreReadOnly("the folder may not be written")

    monkeypatch.setattr(trouper.Workspace, "store", property(refuse))
    assert len(listed(trouper_command)) == 4


# -- logs -------------------------------------------------------------------------------------


def test_a_log_is_shown(workspace: trouper.Workspace, trouper_command: Call) -> None:
    training(workspace).end()
    assert trouper_command("logs", "first", "loss") == (0, "0.5 \\x1b[2J\n0.4\n", "")
    assert trouper_command("logs", "first", "loss", "--tail", "1")[1] == "0.4\n"
    lines = trouper_command("logs", "first", "loss", "--json")[1].splitlines()
    assert json.loads(lines[0]) == {"log": "loss", "line": "0.5 \x1b[2J"}
    assert trouper_command("logs", "first")[1] == "nothing was logged; its logs by name: loss\n"
    assert trouper_command("logs", "first", "--json")[1] == ""
    code, _, err = trouper_command("logs", "first", "los")
    assert code == 2
    assert "the run has no log 'los'; did you mean 'loss'?" in err


def test_what_was_logged_is_shown(workspace: trouper.Workspace, trouper_command: Call) -> None:
    run = Recorded(workspace, "r").end()
    (run.path / "logs").mkdir(parents=True, exist_ok=True)
    records = [
        {"time": "2026-01-31T12:00:00Z", "level": "INFO", "logger": "x", "message": m, "run": "r"}
        for m in ("older", "a\u202eb", "last")
    ]
    (run.path / "logs/records.older.jsonl").write_text(json.dumps(records[0]) + "\n")
    text = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in records[1:])
    (run.path / "logs/records.jsonl").write_text(text + "torn\n")
    out = trouper_command("logs", "r")[1]
    assert [each.split(" ", 1)[1] for each in out.splitlines()] == [
        "INFO r: older",
        r"INFO r: a\u202eb",
        "INFO r: last",
    ]
    out = trouper_command("logs", "default/default/r", "--json")[1]
    assert [json.loads(each)["message"] for each in out.splitlines()] == [
        "older",
        "a\u202eb",
        "last",
    ]
    assert out.isascii()


WRITES = """
claim = None
with open_store(root) as store:
    claim = store.start(NewRun(name="live", target="t"))
    import trouper
    from trouper.runtime.assets._run_assets import open_run_assets
    workspace = trouper.Workspace(root)
    assets = open_run_assets(workspace.project().experiment().run(id="live"), execution=1)
    log = assets.log("steps", None)
    say("began")
    wait()
    log.append("one")
    log.flush()
    wait()
    log.append("two")
    log.flush()
    assets.close()
    store.recorder.release(claim) if hasattr(store.recorder, "release") else None
    store.runs.finish(claim, "completed")
    workspace.close()
"""


def test_a_live_log_is_followed_to_the_end_of_the_run(tmp_path: Path) -> None:
    """In real processes: one writes, one follows a log that isn't there yet."""
    with child(WRITES, tmp_path) as writer:
        assert line(writer) == "began"
        command = [*COMMAND, "logs", "live", "steps", "--follow", "--root", str(tmp_path)]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        try:
            go(writer)
            assert reader.stdout.readline() == "one\n"
            go(writer)
            assert reader.stdout.readline() == "two\n"
            assert reader.wait(timeout=PATIENCE) == 0
        finally:
            with suppress(ProcessLookupError):
                reader.kill()
            reader.communicate()


# -- prune ------------------------------------------------------------------------------------

DAY = 86_400.0


def names(call: Call) -> list[str]:
    return [each["name"] for each in json.loads(call("runs", "--json", "--limit", "0")[1])]


def old_and_new(workspace: trouper.Workspace) -> dict[str, Recorded]:
    runs = {
        "old": training(workspace, "old").end(ago=40 * DAY),
        "bad": training(workspace, "bad").end("failed", ago=9 * DAY),
        "new": training(workspace, "new").end(),
    }
    Recorded(workspace, "bare", project="q").end(ago=50 * DAY)
    runs["live"] = Recorded(workspace, "live")
    return runs


def test_nothing_goes_in_a_dry_run(workspace: trouper.Workspace, trouper_command: Call) -> None:
    runs = old_and_new(workspace)
    code, out, _ = trouper_command("prune", "--dry-run")
    assert code == 0
    assert [each.split()[0] for each in out.splitlines()[1:3]] == ["q/default/bare", "p/e/old"]
    assert "40d" in out
    assert out.splitlines()[-1].startswith("2 runs, ")
    assert len(names(trouper_command)) == 5
    assert runs["old"].path.exists()
    told = json.loads(trouper_command("prune", "--dry-run", "--json")[1])
    assert told["dry_run"] is True
    assert [each["removed"] for each in told["runs"]] == [False, False]


def test_what_is_old_goes_with_its_files(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    runs = old_and_new(workspace)
    code, out, _ = trouper_command("prune", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "removed 2 runs")
    assert names(trouper_command) == ["live", "new", "bad"]
    assert not runs["old"].path.exists()
    assert runs["new"].path.exists()
    places = {each["scope"] for each in json.loads(trouper_command("assets", "ls", "--json")[1])}
    assert places == {f"projects/p/experiments/e/runs/{name}" for name in ("new", "bad")}
    assert not list(workspace.path.rglob(".removed-*"))
    # The experiment without runs is gone as well.
    assert {project for project, _, _ in workspace.scopes()} == {"p", "default"}
    assert trouper_command("prune", "--yes")[1] == "no run is to be removed\n"


def test_which_runs_go_can_be_said(workspace: trouper.Workspace, trouper_command: Call) -> None:
    old_and_new(workspace)

    def would_go(*words: str) -> list[str]:
        found = json.loads(trouper_command("prune", "--dry-run", "--json", *words)[1])
        return [each["run"].rpartition("/")[2] for each in found["runs"]]

    assert would_go("--older-than", "7d") == ["bare", "bad", "old"]
    assert would_go("--older-than", "7d", "--phase", "failed") == ["bad"]
    assert would_go("--older-than", "0d") == ["bare", "new", "bad", "old"]
    assert would_go("--older-than", "0d", "--keep", "2") == ["old"]
    assert would_go("--older-than", "0d", "--project", "q") == ["bare"]
    assert would_go("--older-than", "0d", "--experiment", "e", "--keep", "1") == ["bad", "old"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--older-than", "soon"], "--older-than: 'soon' is no age; write a number and s, m"),
        (["--keep", "-1"], "--keep takes 0 or more"),
        ([], "there is nobody to ask; say --yes"),
    ],
)
def test_what_prune_refuses(
    workspace: trouper.Workspace, trouper_command: Call, words: list[str], part: str
) -> None:
    old_and_new(workspace)
    code, _, err = trouper_command("prune", *words)
    assert code == 2
    assert part in err
    assert len(names(trouper_command)) == 5


@pytest.mark.parametrize(("answer", "left"), [("n", 5), ("", 5), ("yes", 3)])
def test_it_asks_before(
    workspace: trouper.Workspace, trouper_command: Call, answer: str, left: int
) -> None:
    old_and_new(workspace)
    with on_terminal("prune", "--root", workspace.path, kind="xterm") as terminal:
        terminal.read_until("remove 2 runs")
        terminal.write(f"{answer}\n")
        code, shown = terminal.finish()
    assert code == 0
    assert ("nothing was removed" in shown) == (left == 5)
    assert len(names(trouper_command)) == left


def test_a_run_that_began_anew_stays(
    workspace: trouper.Workspace, trouper_command: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trouper.runtime.command import _prune

    training(workspace, "old").end(ago=40 * DAY)
    choose = _prune.chosen

    def then_begins(*args: Any, **named: Any) -> Any:
        found = choose(*args, **named)
        workspace.store.runs.claim(new_run("old", project="p", experiment="e"))
        return found

    monkeypatch.setattr(_prune, "chosen", then_begins)
    code, out, _ = trouper_command("prune", "--yes")
    assert code == 0
    assert "removed" not in out.splitlines()[-1]
    assert names(trouper_command) == ["old"]


def test_a_folder_that_stays_keeps_its_run(
    workspace: trouper.Workspace, trouper_command: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training(workspace, "old").end(ago=40 * DAY)

    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        code, _, err = trouper_command("prune", "--yes")
    assert code == 2
    assert "can't be removed: Permission denied" in err
    assert names(trouper_command) == ["old"]
    assert run.path.exists()


def test_what_a_killed_prune_has_left_goes_with_the_next(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    run = training(workspace, "new").end()
    left = run.path.with_name(".removed-0123")
    left.mkdir()
    (left / "file").write_text("x")
    assert trouper_command("prune", "--yes") == (0, "no run is to be removed\n", "")
    assert not left.exists()
    assert run.path.exists()


# -- sizes and ages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 2**20, "10 MiB"),
        (2**70, "1,048,576 PiB".replace(",", "")),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (-5.0, "now"),
        (0.5, "now"),
        (59.0, "59s"),
        (60.0, "1m"),
        (3600.0, "1h"),
        (47 * 3600.0, "47h"),
        (48 * 3600.0, "2d"),
    ],
)
def test_ages(ago: float, text: str) -> None:
    assert age_text(1e9 - ago, 1e9) == text
    assert age_text(None) == "-"


def test_ages_are_read() -> None:
    assert [read_age(each) for each in ("90s", "2m", "1.5h", "7d", "1w", "3")] == [
        *(90.0, 120.0, 5400.0, 7 * DAY, 7 * DAY, 3 * DAY),
    ]


def test_links_are_not_followed_and_what_vanishes_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "up").symlink_to(tmp_path)
    assert bytes_below(tmp_path) < 5 + 4096
    assert bytes_below(tmp_path / "gone") == 0
