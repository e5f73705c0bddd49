"""The notebook, executed by a real Jupyter kernel, which runs cells in an asyncio loop."""

import os
import subprocess
import sys
from pathlib import Path

from harness.programs import EXAMPLES
from harness.serving import LIMIT

EXECUTE = """
import sys

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
manager = KernelManager(kernel_name="python3", transport="ipc")  # no port that others may take
NotebookClient(notebook, km=manager, timeout=120).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", ()):
        print(output["data"]["text/plain"])
"""


def test_the_notebook_in_a_kernel(tmp_path: Path) -> None:
    """A run that is opened in one cell is used in the next ones, and drained in the last."""
    home = {name: str(tmp_path) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(EXAMPLES / "embedding" / "notebook.ipynb")],
        cwd=tmp_path,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1.0, 2.0]", "(4.0, 4)", "('completed', 4.0)"]
