"""Processes that a test starts: gone when it has ended."""

import subprocess
from collections.abc import Generator, Iterable
from contextlib import contextmanager


@contextmanager
def running(
    command: Iterable[object],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
) -> Generator["subprocess.Popen[str]", None, None]:
    """Start a command; killed at the end if it is still there.

    Args:
        stdin, stdout, stderr: as of `subprocess.Popen`.
    """
    process = subprocess.Popen(
        [*map(str, command)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
