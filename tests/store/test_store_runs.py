"""Run records: a name is held by one, an ended one is free, a dead one is found out."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.stores import action, child, go, line, new_run, open_at, told
from trouper.runtime.store._errors import ClaimLost, NoSuchRun, RunNameTaken
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._records import LOST
from trouper.runtime.store._store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path) as opened:
        yield opened


def test_a_record_holds_what_it_was_given(store: Store) -> None:
    given: dict[str, Any] = {
        "experiment": "e",
        "experiment_params": {"dataset": "mnist"},
        "parameters": {"lr": 0.1},
        "target": "etl",
        "kind": "task",
        "mode": "local",
        "version": "v1",
        "project": "p",
        "domain": "d",
        "org": "o",
        "queue": "q",
        "labels": {"team": "ml", "é": "ü"},
        "annotations": {"note": "x"},
        "params": {"env_vars": ["KEY"], "overwrite_cache": True},
        "profile": "fast",
        "config": {"lr": 0.1},
        "config_hash": "abc",
        "inputs": b"\x00\xff",
    }
    claim = store.runs.claim(new_run(**given))
    record = store.runs.get("run-1")
    assert {key: getattr(record, key) for key in given} == given
    assert (record.phase, record.number, record.ended, record.is_lost) == (
        "running",
        1,
        None,
        False,
    )
    assert record.pid == os.getpid()
    assert str(record.key) == str(claim.key) == "p/e/run-1"
    assert record.id == claim.id == "run-1.1"
    store.runs.finish(
        claim,
        "failed",
        outputs=b"out",
        error_code="ValueError",
        error="no\udcff",
        trace="x" * 300_000,
    )
    record = store.runs.get(claim.key)
    assert (record.error, record.trace) == ("no\\udcff", "x" * 262_144)
    record = msgspec.structs.replace(record, error="no")
    assert (record.phase, record.error_code, record.error) == ("failed", "ValueError", "no")
    assert record.outputs == b"out"
    assert record.ended is not None
    assert record.ended >= record.started


def test_a_live_name_is_refused_and_an_ended_one_gets_a_new_execution(store: Store) -> None:
    first = store.runs.claim(new_run())
    with pytest.raises(RunNameTaken, match=rf"'run-1' goes on: process {os.getpid()} on .*abort"):
        store.runs.claim(new_run())
    store.runs.finish(first, "cancelled")
    second = store.runs.claim(new_run())
    assert (second.number, second.run) == (2, first.run)
    assert second.execution != first.execution
    assert [each.phase for each in store.runs.executions("run-1")] == ["cancelled", "running"]
    assert store.runs.executions("none") == []


def test_an_end_is_recorded_once_and_by_its_holder(store: Store) -> None:
    claim = store.runs.claim(new_run())
    store.runs.finish(claim, "completed")
    for late in (
        lambda: store.runs.finish(claim, "failed"),
        lambda: store.runs.beat(claim),
        lambda: store.results.set(claim, "a", 1),
    ):
        with pytest.raises(ClaimLost, match="execution 1 of the run 'run-1' is completed"):
            late()
    assert store.runs.get("run-1").phase == "completed"


def test_an_unknown_name_is_told(store: Store) -> None:
    with pytest.raises(NoSuchRun, match=r"no run named 'x' is recorded; `trouper runs` lists"):
        store.runs.get("x")
    with pytest.raises(NoSuchRun):
        store.runs.request_abort("x")


HOLD = """
store = open_store(root)
claim = store.start(NewRun(name="run-1", target="t"))
store.recorder.record_now(ActionRecord(execution=claim.execution, name="root", started=0.0))
say("held")
wait()
store.close()
"""


def test_a_name_held_by_a_process_is_free_when_it_was_killed(store: Store, tmp_path: Path) -> None:
    """F21: nobody has to tell that it is dead."""
    with child(HOLD, tmp_path) as process:
        assert line(process) == "held"
        with pytest.raises(RunNameTaken, match=f"process {process.pid} on"):
            store.runs.claim(new_run())
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        record = store.runs.get("run-1")
        assert (record.phase, record.is_lost, record.error_code) == ("failed", True, LOST)
        assert store.runs.query(phase="running") == []
        assert [each.name for each in store.runs.query(phase="failed")] == ["run-1"]
        second = store.runs.claim(new_run())
    first, last = store.runs.executions("run-1")
    assert (first.error_code, first.is_lost, last.number) == (LOST, True, 2)
    assert first.error == f"process {process.pid} on {os.uname().nodename} ended without saying how"
    assert [each.error_code for each in store.actions.of(first.execution)] == [LOST]
    assert store.runs.get("run-1").execution == second.execution


def elsewhere(store: Store, name: str, heartbeat: float) -> None:
    """Make it look as if the run were held on another host."""
    with store.connections.writing() as db:
        db.execute(
            "UPDATE execution SET host = 'far/away', heartbeat = ? "
            "WHERE run = (SELECT id FROM run WHERE name = ?)",
            (heartbeat, name),
        )


def test_a_run_on_another_host_is_believed_until_it_was_silent_for_long(tmp_path: Path) -> None:
    now = [1000.0]
    with open_at(tmp_path) as store:
        runs = type(store.runs)(
            connections=store.connections, limits=store.limits, clock=lambda: now[0]
        )
        claim = runs.claim(new_run())
        elsewhere(store, "run-1", 1000.0)
        now[0] = 1005.0
        with pytest.raises(RunNameTaken, match=r"'run-1' goes on: process .* on far, for 5 s now"):
            runs.claim(new_run())
        now[0] = 1060.0
        with pytest.raises(RunNameTaken, match=r"was heard of 60 s ago; after 120 s of silence"):
            runs.claim(new_run())
        assert runs.get("run-1").phase == "running"
        now[0] = 1121.0
        assert runs.get("run-1").is_lost
        assert runs.claim(new_run()).number == 2
        with pytest.raises(ClaimLost, match=r"is failed \(process \d+ on far ended without"):
            runs.finish(claim, "completed")


RACE = """
wait()
with open_store(root) as store:
    try:
        claim = store.runs.claim(NewRun(name="run-1", target="t"))
    except errors.RunNameTaken:
        say("refused")
    else:
        say("got it")
    wait()
"""


def test_of_eight_processes_that_want_a_name_one_gets_it(store: Store, tmp_path: Path) -> None:
    """F13: a second attempt took the first one's id."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(RACE, tmp_path)) for _ in range(8)]
        for process in processes:
            go(process)
        answers = [line(process) for process in processes]
        assert sorted(answers) == ["got it"] + ["refused"] * 7
        for process in processes:
            go(process)
            told(process)
    assert [each.number for each in store.runs.executions("run-1")] == [1]


def test_an_abort_is_asked_for_and_heard_with_the_next_beat(store: Store) -> None:
    claim = store.runs.claim(new_run())
    assert store.runs.beat(claim) is False
    asked = store.runs.request_abort("run-1")
    assert asked.abort_requested is not None
    assert store.runs.beat(claim) is True
    assert store.runs.request_abort("run-1").abort_requested == asked.abort_requested
    store.runs.finish(claim, "cancelled")
    store.runs.finish(store.runs.claim(new_run()), "completed")
    assert store.runs.request_abort("run-1").abort_requested is None


def test_runs_are_found_by_what_they_are(store: Store) -> None:
    given: dict[str, dict[str, Any]] = {
        "a": {"project": "p", "domain": "dev", "labels": {"team": "ml", "it's": 'a "b"'}},
        "b": {"project": "p", "domain": "prod", "labels": {"team": "ml"}, "profile": "fast"},
        "c": {"project": "q", "target": "other"},
    }
    for name, more in given.items():
        store.runs.claim(new_run(name, **more))
    store.runs.finish(store.runs.claim(new_run("d", project="p")), "completed")
    store.runs.finish(store.runs.claim(new_run("d", project="p", experiment="e")), "completed")
    store.runs.finish(store.runs.claim(new_run("d", project="p", experiment="e")), "failed")

    def names(**wanted: Any) -> str:
        return "".join(each.name for each in store.runs.query(**wanted))

    assert names() == "ddcba"
    assert names(limit=2) == "dd"
    assert names(limit=None) == "ddcba"
    assert names(project="p") == "ddba"
    assert names(project="p", experiment="default") == "dba"
    assert names(experiment="e") == "d"
    assert names(project="p", domain="prod") == "b"
    assert names(labels={"team": "ml"}) == "ba"
    assert names(labels={"team": "ml", "it's": 'a "b"'}) == "a"
    assert names(labels={"team": "m"}) == ""
    assert names(target="other") == "c"
    assert names(profile="fast") == "b"
    assert names(phase="running") == "cba"
    assert names(phase="running", limit=1) == "c"
    assert names(phase="failed") == "d"
    assert names(phase="completed", experiment="e") == ""


def test_the_oldest_that_have_ended_fall_out(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(executions=3)) as store:
        held = store.runs.claim(new_run("held"))
        for n in range(5):
            claim = store.runs.claim(new_run(f"run-{n}"))
            store.results.set(claim, "n", n)
            store.recorder.record_now(action(claim.execution))
            store.runs.finish(claim, "completed")
        names = [each.name for each in store.runs.query()]
        assert names == ["run-4", "run-3", "run-2", "held"]
        tables = [("run", 4), ("execution", 4), ("action", 3), ("result", 3)]
        for table, rows in tables:
            count = store.connections.get().execute(f"SELECT count(*) FROM {table}").get
            assert (table, count) == (table, rows)
        store.runs.finish(held, "completed")


def test_a_name_keeps_its_newest_executions(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(executions=2)) as store:
        for _ in range(4):
            store.runs.finish(store.runs.claim(new_run()), "completed")
        assert [each.number for each in store.runs.executions("run-1")] == [3, 4]


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="actions must be 1 or more, got 0"):
        Limits(actions=0)
