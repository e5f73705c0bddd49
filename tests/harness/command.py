"""The command `trouper`: in this process, in one of its own, and on a terminal of its own."""

import os
import pty
import select
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from harness.processes import running
from trouper.runtime.cli import main

COMMAND = (sys.executable, "-m", "trouper")
"""As a user starts it."""

PATIENCE = 200.0
"""Seconds that a process may take over anything: only one that hangs takes them."""

STREAM = """
import sys, time
import trio, trouper

wf = trouper.Workflow("stream")

@wf.actor
async def source(ctx):
    for n in range(ctx.config.get("n", 5)):
        yield n
    while ctx.config.get("endless") and not ctx.stopping:
        await trio.sleep(0.01)
        yield -1

@wf.actor(depends_on="source", max_restarts=1000)
async def work(ctx):
    async for n in ctx:
        if n == ctx.config.get("poison"):
            raise ValueError(ctx.config.get("text", "poison"))
        if n == ctx.config.get("exit"):
            sys.exit(3)
        if n == ctx.config.get("block"):
            print("blocking", file=sys.stderr, flush=True)
            until = time.monotonic() + ctx.config.get("seconds", 1.5)
            while time.monotonic() < until:
                time.sleep(0.01)  # a long one may miss a second signal until the third
        if n == ctx.config.get("stuck"):
            print("stuck", file=sys.stderr, flush=True)
            await trio.sleep_forever()
        yield n * 2
"""
"""A source and one actor, which fails, exits, blocks or gets stuck when it is told to."""


@pytest.fixture
def trouper_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Call `main` in this process; gives exit code, stdout, stderr. Undoes what loading changes."""
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    yield call
    for name in set(sys.modules) - before:
        if "program" in name or not _is_installed(name):
            del sys.modules[name]


def _is_installed(name: str) -> bool:
    """Whether a module is none of the files that were loaded: some can't be loaded twice."""
    file = getattr(sys.modules[name], "__file__", None)
    return file is None or name.startswith("trouper.") or file.startswith(_INSTALLED)


_INSTALLED = tuple({sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()})


def write(folder: Path, text: str = STREAM, name: str = "stream_under_test.py") -> Path:
    """Write a workflow file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run_process(*words: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    command = [*COMMAND, *map(str, words)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=cwd,
        encoding="utf-8",
    )


def started(*words: object) -> "AbstractContextManager[subprocess.Popen[str]]":
    """Start the command, to be signalled; killed at the end if it is still there."""
    return running([*COMMAND, *words])


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Read stderr up to the line that holds `text`."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came: {seen}")


class Terminal:
    """The command with a pseudo-terminal as stdin, stdout and stderr."""

    def __init__(self, *words: object, kind: str) -> None:
        self._primary, secondary = pty.openpty()
        environment = {
            **os.environ,
            "TERM": kind,
            "LINES": "40",
            "COLUMNS": "120",
        }
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            env=environment,
            start_new_session=True,
        )
        os.close(secondary)
        self.shown = ""

    def read_until(self, text: str, count: int = 1) -> str:
        """Read until `text` is shown, so many times."""
        until = time.monotonic() + PATIENCE
        while self.shown.count(text) < count:
            assert time.monotonic() < until, self.shown
            if not self._read_some():
                raise AssertionError(f"{text!r} never came: {self.shown}")
        return self.shown

    def write(self, text: str) -> None:
        """Type something."""
        os.write(self._primary, text.encode())

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and all that was shown."""
        while self._read_some():
            pass
        return self.process.wait(timeout=PATIENCE), self.shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._primary)

    def _read_some(self) -> bool:
        if not select.select([self._primary], [], [], PATIENCE)[0]:
            return False
        try:
            data = os.read(self._primary, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def on_terminal(*words: object, kind: str = "xterm-256color") -> Generator[Terminal, None, None]:
    """Start the command on a terminal of its own, of 40 rows and 120 columns."""
    terminal = Terminal(*words, kind=kind)
    try:
        yield terminal
    finally:
        terminal.close()
