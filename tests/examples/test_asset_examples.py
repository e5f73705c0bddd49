"""The programs that show what a run keeps: `examples/workspace/assets.py` and `lineage_walk.py`."""

from pathlib import Path

from harness.programs import run_program


def lines(path: str, *args: str, cwd: Path) -> list[str]:
    ended = run_program(path, *args, cwd=cwd)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout.decode().splitlines()


KEPT = """\
artifact metrics.json 1, 26 bytes, train: experiments/assets/runs/training/artifacts/metrics.json
checkpoint model 1, 24 bytes, train: experiments/assets/runs/training/checkpoints/model.ckpt
checkpoint model 2, 24 bytes, train: experiments/assets/runs/training/checkpoints/@2/model.ckpt
checkpoint model 3, 24 bytes, train: experiments/assets/runs/training/checkpoints/@3/model.ckpt
data numbers 1, 6 bytes, nobody's task: data/numbers/@1/numbers.txt
artifact tables/export.csv 1, 137460 bytes, export: experiments/assets/runs/training/artifacts/\
tables/export.csv
log train 1, 66 bytes, train: experiments/assets/runs/training/logs/train.log
"""


def test_everything_that_a_run_keeps_is_found(tmp_path: Path) -> None:
    """F7, F9, F15: found, gone on with, and each version with its own content."""
    assert lines("workspace/assets.py", "ws", cwd=tmp_path) == KEPT.splitlines()
    again = lines("workspace/assets.py", "ws", cwd=tmp_path)
    assert set(KEPT.splitlines()[:-1]) <= set(again)
    assert sum(each.startswith("checkpoint model") for each in again) == 6
    assert sum(each.startswith("data numbers") for each in again) == 2
    log = tmp_path / "ws/projects/examples/experiments/assets/runs/training/logs/train.log"
    epochs = [line.split(":")[0] for line in log.read_text().splitlines()]
    assert epochs == [f"epoch {number}" for number in range(1, 7)]


WALKED = """\
report.txt: 3 numbers, 2.0 on average
  from model, by fit
    from clean, by clean
      from measured, by an import
  from size, by count
    from clean, by clean
      from measured, by an import
measured was read by: clean
if it were wrong, so would be: clean, model, report.txt, size
"""


def test_a_report_is_followed_up_to_its_data(tmp_path: Path) -> None:
    assert lines("workspace/lineage_walk.py", "ws", cwd=tmp_path) == WALKED.splitlines()
