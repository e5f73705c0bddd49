"""`trouper prune`: which runs go, with all that they have kept, and which stay."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.command import on_terminal, trouper_command
from harness.recorded import DAY, Call, Recorded, training, workspace
from harness.stores import new_run
from trouper.errors import RuntimeUserError

__all__ = ["trouper_command", "workspace"]


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


env = trouper.TaskEnvironment("pruned")


@env.task
async def leaves(ctx: trouper.TaskContext[Any, Any, Any], fails: bool) -> trouper.io.File:
    assert ctx.artifact is not None
    ctx.artifact.save("model", b"0123456789")
    ctx.checkpoint("at", data={"step": 1})
    if fails:
        raise OSError("broken")
    return await trouper.io.File.asave("data.txt", "data")


def files_below(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_the_data_and_the_journal_of_a_run_go_with_it(
    workspace: trouper.Workspace, trouper_command: Call, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    for project, fails in (("p", True), ("q", False)):
        for name, raw in (("r", str(given)), ("s", None)):
            runner = trouper.with_runcontext(name=name, project=project, raw_data_path=raw)
            with suppress(RuntimeUserError):
                runner.run(leaves, fails)
    (given / "r" / "of-somebody").touch()
    stray = workspace.path / "journals" / "999.1"
    stray.touch()
    before = {place: files_below(place) for place in (given, workspace.path / "raw")}
    assert (workspace.find_run("p/default/r").path / "journal").exists()
    told = json.loads(
        trouper_command("prune", "--older-than", "0s", "--project", "p", "--yes", "--json")[1]
    )
    assert [each["removed"] for each in told["runs"]] == [True, True]
    assert min(each["size"] for each in told["runs"]) > 10
    assert not stray.exists()
    # Of the runs of these names in another project nothing is gone.
    kept = {place: files_below(place) for place in before}
    assert {name.rpartition("/")[2] for name in kept[given]} >= {"of-somebody", "data.txt", "model"}
    assert len(kept[given]) == 1 + 3
    assert len(before[given]) == len(kept[given]) + 2
    assert len(kept[workspace.path / "raw"]) == 1
    assert trouper_command("prune", "--older-than", "0s", "--yes")[0] == 0
    assert files_below(given) == {"r/of-somebody"}
    assert not list((workspace.path / "raw").iterdir())


def test_what_a_prune_that_was_killed_has_left_goes_with_the_next(
    workspace: trouper.Workspace, trouper_command: Call
) -> None:
    training(workspace).end()
    left = workspace.path / "raw" / "r" / ".removed-0"
    left.mkdir(parents=True)
    (left / "data").touch()
    assert trouper_command("prune", "--yes")[0] == 0
    assert not left.parent.exists()


def test_data_that_can_not_be_moved_stays(
    workspace: trouper.Workspace,
    trouper_command: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = tmp_path / "given"
    trouper.with_runcontext(name="r", raw_data_path=str(given)).run(leaves, False)
    replace = os.replace

    def read_only(source: Any, target: Any) -> None:
        if str(source).startswith(str(given)):
            raise PermissionError(13, "read-only")
        replace(source, target)

    monkeypatch.setattr(os, "replace", read_only)
    assert trouper_command("prune", "--older-than", "0s", "--yes")[0] == 0
    assert len(files_below(given)) == 3
