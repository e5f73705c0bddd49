"""The programs in `examples/`: imported as `python FILE` would see them, or run."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.command import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load_program(path: str) -> Any:
    """Import an example, or a part of one, once: `pipe_log`, `monitoring.log_tail`."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(path)


def run_program(
    path: str, *args: str, cwd: Path, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """Run an example in a process of its own, from a folder that is not its own."""
    command = [sys.executable, str(EXAMPLES / path), *args]
    return subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
