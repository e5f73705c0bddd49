"""`trouper.recover` and `trouper.rerun`: what was finished is not done again."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.command import PATIENCE
from trouper.errors import RuntimeUserError

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


@contextmanager
def program(*words: object) -> Generator["subprocess.Popen[str]", None, None]:
    process = subprocess.Popen(
        [sys.executable, "program.py", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


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


# -- in one process -------------------------------------------------------------------------------

env = trouper.TaskEnvironment("recovered")


class Point:
    """No plain data."""

    def __init__(self, x: int) -> None:
        self.x = x


def test_equal_calls_side_by_side_get_back_what_was_theirs(tmp_path: Path) -> None:
    """Their names depend on who comes first; what they were given does not."""
    calls: list[int] = []
    may_end = False

    @env.task(name="square")
    async def square(n: int) -> Any:
        calls.append(n)
        return Point(n * n)

    @env.task(name="squares")
    async def squares(turn: list[int]) -> list[int]:
        order = turn if may_end else list(reversed(turn))
        points = await trouper.gather(*map(square, order))
        if not may_end:
            raise OSError("not yet")
        return [point.x for point in points]

    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    with pytest.raises(RuntimeUserError, match="not yet"):
        runner.run(squares, [1, 2, 3])
    may_end = True
    run = trouper.recover("r", squares, workspace=tmp_path)
    assert run.outputs() == ([1, 4, 9],)
    assert sorted(calls) == [1, 2, 3]


def test_other_arguments_are_done_anew(tmp_path: Path) -> None:
    calls: list[int] = []

    @env.task(name="noted")
    async def noted(n: int) -> int:
        calls.append(n)
        return n

    @env.task(name="changes")
    async def changes() -> int:
        value = await noted(len(calls))
        if value == 0:
            raise OSError("first")
        return value

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(changes)
    assert trouper.recover("r", changes, workspace=tmp_path).outputs() == (1,)
    assert calls == [0, 1]


def test_what_a_failed_attempt_called_is_not_used(tmp_path: Path) -> None:
    calls: list[str] = []
    is_mended = False

    @env.task(name="token")
    async def token() -> int:
        calls.append("token")
        return len(calls)

    @env.task(name="retried", retries=1)
    async def retried() -> int:
        found = await token()
        if not is_mended:
            raise OSError(f"with token {found}")
        return found

    with pytest.raises(RuntimeUserError, match="with token 2"):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(retried)
    is_mended = True
    # The last attempt's call has completed, and is used.
    assert trouper.recover("r", retried, workspace=tmp_path).outputs() == (2,)


def test_an_output_that_cannot_be_kept_is_made_again(tmp_path: Path) -> None:
    calls: list[str] = []

    @env.task(name="opens")
    async def opens() -> Any:
        calls.append("opens")
        return lambda: 1

    @env.task(name="uses")
    async def uses() -> Any:
        value = (await opens())()
        if len(calls) == 1:
            raise OSError
        return value

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(uses)
    assert trouper.recover("r", uses, workspace=tmp_path).outputs() == (1,)
    assert calls == ["opens", "opens"]


def test_a_task_that_yields_begins_again(tmp_path: Path) -> None:
    opened: list[int] = []

    @env.task(name="ticks")
    async def ticks() -> AsyncIterator[int]:
        opened.append(1)
        for n in range(3):
            yield n

    @env.task(name="reads")
    async def reads() -> Any:
        total = sum([n async for n in ticks()])
        if len(opened) == 1:
            raise OSError
        return total

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(reads)
    assert trouper.recover("r", reads, workspace=tmp_path).outputs() == (3,)
    assert len(opened) == 2


def test_parameters_of_the_run_are_those_of_before(tmp_path: Path) -> None:
    @env.task(name="looks")
    async def looks(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> list[Any]:
        ctx = trouper.ctx()
        assert ctx is not None
        return [a, b, list(rest), c, more, dict(ctx.custom_context), ctx.action.project]

    runner = trouper.with_runcontext(
        name="r", workspace=tmp_path, project="p", custom_context={"k": "v"}, labels={"a": "b"}
    )
    first = runner.run(looks, 1, 2, 4, 5, c=6, d=7)
    again = trouper.rerun("p/default/r", looks, workspace=tmp_path)
    assert again.outputs() == first.outputs() == ([1, 2, [4, 5], 6, {"d": 7}, {"k": "v"}, "p"],)
    record = again.record()
    assert record is not None
    assert (record.number, record.labels) == (2, {"a": "b"})
    relabelled = trouper.rerun("r", looks, workspace=tmp_path, labels={"c": "d"}).record()
    assert relabelled is not None
    assert relabelled.labels == {"c": "d"}


def test_a_graph_is_done_again_and_its_finished_tasks_are_kept(tmp_path: Path) -> None:
    calls: list[str] = []
    wf = trouper.Workflow("graph")

    @wf.task
    async def first() -> int:
        calls.append("first")
        return 1

    @wf.task(depends_on="first")
    async def second(first: int) -> int:
        calls.append("second")
        if calls.count("second") == 1:
            raise OSError("not yet")
        return first + 1

    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    assert runner.run(wf).phase == "failed"
    run = trouper.recover("r", wf, workspace=tmp_path)
    assert dict(run.outputs().items()) == {"first": 1, "second": 2}
    assert calls == ["first", "second", "second"]
    assert trouper.rerun("r", wf, workspace=tmp_path).phase == "completed"
    assert calls.count("first") == 2


# -- what can't be done ---------------------------------------------------------------------------


def test_what_cannot_be_had_again_is_said(tmp_path: Path) -> None:
    @env.task(name="given")
    async def given(value: Any) -> int:
        return 1

    @env.task(name="other")
    async def other() -> int:
        return 1

    with pytest.raises(trouper.errors.NoWorkspace, match="there is no workspace at"):
        trouper.rerun("r", given, workspace=tmp_path / "nowhere")
    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    runner.run(given, Point(1))
    with pytest.raises(trouper.errors.NoSuchRun, match="no run named 'x'"):
        trouper.rerun("x", given, workspace=tmp_path)
    with pytest.raises(ValueError, match="value of the run 'r' is not recorded"):
        trouper.rerun("r", given, workspace=tmp_path)
    with pytest.raises(ValueError, match="'r' is one of task 'given', not of 'other'"):
        trouper.rerun("r", other, workspace=tmp_path)
    with pytest.raises(ValueError, match="has no task 'given' at its top level"):
        trouper.rerun("r", workspace=tmp_path)
    with pytest.raises(trouper.errors.WrongPhase, match="has completed"):
        runner.run(given, 1)
        trouper.recover("r", given, workspace=tmp_path)


async def test_inside_of_a_loop_the_error_names_a_thread(tmp_path: Path) -> None:
    @env.task(name="simple")
    async def simple() -> int:
        return 1

    await trouper.with_runcontext(name="r", workspace=tmp_path).run.aio(simple)
    with pytest.raises(RuntimeError, match="trio runs in this thread"):
        trouper.rerun("r", simple, workspace=tmp_path)

    def in_thread() -> trouper.Run:
        return trouper.rerun("r", simple, workspace=tmp_path)

    assert (await trio.to_thread.run_sync(in_thread)).phase == "completed"


def test_values_of_env_vars_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @env.task(name="reads_variable")
    async def reads_variable() -> str:
        return os.environ["OF_THE_RUN"]

    runner = trouper.with_runcontext(name="r", workspace=tmp_path, env_vars={"OF_THE_RUN": "one"})
    assert runner.run(reads_variable).outputs() == ("one",)
    with pytest.raises(ValueError, match="env_vars, whose values are not recorded: set OF_THE_RUN"):
        trouper.rerun("r", reads_variable, workspace=tmp_path)
    monkeypatch.setenv("OF_THE_RUN", "two")
    assert trouper.rerun("r", reads_variable, workspace=tmp_path).outputs() == ("two",)


def test_code_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    monkeypatch.setattr(sys, "path", sys.path[:])
    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    file = tmp_path / "gone_under_test.py"
    text = (
        "import trouper\nenv = trouper.TaskEnvironment('gone')\n"
        "@env.task\nasync def there() -> int: return 1\n"
    )
    file.write_text(text, encoding="utf-8")
    made: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), made)
    runner.run(made["there"])
    assert trouper.rerun("r", workspace=tmp_path).phase == "completed"
    del sys.modules["gone_under_test"]
    file.write_text("raise OSError('not today')", encoding="utf-8")
    with pytest.raises(ValueError, match="raised while it was loaded"):
        trouper.rerun("r", workspace=tmp_path)
    del sys.modules["gone_under_test"]
    file.unlink()
    with pytest.raises(ValueError, match="is not there any more; give the task or workflow itself"):
        trouper.rerun("r", workspace=tmp_path)
    exec(text, made)
    runner.run(made["there"])
    with pytest.raises(ValueError, match="where the task 'there' of the run 'r' stands is not"):
        trouper.rerun("r", workspace=tmp_path)


def test_an_output_whose_class_is_gone_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    @env.task(name="makes")
    async def makes() -> Any:
        calls.append("makes")
        return Point(1)

    @env.task(name="takes")
    async def takes() -> int:
        point = await makes()
        if len(calls) == 1:
            raise OSError
        return int(point.x)

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(takes)
    monkeypatch.setattr("trouper.runtime.tasks._recall.restore", _refuse)
    assert trouper.recover("r", takes, workspace=tmp_path).outputs() == (1,)
    assert "what takes/makes-1 gave back before can't be read (AttributeError: gone)" in caplog.text


def _refuse(*_: object) -> Any:
    raise AttributeError("gone")
