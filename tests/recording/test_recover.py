"""`trouper.recover` and `trouper.rerun`: what was finished is not done again."""

import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import trouper
from harness.command import PATIENCE
from harness.processes import running

PROGRAM = """
import os, signal, sys
from pathlib import Path

import trio
import trouper

env = trouper.TaskEnvironment("killed")


def done(what):
    with open("done.txt", "a") as file:
        file.write(what + "\\n")


@env.task
async def step(n: int) -> int:
    done(f"step {n}")
    return n * 10


@env.task
def in_thread(n: int) -> int:
    done(f"thread {n}")
    return n


@env.task
async def waits() -> int:
    done("waits")
    if not Path("go").exists():
        print("waiting", flush=True)
        await trio.sleep_forever()
    return 1000


@env.task
async def inner() -> int:
    first = await step(1)
    last = await waits()
    return first + last


@env.task
async def root(base: int) -> int:
    in_parallel = await trouper.gather(step(2), step(3), in_thread(4))
    return base + sum(in_parallel) + await inner()


@env.task
async def kills() -> None:
    done("kills")
    if not Path("tame").exists():
        os.kill(os.getpid(), signal.SIGKILL)


@env.task
async def careful() -> str:
    await step(5)
    try:
        await kills()
    except trouper.errors.RuntimeUserError as error:
        return error.code
    return "lived"


@env.task
async def stubborn() -> str:
    return await careful()


if __name__ == "__main__":
    verb, task, *args = sys.argv[1:]
    if verb == "run":
        run = trouper.with_runcontext(name="r").run(globals()[task], *map(int, args))
    elif verb == "recover":
        run = trouper.recover("r")
    else:
        run = trouper.rerun("r")
    print(run.outputs()[0])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "ws"))
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def program(*words: object) -> "AbstractContextManager[subprocess.Popen[str]]":
    return running([sys.executable, "program.py", *words])


def ended(*words: object) -> tuple[int, str]:
    """Run the program to its end; return how it ended, and what it said."""
    with program(*words) as process:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.strip() or err


def killed_while_it_waits(*words: object) -> None:
    with program(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.kill()
        process.wait(PATIENCE)


def done(folder: Path) -> list[str]:
    return (folder / "done.txt").read_text(encoding="utf-8").splitlines()


def the_run() -> trouper.Run:
    return trouper.Workspace().find_run("r")


def test_what_was_finished_before_a_kill_is_not_done_again(folder: Path) -> None:
    killed_while_it_waits("run", "root", 7)
    assert (the_run().phase, the_run().executions()[-1].error_code) == ("failed", "ProcessLost")
    before = done(folder)
    assert sorted(before) == ["step 1", "step 2", "step 3", "thread 4", "waits"]
    # Once more in the same place: the journal goes on.
    killed_while_it_waits("recover", "root")
    (folder / "go").touch()
    assert ended("recover", "root") == (0, str(7 + 20 + 30 + 4 + 10 + 1000))
    assert done(folder) == [*before, "waits", "waits"]
    actions = {each.name: each for each in the_run().actions().walk()}
    assert {name: each.phase for name, each in actions.items()} == dict.fromkeys(
        [
            *("root", "root/step-1", "root/step-2", "root/in_thread-1"),
            *("root/inner-1", "root/inner-1/step-1", "root/inner-1/waits-1"),
        ],
        "completed",
    )
    # What was not done in this execution has no attempts in it.
    assert {name for name, each in actions.items() if not each.attempts} == {
        *("root/step-1", "root/step-2", "root/in_thread-1", "root/inner-1/step-1")
    }
    assert [each.phase for each in the_run().executions()] == ["failed", "failed", "completed"]
    assert not list((folder / "ws" / "journals").iterdir())
    code, words = ended("recover", "root")
    assert code == 1
    assert "the run 'r' has completed; run.rerun() does it again from the top" in words


def test_a_rerun_does_all_of_it_again(folder: Path) -> None:
    killed_while_it_waits("run", "root", 7)
    (folder / "go").touch()
    assert ended("rerun", "root") == (0, str(7 + 20 + 30 + 4 + 10 + 1000))
    assert sorted(done(folder)) == sorted(2 * ["step 1", "step 2", "step 3", "thread 4", "waits"])
    assert ended("rerun", "root")[0] == 0


def test_a_task_that_kills_its_process_is_given_up(folder: Path) -> None:
    """Its start is on disk before its body, so the third death is the last."""
    for verb in ("run", "recover", "recover"):
        assert ended(verb, "stubborn")[0] == -signal.SIGKILL
    assert done(folder) == ["step 5", "kills", "kills", "kills"]
    assert ended("recover", "stubborn") == (0, "ProcessLost")
    assert done(folder).count("kills") == 3


def test_a_killer_that_was_mended_in_time_goes_on(folder: Path) -> None:
    assert ended("run", "stubborn")[0] == -signal.SIGKILL
    (folder / "tame").touch()
    assert ended("recover", "stubborn") == (0, "lived")
    assert done(folder) == ["step 5", "kills", "kills"]


def test_a_live_run_is_refused_in_another_process(folder: Path) -> None:
    with program("run", "root", 7) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        for verb in ("run", "recover", "rerun"):
            code, words = ended(verb, "root", *([7] if verb == "run" else ()))
            assert code == 1
            assert "RunNameTaken: a run named 'r' goes on: process " in words
        assert the_run().phase == "running"
        assert [each.phase for each in the_run().actions().walk()].count("running") == 3
        the_run().abort()
        assert process.wait(PATIENCE) == 1
    assert the_run().phase == "cancelled"


def test_a_run_that_was_interrupted_is_cancelled_and_can_be_recovered(folder: Path) -> None:
    with program("run", "root", 7) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) != 0
    assert the_run().phase == "cancelled"
    (folder / "go").touch()
    assert ended("recover", "root") == (0, str(7 + 20 + 30 + 4 + 10 + 1000))
    assert done(folder).count("waits") == 2
    assert done(folder).count("step 1") == 1
