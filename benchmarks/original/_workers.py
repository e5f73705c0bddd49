"""The two programs, as processes that are asked for work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Worker:
    """A process that runs tasks when it is asked to."""

    def __init__(self, command: list[str], folder: Path, path: str | None = None) -> None:
        # Neither a workspace of the person who measures, nor settings.
        dropped = ("PYTHONPATH", "TROUPER_")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(dropped)
        }
        if path is not None:
            environment["PYTHONPATH"] = path
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.about = self._answer()

    def seconds(self, task: str, *args: int, output: int) -> float:
        """Return how long a run of a task took.

        Args:
            output: what it has to give.

        Raises:
            RuntimeError: it gave something else, or nothing.
        """
        assert self._process.stdin is not None
        print(json.dumps([task, *args]), file=self._process.stdin, flush=True)
        answer = self._answer()
        if answer["output"] != output:
            raise RuntimeError(f"{task} gave {answer['output']}, not {output}")
        return float(answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended; run it by hand to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def both(peer: str, folder: Path) -> Iterator[tuple[Worker, Worker]]:
    """Start our program and theirs, each in a folder of its own.

    Args:
        peer: the Python that has the original SDK.
    """
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    theirs.mkdir()
    workers: list[Worker] = []
    try:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        workers.append(Worker([sys.executable, "-m", f"{__package__}._work_of_ours"], ours, path))
        workers.append(Worker([peer, str(HERE / "_work_of_theirs.py")], theirs))
        for worker in workers:  # the first run loads what it needs
            worker.seconds("one_by_one", 1, output=1)
        yield workers[0], workers[1]
    finally:
        for worker in workers:
            worker.close()


def import_seconds(python: str, modules: str, folder: Path) -> float:
    """Return the processor time of an import in a new process."""
    code = f"import time; t = time.process_time(); import {modules}; print(time.process_time() - t)"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return float(done.stdout.split()[-1])
