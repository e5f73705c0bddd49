"""Between two runs the database stays open: for the same folder and options, and not for ever."""

import shutil
import subprocess
import sys
from pathlib import Path

import trouper
from harness.command import PATIENCE
from trouper.runtime.workspace._attached import attach_workspace, close_idle

env = trouper.TaskEnvironment("idle")


@env.task
async def one() -> int:
    return 1


def run(root: Path, name: str) -> None:
    trouper.with_runcontext(workspace=root, name=name).run(one)


def names(root: Path) -> list[str]:
    with trouper.Workspace(root, create=False) as workspace:
        return [each.name for each in workspace.runs()]


def test_the_next_run_finds_it_open(tmp_path: Path) -> None:
    run(tmp_path, "a")
    workspace = attach_workspace(tmp_path)
    store = workspace.store
    run(tmp_path, "b")
    assert attach_workspace(tmp_path) is workspace
    assert workspace.store is store
    assert names(tmp_path) == ["b", "a"]
    close_idle()
    assert store.connections.is_closed


def test_another_folder_closes_it(tmp_path: Path) -> None:
    run(tmp_path / "a", "a")
    store = attach_workspace(tmp_path / "a").store
    run(tmp_path / "b", "b")
    assert store.connections.is_closed
    run(tmp_path / "a", "again")
    assert names(tmp_path / "a") == ["again", "a"]


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """What is recorded must not go into a file that nobody can find any more."""
    root = tmp_path / "ws"
    run(root, "a")
    shutil.rmtree(root)
    run(root, "b")
    assert names(root) == ["b"]
    root.rename(tmp_path / "moved")
    run(root, "c")
    assert names(root) == ["c"]
    assert names(tmp_path / "moved") == ["b"]


def test_another_configuration_opens_it_anew(tmp_path: Path) -> None:
    run(tmp_path, "a")
    before = attach_workspace(tmp_path).store
    trouper.init(storage={"durability": "full"})
    run(tmp_path, "b")
    after = attach_workspace(tmp_path).store
    assert before.connections.is_closed
    assert after.connections.place.durability == "full"


def test_a_workspace_of_the_users_own_is_theirs_to_close(tmp_path: Path) -> None:
    run(tmp_path, "a")
    idle = attach_workspace(tmp_path).store
    with trouper.Workspace(tmp_path) as workspace:
        own = workspace.store
        workspace.project().experiment().run(id="r")
        close_idle()
        assert idle.connections.is_closed
        assert not own.connections.is_closed
        assert [each.name for each in workspace.runs()] == ["a"]


PROGRAM = """
import os, sys
import trouper

env = trouper.TaskEnvironment("e")

@env.task
async def one() -> int:
    return 1

def run(name):
    trouper.with_runcontext(workspace=sys.argv[1], name=name).run(one)

run("before")
child = os.fork()
if child == 0:
    run("child")
    sys.exit(0)
_, status = os.waitpid(child, 0)
run("after")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_forks_and_the_end_of_the_process_lose_nothing(tmp_path: Path) -> None:
    """In a real process: the child opens its own, and at the end the log is merged."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "ws")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ws" / "trouper.db-wal").exists()
    assert names(tmp_path / "ws") == ["after", "child", "before"]
