"""`trouper ws` and `logs`: text and JSON, of real folders."""

import json
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

import trouper
from harness.command import COMMAND, PATIENCE, trouper_command
from harness.rebuilding import lose_database
from harness.recorded import Call, Recorded, training, workspace
from harness.stores import child, go, line
from trouper.runtime.command._measures import bytes_below

__all__ = ["trouper_command", "workspace"]


# -- ws -------------------------------------------------------------------------------------------


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


def test_what_has_assets_alone_is_listed_too(
    workspace: trouper.Workspace, trouper_command: Call, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("1")
    training(workspace).end()
    for scope in (
        workspace.project("p"),  # which has runs
        workspace.project("alone"),
        workspace.project("q").experiment("x"),
    ):
        scope.data_assets.import_asset("data", tmp_path / "data")
    rows = [each.split()[:3] for each in trouper_command("ws", "ls")[1].splitlines()[2:]]
    assert rows == [["alone", "-", "0"], ["p", "e", "1"], ["q", "x", "0"]]
    told = json.loads(trouper_command("ws", "ls", "--json")[1])["experiments"]
    assert [(each["project"], each["experiment"]) for each in told] == [
        ("alone", None),
        ("p", "e"),
        ("q", "x"),
    ]
    lines = trouper_command("ws", "tree")[1].splitlines()
    assert [*lines[1:4], *lines[5:]] == ["  alone", "  p", "    e, 1 run", "  q", "    x, 0 runs"]
    tree = json.loads(trouper_command("ws", "tree", "--json")[1])["projects"]
    assert (tree["alone"], list(tree["p"]), tree["q"]) == ({}, ["e"], {"x": []})


# -- rebuild --------------------------------------------------------------------------------------


def test_a_database_is_made_anew(
    workspace: trouper.Workspace, trouper_command: Call, tmp_path: Path
) -> None:
    run = workspace.project("p").experiment("e").run(id="r")
    with run.start() as run_context:
        run_context.results["a"] = 1
    assert trouper_command("ws", "rebuild") == (
        *(0, "1 run and 1 manifest of assets, 0 taken in, 0 forgotten\n", ""),
    )
    lose_database(workspace)
    code, _, err = trouper_command("ws", "rebuild", "--dry-run")
    assert (code, "leave out --dry-run" in err) == (2, True)
    told = json.loads(trouper_command("ws", "rebuild", "--json")[1])
    assert told == {
        "dry_run": False,
        "manifests": 1,
        "runs": 1,
        "taken_in": ["p/e/r"],
        "forgotten": [],
        "problems": [],
    }
    assert run.results == {"a": 1}
    shutil.copytree(run.path, run.path.with_name("s"))
    run.path.with_name("t").mkdir()
    (run.path.with_name("t") / "run.json").write_text("none")
    code, out, err = trouper_command("ws", "rebuild", "--dry-run")
    assert (code, out.splitlines()) == (
        2,
        [
            "would be taken in: p/e/s",
            "3 runs and 2 manifests of assets, 1 would be taken in, 0 would be forgotten",
        ],
    )
    assert "t/run.json' is no record of a run" in err
    code, _, err = trouper_command("ws", "rebuild", "--root", tmp_path / "nowhere")
    assert (code, "there is no workspace at" in err) == (2, True)


# -- logs -----------------------------------------------------------------------------------------


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
