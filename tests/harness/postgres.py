"""A PostgreSQL server of a test's own, where the machine has its programs."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.command import PATIENCE


def _programs() -> Path:
    """Return the folder of `initdb` and `postgres`, which Debian keeps out of the way."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    pytest.skip("there is no PostgreSQL server on this machine")


@contextmanager
def postgres() -> Generator[str]:
    """Start a server that listens in a folder of its own, without any port; give its address."""
    programs = _programs()
    # It does not run as root.
    user: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if user:
            shutil.chown(folder, "nobody")
        data = f"{folder}/data"
        initdb = [f"{programs}/initdb", "--no-sync", "-A", "trust", "-U", "trouper", "-D", data]
        subprocess.run(
            initdb, cwd=folder, capture_output=True, timeout=PATIENCE, check=True, **user
        )
        # -F: what it says is written need not be on the disk.
        options = ["-F", "-k", folder, "-c", "listen_addresses="]
        server = subprocess.Popen(
            [f"{programs}/postgres", "-D", data, *options],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            **user,
        )
        try:
            _wait(server)
            yield f"postgresql://trouper@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.communicate(timeout=PATIENCE)


def _wait(server: "subprocess.Popen[str]") -> None:
    assert server.stderr is not None
    for line in server.stderr:
        if "ready to accept connections" in line:
            return
    raise AssertionError("the server has ended")
