"""The programs that keep runs in a workspace: `task_context`, and those in `examples/workspace`."""

from pathlib import Path

import pytest

import trouper
from harness.programs import run_program

TRAINED = """\
tasks: load, mean, train
outputs: {'loss': 0.0033333333333333327, 'lr': 0.01}
the run is completed; results: {'final_loss': 0.0033333333333333327}
artifact metrics.json, made by train
checkpoint model, made by train
log train, made by train
profile 'careful'
without a workspace: {'loss': 0.01, 'lr': 0.01}
"""


def lines(path: str, *args: str, cwd: Path) -> list[str]:
    ended = run_program(path, *args, cwd=cwd)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout.decode().splitlines()


def test_the_task_context_is_shown_inside_one_tracked_run(tmp_path: Path) -> None:
    for _ in range(2):  # each time another run
        assert lines("workflow/task_context.py", "ws", cwd=tmp_path) == TRAINED.splitlines()
    with trouper.Workspace(tmp_path / "ws", create=False) as workspace:
        first, second = workspace.project("examples").experiment("task-context").runs()
        assert first.id != second.id
        (saved,) = workspace.catalog.query_assets(scope=first, name="metrics.json")
        assert saved.load() == {"loss": 0.0033333333333333327}
        (log,) = workspace.catalog.query_assets(scope=first, kind="log")
        assert log.path.read_text() == "training: loss=0.0033\n"
        made = workspace.catalog.query_assets(scope=first, producer_task="train")
        (checkpoint,) = [each for each in made if each.kind == "checkpoint"]
        assert checkpoint.load() == {"weights": [0.0033333333333333327, 0.01]}


CRASHED = """\
doomed process, the run is pending:
  download: once
  train: epoch 1, weight 3
  train: epoch 2, weight 4
  train: epoch 3, weight 8
  train: the process is killed
second process, the run is failed:
  train: epoch 4, weight 9
  train: epoch 5, weight 14
  result: 14
1: failed ProcessLost
2: completed
results: {'epochs': 5}
"""


def test_a_killed_run_goes_on_in_another_process(tmp_path: Path) -> None:
    """F9, F13: no checkpoint was ever read, and no other process could resume."""
    told = lines("workspace/resume_after_crash.py", "ws", cwd=tmp_path)
    assert told == CRASHED.splitlines()


def test_each_profile_is_a_run_of_its_own(tmp_path: Path) -> None:
    """F18: a configuration without a name was taken for the old run."""
    first = lines("workspace/profiles.py", "ws", cwd=tmp_path)
    assert first[:3] == ["small: done now", "large: done now", "large-deep: done now"]
    assert [each.split(": ")[1] for each in first[3:]] == [
        *["2 x 4 -> 32 weights", "2 x 64 -> 8192 weights", "8 x 64 -> 32768 weights"]
    ]
    again = lines("workspace/profiles.py", "ws", cwd=tmp_path)
    assert again[0] == "small: has completed before"
    assert again[3:] == first[3:]


def test_a_sweep_runs_what_is_missing_and_shows_a_table(tmp_path: Path) -> None:
    head, best, *rest = lines("workspace/parameter_sweep.py", "ws", cwd=tmp_path)
    assert head.split() == ["rate", "momentum", "height", "phase"]
    assert best.split() == ["0.2", "0.3", "1.42e-14", "completed"]
    assert len(rest) == 19
    assert {each.split()[-1] for each in rest} == {"completed"}
    with trouper.Workspace(tmp_path / "ws") as workspace:
        runs = workspace.runs()
        with pytest.raises(KeyboardInterrupt), runs[0].rerun():
            raise KeyboardInterrupt  # cut off: this one is resumed, and no other
        again = lines("workspace/parameter_sweep.py", "ws", cwd=tmp_path)
        assert sorted(again) == sorted([head, best, *rest])
        assert [len(each.executions()) for each in runs] == [3] + [1] * 19
