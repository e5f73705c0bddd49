"""A process that keeps everything over and over until it is killed, and says what is on disk.

It is forked from one that has loaded everything, so that a round takes a tenth of a second. Each
line is one write, so none is cut in half.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import trouper
from harness.assets import context_of
from harness.command import PATIENCE
from trouper.runtime.store import _run_copies as _run_copies
from trouper.runtime.store import _store as _store
from trouper.runtime.workspace import _open_run as _open_run
from trouper.runtime.workspace import _tracked as _tracked

Workspace = trouper.Workspace


class Rounds:
    """Begins a process at a time, and kills it."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        self._orders, self._words = server.stdin, server.stdout

    def killed_after(self, words: int, number: int) -> dict[str, list[str]]:
        """Have a process work until it has said so many words; return all that it said."""
        self._orders.write(f"{number}\n")
        self._orders.flush()
        said: dict[str, list[str]] = {}
        heard = 0
        while "dead" not in said:
            kind, what = self._words.readline().split()
            said.setdefault(kind, []).append(what)
            heard += kind != "pid"
            if heard >= words and "pid" in said:
                os.kill(int(said["pid"][0]), signal.SIGKILL)  # wherever it is by now
                words = sys.maxsize
        return said


@contextmanager
def rounds_at(root: Path) -> Generator[Rounds, None, None]:
    """Give what begins and kills processes that keep things in a workspace."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from harness.killed import serve; serve()", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        encoding="utf-8",
    )
    with server:
        yield Rounds(server)
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(PATIENCE) == 0


def serve() -> None:
    """Fork a process for each number that comes, and say when it is dead."""
    while line := sys.stdin.readline():
        number = int(line)
        child = os.fork()
        if child == 0:
            try:
                _work(sys.argv[1], number)
            finally:
                os._exit(1)
        _say("pid", child)
        os.waitpid(child, 0)
        _say("dead", number)


def _say(kind: str, what: object) -> None:
    os.write(1, f"{kind} {what}\n".encode())


def _work(root: str, number: int) -> None:
    with Workspace(root) as workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        start = run.start() if number == 1 else run.resume()
        start.begin()
        tracked = start.open_run.tracked
        context = context_of(tracked.assets)
        _say("begun", tracked.claim.number)
        count = 0
        while True:
            count += 1
            key = f"{number}-{count}"
            asset = context.artifact.save("a", (part for part in [key.encode() * 3000] * 2))
            _say("artifact", asset.id)
            _say("checkpoint", context.checkpoint("c", data=key).id)
            start.context.results[key] = count
            _say("result", key)
            context.log("log").append(key + " " + "x" * (count * 50 % 9000))
            if count % 3 == 0:
                context.log("log").flush()
                _say("line", key)
            if count % 7 == 0:
                tracked.assets.close()
                _say("closed", key)
