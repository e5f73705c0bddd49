"""The service with a workflow inside, under load, to its drain."""

from pathlib import Path

from harness.programs import run_program


def test_every_accepted_reading_is_counted(tmp_path: Path) -> None:
    """SIGTERM under load: the count of the service equals what its clients were told."""
    done = run_program("embedding/load.py", "0.5", cwd=tmp_path)
    out = done.stdout.decode()
    assert done.returncode == 0, (out, done.stderr.decode())
    assert "readings accepted" in out
    assert "drained in" in out
