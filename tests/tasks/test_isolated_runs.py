"""`isolate="process"`: runs in processes of their own, with real processes and signals."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.command import PATIENCE, read_until
from trouper.errors import RuntimeUserError, TaskTimeout
from trouper.runtime.settings._init import current
from trouper.runtime.tasks import _isolated
from trouper.runtime.tasks._parameters import check_parameters

env = trouper.TaskEnvironment("isolated")
wf = trouper.Workflow("isolated_graph")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Unsendable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@env.task
async def double(n: int) -> int:
    return n * 2


@env.task
async def tells(n: int) -> dict[str, Any]:
    context = trouper.ctx()
    assert context is not None
    context.set_result("twice", await double(n))
    return {
        "pid": os.getpid(),
        "variable": os.environ.get("OF_THE_RUN"),
        "run": context.action.run_name,
        "custom": context.custom_context,
        "org": context.action.org,
    }


@env.task
async def fails(kind: str) -> Any:
    if kind == "error":
        raise OSError("broken")
    if kind == "unsendable":
        raise Unsendable(1, 2)
    if kind == "exit":
        sys.exit(7)
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "lock":
        return threading.Lock()
    return None


@env.task
async def leaves_a_thread() -> int:
    threading.Thread(target=threading.Event().wait).start()
    return 1


@env.task
async def takes(thing: Callable[[], int] | None = None) -> None: ...


@env.task(timeout=0.001)
async def too_slow() -> None:
    await trio.sleep_forever()


def touch(folder: str, name: str) -> None:
    Path(folder, name).touch()


@env.task
async def waits(path: str) -> None:
    try:
        touch(path, "begun")
        await trio.sleep_forever()
    finally:
        touch(path, "finally")


@wf.task
async def node() -> int:
    return os.getpid()


isolated = trouper.with_runcontext(isolate="process")


def test_what_it_gives_comes_back() -> None:
    trouper.init(org="acme")
    runner = trouper.with_runcontext(
        isolate="process", name="apart", custom_context={"k": "v"}, env_vars={"OF_THE_RUN": "x"}
    )
    run = runner.run(tells, 3)
    (told,) = run.outputs()
    assert told.pop("pid") != os.getpid()
    assert told == {"variable": "x", "run": "apart", "custom": {"k": "v"}, "org": "acme"}
    assert "OF_THE_RUN" not in os.environ
    assert (run.phase, run.inputs(), run.results) == ("completed", {"n": 3}, {"twice": 6})
    assert [each.name for each in run.actions().walk()] == ["tells", "tells/double-1"]
    record = run.record()
    assert record is not None
    # Recorded once, by the process in which it went on.
    assert (record.phase, record.number, record.params["env_vars"]) == (
        "completed",
        1,
        ["OF_THE_RUN"],
    )
    assert record.pid != os.getpid()


async def test_several_with_variables_go_on_at_once() -> None:
    """Each has the environment of its own process."""
    found: list[Any] = []

    async def one(value: str) -> None:
        runner = trouper.with_runcontext(isolate="process", env_vars={"OF_THE_RUN": value})
        found.append((await runner.run.aio(tells, 1)).outputs()[0]["variable"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "a")
        nursery.start_soon(one, "b")
    assert sorted(found) == ["a", "b"]


def test_a_workflow_runs_there_too() -> None:
    run = isolated.run(wf)
    assert run.outputs().node != os.getpid()
    with pytest.raises(TypeError, match="takes no arguments"):
        isolated.run(wf, 1)


def test_it_is_recorded_in_the_workspace_that_was_given(tmp_path: Path) -> None:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        runner = trouper.with_runcontext(isolate="process", workspace=workspace, name="there")
        run = runner.run(double, 2)
        assert run.outputs() == (4,)
        record = run.record()
        assert record is not None
        assert (record.phase, record.name) == ("completed", "there")
    assert (tmp_path / "ws" / "trouper.db").exists()


def test_where_only_this_process_will_do_it_is_refused() -> None:
    trouper.init(run={"isolate": "process"})
    with pytest.raises(ValueError, match=r"isolate='process'\)\.run\(isolated_graph\)"):
        trouper.run(wf)


def test_a_failure_comes_back_with_its_cause_and_where_it_was() -> None:
    with pytest.raises(RuntimeUserError, match="fails failed: OSError: broken") as caught:
        isolated.run(fails, "error")
    error = caught.value
    assert (error.code, error.action) == ("OSError", "fails")
    assert isinstance(error.__cause__, OSError)
    assert "test_isolated_runs.py" in error.__cause__.__notes__[0]
    assert error.run is not None
    assert error.run.phase == "failed"
    with pytest.raises(TaskTimeout, match=r"timeout=0\.001 s"):
        isolated.run(too_slow)


def test_what_can_t_be_sent_is_told_in_words() -> None:
    with pytest.raises(RuntimeUserError, match="1 and 2") as caught:
        isolated.run(fails, "unsendable")
    assert caught.value.code == "Unsendable"
    assert "Unsendable: 1 and 2 (told in words, for" in str(caught.value.__cause__)
    with pytest.raises(RuntimeUserError, match="what it returned can't come back"):
        isolated.run(fails, "lock")


def test_sys_exit_passes() -> None:
    """P8"""
    with pytest.raises(SystemExit) as caught:
        isolated.run(fails, "exit")
    assert caught.value.code == 7


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(trouper.ProcessError, match="ended by signal 9 before it told"):
        isolated.run(fails, "dies")


def test_a_process_that_stays_when_its_run_has_ended_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a thread that nobody stops. Nothing outlives the run (X6)."""
    monkeypatch.setattr(_isolated, "GRACE", 0.1)
    assert isolated.run(leaves_a_thread).outputs() == (1,)
    assert "not its process: a thread that it has started goes on" in caplog.text


def test_one_that_is_interrupted_before_it_can_hear_is_cancelled() -> None:
    context = trouper.RunContext(run_name="early")
    work = _isolated.IsolatedWork(
        (double, (), {}), double, ((1,), {}), context, check_parameters(None, {}), current()
    )
    work.cancel("interrupted")
    assert work._read(None, -2)[0] == work.actions().phase == "cancelled"


def test_what_can_t_go_there_is_refused_at_once() -> None:
    @env.task(name="local")
    async def local() -> None: ...

    with pytest.raises(trouper.NotPicklable, match=r"'local'.* can't be found by another process"):
        isolated.run(local)
    with pytest.raises(trouper.NotPicklable, match="argument 1 of 'takes' can't go"):
        isolated.run(takes, lambda: 1)
    with pytest.raises(TypeError, match="argument n of task 'double' takes int"):
        isolated.run(double, "x")
    with pytest.raises(ValueError, match="isolate can't be 'thread'; choose one of: process"):
        trouper.with_runcontext(isolate="thread")  # type: ignore[arg-type]  # what is refused


async def test_an_abort_reaches_it(tmp_path: Path) -> None:
    async with isolated.open(waits, str(tmp_path)) as run:
        await _appears(tmp_path / "begun")
        assert run.phase == run.actions().phase == "running"
        run.abort("enough")
    assert (run.phase, run.reason) == ("cancelled", "enough")
    assert (tmp_path / "finally").exists()
    assert run.actions().phase == "cancelled"


async def test_a_cancel_reaches_it_and_waits_for_its_end(tmp_path: Path) -> None:
    opened: list[Any] = []
    with trio.CancelScope() as scope:
        async with isolated.open(waits, str(tmp_path)) as run:
            opened.append(run)
            await _appears(tmp_path / "begun")
            scope.cancel()
    assert opened[0].phase == "cancelled"
    assert (tmp_path / "finally").exists()


async def _appears(path: Path) -> None:
    def look() -> None:
        while not path.exists():
            time.sleep(0.01)

    await trio.to_thread.run_sync(look)


PROGRAM = """
import os, sys
import trio, trouper

env = trouper.TaskEnvironment("program")

def say(text):
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()

class Box:
    def __init__(self, size):
        self.size = size

def touch(folder: str, name: str) -> None:
    Path(folder, name).touch()


@env.task
async def waits():
    try:
        say(f"waiting {os.getpid()}")
        await trio.sleep_forever()
    finally:
        say("finally")

@env.task
async def boxes(box: Box) -> Box:
    return Box(box.size + 1)

if __name__ == "__main__":
    runner = trouper.with_runcontext(isolate="process")
    if sys.argv[1] == "boxes":
        (box,) = runner.run(boxes, Box(1)).outputs()
        print(type(box) is Box, box.size)
    else:
        try:
            runner.run(waits)
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
            sys.exit(130)
"""


def start(folder: Path, word: str, **options: Any) -> "subprocess.Popen[str]":
    path = folder / "program.py"
    path.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(path), word],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def test_the_main_file_is_found_and_its_classes_are_the_same(tmp_path: Path) -> None:
    out, err = start(tmp_path, "boxes").communicate(timeout=PATIENCE)
    assert out.split() == ["True", "2"], err


@pytest.mark.parametrize("to_all", [False, True])
def test_ctrl_c_reaches_it(tmp_path: Path, to_all: bool) -> None:
    """From a terminal it comes to both processes; by `kill` to one."""
    process = start(tmp_path, "waits", start_new_session=True)
    try:
        read_until(process, "waiting")
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    ours = ("cancelling", "finally", "KeyboardInterrupt")
    assert [line for line in err.splitlines() if line.startswith(ours)] == [
        "cancelling; twice more to leave at once",
        "finally",
        "KeyboardInterrupt",
    ]


def test_it_ends_with_the_process_that_has_started_it(tmp_path: Path) -> None:
    process = start(tmp_path, "waits")
    try:
        pid = int(read_until(process, "waiting").split()[-1])
        process.kill()
        # stderr is the child's too: it ends when that does.
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert "finally" in err
    assert pid != process.pid


def test_sigterm_to_its_process_ends_the_run_in_good_order(tmp_path: Path) -> None:
    process = start(tmp_path, "waits")
    try:
        os.kill(int(read_until(process, "waiting").split()[-1]), signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert "finally" in err
    assert "RunCancelled" in err


def test_a_program_without_a_guard_is_refused_in_the_process_that_imports_it(
    tmp_path: Path,
) -> None:
    """Each process would start the next one, without end."""
    program = tmp_path / "unguarded.py"
    program.write_text(
        textwrap.dedent("""
        import pathlib, trouper

        with pathlib.Path("starts").open("a") as starts:
            starts.write("x")

        env = trouper.TaskEnvironment("unguarded")

        @env.task
        async def one() -> int:
            return 1

        trouper.with_runcontext(isolate="process").run(one)
        """)
    )
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert 'put what it does under `if __name__ == "__main__":`' in done.stderr
    assert (tmp_path / "starts").read_text() == "xx"
