"""`trouper runs` and `trouper runs show`: text and JSON, from live, dead and read-only stores."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.command import run_process, trouper_command
from harness.stores import action, child, line, new_run, open_at
from trouper.runtime.store._store import Store

__all__ = ["trouper_command"]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPER_HOME")
    with open_at(tmp_path / ".trouper") as opened:
        yield opened


def ended_run(store: Store, name: str, **more: Any) -> None:
    store.runs.finish(store.runs.claim(new_run(name, **more)), "completed")


def test_runs_are_listed_the_newest_first(store: Store, trouper_command: Command) -> None:
    assert trouper_command("runs") == (0, "no runs\n", "")
    ended_run(store, "first", project="p", domain="d", labels={"team": "ml", "x": "\x1b[2J"})
    claim = store.runs.claim(new_run("second"))
    code, out, _ = trouper_command("runs")
    head, *rows = out.splitlines()
    assert code == 0
    assert head.split() == [
        "RUN",
        "PHASE",
        "STARTED",
        "(UTC)",
        "TOOK",
        "WHAT",
        "PROJECT",
        "EXPERIMENT",
        "LABELS",
    ]
    assert [row.split()[:2] for row in rows] == [["second", "running"], ["first", "completed"]]
    assert rows[1].endswith(r"etl   p/d      default     team=ml x=\x1b[2J")
    store.runs.finish(claim, "failed")


def names(out: str) -> list[str]:
    return [each["name"] for each in json.loads(out)]


def test_runs_are_chosen_by_what_they_are(store: Store, trouper_command: Command) -> None:
    ended_run(store, "a", project="p", labels={"team": "ml"})
    ended_run(
        store, "b", experiment="e", domain="d", labels={"team": "ml", "k": "a=b"}, profile="fast"
    )
    ended_run(store, "c", target="other")
    store.runs.claim(new_run("d"))

    def chosen(*words: object) -> list[str]:
        code, out, err = trouper_command("runs", "--json", *words)
        assert code == 0, err
        return names(out)

    assert chosen() == ["d", "c", "b", "a"]
    assert chosen("--limit", 2) == ["d", "c"]
    assert chosen("--limit", 0) == ["d", "c", "b", "a"]
    assert chosen("--project", "p") == ["a"]
    assert chosen("--experiment", "e") == ["b"]
    assert chosen("--domain", "d") == ["b"]
    assert chosen("--target", "other") == ["c"]
    assert chosen("--profile", "fast") == ["b"]
    assert chosen("--phase", "running") == ["d"]
    assert chosen("--status", "completed") == ["c", "b", "a"]
    assert chosen("--label", "team=ml") == ["b", "a"]
    assert chosen("--label", "team=ml", "--label", "k=a=b") == ["b"]


def test_json_holds_no_token(store: Store, trouper_command: Command) -> None:
    claim = store.runs.claim(new_run("a", params={"n": 1}, inputs=b"secret"))
    listed = trouper_command("runs", "--json")[1]
    shown = trouper_command("runs", "show", "a", "--json")[1]
    for out in (listed, shown):
        assert claim.token not in out
        assert "secret" not in out
    told = json.loads(shown)
    assert (told["phase"], told["params"], told["number"]) == ("running", {"n": 1}, 1)


def test_all_of_a_run_is_shown(store: Store, trouper_command: Command) -> None:
    ended_run(store, "a", project="p")
    more: dict[str, Any] = {
        "version": "v1",
        "config": {"lr": 0.1},
        "profile": "fast",
        "project": "p",
    }
    claim = store.runs.claim(new_run("a", **more))
    store.results.set(claim, "loss", 0.5)
    names_and_parents = [("root", None), ("root/b", "root"), ("root/a", "root"), ("lost", "gone")]
    for n, (name, parent) in enumerate(names_and_parents):
        store.recorder.record(
            action(claim.execution, name, parent=parent, started=float(n), ended=n + 61.0)
        )
    store.recorder.record_now(
        action(
            claim.execution,
            "root/a/x",
            parent="root/a",
            phase="failed",
            attempts=3,
            started=9.0,
            ended=7212.0,
            error_code="ValueError",
            error="bad\nthing",
        )
    )
    code, out, _ = trouper_command("runs", "show", "a")
    assert code == 0
    assert "process: " in out
    store.runs.finish(claim, "failed", error_code="ValueError", error="first\nsecond")
    code, out, _ = trouper_command("runs", "show", "a")
    lines = out.splitlines()
    assert lines[0] == "a: failed, execution 2 of workflow etl"
    assert lines[1].startswith("started ")
    assert lines[2:4] == ["error ValueError: first", "  second"]
    assert 'config: {"lr": 0.1}' in lines
    assert "executions: 1 completed, 2 failed" in lines
    assert lines[-7:] == [
        "result loss: 0.5",
        "5 actions:",
        "  root (t) running, 1m01s",
        "    root/b (t) running, 1m01s",
        "    root/a (t) running, 1m01s",
        r"      root/a/x (t) failed, 2h00m, 3 attempts: ValueError: bad\nthing",
        "  lost (t) running, 1m01s",
    ]
    told = json.loads(trouper_command("runs", "show", "a", "--json")[1])
    assert told["results"] == {"loss": 0.5}
    assert [each["phase"] for each in told["executions"]] == ["completed", "failed"]
    assert told["actions"][-1]["error"] == "bad\nthing"


def test_many_actions_are_cut_and_left_out_ones_counted(
    store: Store, trouper_command: Command
) -> None:
    claim = store.runs.claim(new_run("a"))
    for n in range(1_002):
        store.recorder.record(action(claim.execution, f"n{n:04}"))
    store.recorder.flush()
    with store.connections.writing() as db:
        db.execute("UPDATE execution SET actions_left_out = 7")
    lines = trouper_command("runs", "show", "a")[1].splitlines()
    assert "1,002 actions, 7 left out:" in lines
    assert lines[-1] == "  and 2 actions more; --json has all"


HOLD = """
store = open_store(root)
claim = store.start(NewRun(name="killed", target="t"))
say("held")
wait()
"""


def test_a_run_whose_process_was_killed_is_failed(store: Store, trouper_command: Command) -> None:
    """F21: zombies stayed running."""
    with child(HOLD, store.path.parent) as process:
        assert line(process) == "held"
        assert "killed  running" in trouper_command("runs")[1]
    assert "killed  failed" in trouper_command("runs")[1]
    out = trouper_command("runs", "show", "killed")[1]
    assert "error ProcessLost: process " in out


def lost_run(store: Store, name: str, *, heartbeat: float, acted: float | None) -> None:
    """Record a run that began at 1000.0, on a host of which nothing was heard for long."""
    claim = store.runs.claim(new_run(name))
    if acted is not None:
        store.actions.write([action(claim.execution, started=1000.0, ended=acted)])
    with store.connections.writing() as db:
        db.execute(
            "UPDATE execution SET host = 'far/away', started = 1000.0, heartbeat = ? WHERE id = ?",
            (heartbeat, claim.execution),
        )


def test_of_a_lost_run_it_is_told_how_long_it_was_heard_of(
    store: Store, trouper_command: Command
) -> None:
    lost_run(store, "silent", heartbeat=1000.0, acted=None)
    lost_run(store, "beating", heartbeat=1002.5, acted=1001.0)
    lost_run(store, "acting", heartbeat=1000.0, acted=1000.7)
    rows = trouper_command("runs")[1].splitlines()[1:]
    assert [(row.split()[0], row.split()[4]) for row in rows] == [
        ("acting", "0.7s+"),
        ("beating", "2.5s+"),
        ("silent", "-"),
    ]
    assert trouper_command("runs", "show", "acting")[1].splitlines()[1] == (
        "started 1970-01-01 00:16:40, last heard of 1970-01-01 00:16:40 (UTC), took 0.7s+"
    )
    # What begins anew writes down the same.
    store.runs.finish(store.runs.claim(new_run("acting")), "completed")
    assert store.runs.executions("acting")[0].ended == 1000.7


def test_what_is_not_there_is_told(
    store: Store, trouper_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_run(store, "nightly")
    code, out, err = trouper_command("runs", "show", "nigtly")
    assert (code, out) == (2, "")
    assert "no run named 'nigtly' is recorded; did you mean 'nightly'?" in err
    code, _, err = trouper_command("runs", "--label", "team")
    assert code == 2
    assert "--label takes KEY=VALUE, got 'team'; write --label team=ml" in err
    code, _, err = trouper_command("runs", "--root", tmp_path / "none")
    assert code == 2
    assert "there is no workspace at" in err
    assert not (tmp_path / "none").exists()
    ended_run(store, "nightly", project="p")
    code, _, err = trouper_command("runs", "show", "nightly")
    assert code == 2
    assert "have a run named 'nightly': p/default/nightly, default/default/nightly; say" in err
    code, out, _ = trouper_command("runs", "show", "p/default/nightly")
    assert (code, "project: p" in out.splitlines()) == (0, True)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "home"))
    assert f"there is no workspace at '{tmp_path / 'home'}'" in trouper_command("runs")[2]
    ended = open_at(tmp_path / "home")
    ended.close()
    assert trouper_command("runs") == (0, "no runs\n", "")
    monkeypatch.setenv("TROUPER_MAX_BYTES", "many")
    code, _, err = trouper_command("runs")
    assert code == 2
    assert "TROUPER_MAX_BYTES can't be 'many'" in err


def test_the_command_works_as_a_process(store: Store, tmp_path: Path) -> None:
    ended_run(store, "a")
    ended = run_process("runs", "--json", "--root", tmp_path / ".trouper")
    assert ended.returncode == 0, ended.stderr
    assert names(ended.stdout) == ["a"]
