"""`trouper assets`: text and JSON, of real folders."""

import json
import subprocess
from pathlib import Path

import pytest

import trouper
from harness.command import COMMAND, PATIENCE, on_terminal, run_process, trouper_command
from harness.recorded import Call, Recorded, training, workspace

__all__ = ["trouper_command", "workspace"]


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
        "path": str(place),
        "uri": place.as_uri(),
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
