"""CPU-bound bodies in worker processes: results, failures, cancels, and what can't go there."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness import crunching
from harness.command import PATIENCE
from harness.graphs import flow
from trouper import NotPicklable, ProcessError
from trouper.runtime._process import call_in_process
from trouper.runtime._process_worker import Answer, be_ready, pack, work


def one(function: Callable[..., Any], **options: Any) -> trouper.Workflow:
    wf = trouper.Workflow("one")
    wf.task(name="body", executor="process", **options)(function)
    return wf


async def test_a_body_runs_in_another_process_which_is_kept() -> None:
    wf = one(crunching.process_number)
    first = (await wf.execute()).unwrap()["body"]
    assert first != os.getpid()
    assert (await wf.execute()).unwrap()["body"] == first


async def test_parameters_are_filled_from_upstreams() -> None:
    wf = trouper.Workflow("sum")
    for number in (1, 2, 3):
        wf.task(name=f"n{number}")(lambda number=number: number)
    wf.task(name="all", executor="process", depends_on=["n1", "n2", "n3"])(crunching.total)
    assert (await wf.execute()).unwrap()["all"] == 6


async def test_a_failure_comes_back_as_it_was_raised_with_a_note() -> None:
    """F35"""
    result = await one(crunching.fail).execute()
    assert isinstance(result.error, OSError)
    assert result.error.errno == 28
    [note] = result.error.__notes__
    assert "raised in the worker process of 'body':\nTraceback" in note
    assert "crunching.py" in note


async def test_a_failure_that_cannot_be_read_comes_back_in_words() -> None:
    result = await one(crunching.fail_oddly).execute()
    assert isinstance(result.error, ProcessError)
    assert "'body' failed in its worker process with what can't be pickled:\nTr" in str(
        result.error
    )
    assert "crunching.Odd: this and that" in str(result.error)


async def test_a_body_may_fail_and_be_called_again() -> None:
    result = await one(
        crunching.fail, restart="transient", max_restarts=2, backoff=trouper.Backoff(min=0)
    ).execute()
    assert result.nodes["body"].failed == 3


async def test_leaving_the_program_leaves_it() -> None:
    """P8"""
    with pytest.raises(SystemExit) as caught:
        await call_in_process(crunching.leave, (), {}, name="body")
    assert caught.value.code == 3


async def test_a_process_that_dies_is_named_and_replaced() -> None:
    result = await one(crunching.die).execute()
    assert isinstance(result.error, ProcessError)
    assert "the worker process of 'body' died before it answered" in str(result.error)
    assert (await one(crunching.process_number).execute()).ok


async def test_a_cancel_kills_the_process(tmp_path: Path) -> None:
    """X6"""
    told = tmp_path / "told"
    wf = trouper.Workflow("endless")
    wf.task(name="path")(lambda: str(told))
    wf.task(name="body", executor="process", depends_on="path")(crunching.tell_and_wait)
    async with wf.open() as run:
        await trio.to_thread.run_sync(_wait_for_words, told)
        run.cancel()
    result = await run.wait()
    assert result.status == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def _wait_for_words(file: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_a_cancel_while_a_worker_starts_leaves_none_alone() -> None:
    """X6: the call is given up, and the worker serves the next one."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await call_in_process(crunching.process_number, (), {}, name="body")
    assert scope.cancelled_caught
    assert await call_in_process(crunching.process_number, (), {}, name="body") != os.getpid()


async def test_no_more_run_at_once_than_there_are_cpus() -> None:
    numbers: list[int] = []

    async def call() -> None:
        numbers.append(await call_in_process(crunching.process_number, (), {}, name="body"))

    async with trio.open_nursery() as nursery:
        for _ in range(4 * (os.cpu_count() or 1)):
            nursery.start_soon(call)
    assert 1 <= len(set(numbers)) <= (os.cpu_count() or 1)


# -- what can't go there, or come back -------------------------------------------------------


async def test_an_argument_that_cannot_go_is_named() -> None:
    wf = trouper.Workflow("lock")
    wf.task(name="file")(lambda: open(os.devnull))  # noqa: SIM115  # a file can't be pickled
    wf.task(name="body", executor="process", depends_on="file")(crunching.describe)
    result = await wf.execute()
    result.outputs["file"].close()
    assert isinstance(result.error, NotPicklable)
    text = str(result.error)
    assert (
        "argument value of 'body' is a TextIOWrapper, which can't go to another process (" in text
    )
    assert "hand over plain data, or leave out executor='process'" in text


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (crunching.give_a_function, "'body' returned a function \\(.*, which can't come back"),
        (
            crunching.give_what_is_broken,
            "what 'body' gave back can't be read here \\(ValueError: c",
        ),
    ],
)
async def test_a_result_that_cannot_come_back_is_named(
    function: Callable[..., Any], text: str
) -> None:
    result = await one(function).execute()
    assert isinstance(result.error, NotPicklable)
    with pytest.raises(NotPicklable, match=text):
        result.unwrap()


async def test_what_the_worker_cannot_read_is_named() -> None:
    with pytest.raises(NotPicklable, match="the worker process of 'body' can't read what it sho"):
        await call_in_process(crunching.describe, (crunching.Broken(),), {}, name="body")


async def test_a_function_that_cannot_go_is_named_when_it_is_called_too() -> None:
    with pytest.raises(NotPicklable, match="the function of 'body' can't go to another process"):
        await call_in_process(lambda: 1, (), {}, name="body")
    with pytest.raises(NotPicklable, match="argument word of 'body' is a function, which can't"):
        await call_in_process(crunching.describe, (), {"word": lambda: 1}, name="body")


def test_a_function_that_cannot_go_is_refused_by_the_check() -> None:
    wf = one(lambda: 1)
    with pytest.raises(trouper.GraphError, match="define it at the top level of a module, not as"):
        wf.check()


@pytest.mark.parametrize(
    ("options", "function", "text"),
    [
        ({}, "context", "takes a context, which can't go to another process.*plain parameters"),
        ({}, "object", "takes a context"),
        ({}, "coroutine", "executor of 'body' has an effect only on a sync task; leave it out"),
        ({"shutdown": 1.0}, "plain", "shutdown of 'body' has no effect with executor='process'"),
    ],
)
def test_what_has_no_place_there_is_refused(
    options: dict[str, Any], function: str, text: str
) -> None:
    """F17, S13"""

    def context(ctx: Any) -> int:
        return 1

    class Crunch:
        def execute(self, ctx: Any) -> int:
            return 1

    async def coroutine() -> int:
        return 1

    bodies: dict[str, Any] = {
        "context": context,
        "object": Crunch(),
        "coroutine": coroutine,
        "plain": crunching.square,
    }
    with pytest.raises(TypeError, match=text):
        one(bodies[function], **options)


def test_it_is_no_option_of_an_actor() -> None:
    """F17"""
    with pytest.raises(TypeError, match="executor is an option of a task: leave it out"):
        trouper.Workflow().add(flow, executor="process")


# -- inside of the worker --------------------------------------------------------------------


def test_an_answer_goes_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(function: Callable[..., Any], *args: Any) -> Answer:
        return work(pack(function, args, {}))

    answer = call(crunching.square, 7)
    assert (answer.kind, pickle.loads(answer.body)) == ("result", 49)
    assert call(crunching.fail).kind == "raised"
    assert call(crunching.fail_oddly).kind == "untold"
    assert call(crunching.give_a_function).kind == "unsendable"
    assert call(crunching.describe, crunching.Broken()).kind == "unreadable"
    assert work(pickle.dumps(("no_such_module", None, b"", b""))).kind == "unreadable"
    assert work(pickle.dumps(("no_such_module", "words.txt", b"", b""))).kind == "unreadable"
    assert pickle.loads(work(pack(len, ("abc",), {})).body) == 3
    monkeypatch.setattr("signal.signal", lambda *_: None)
    be_ready()


def test_a_module_of_a_file_is_found_by_its_file(tmp_path: Path) -> None:
    """As the command line runs a file under a name of its own."""
    file = tmp_path / "some-file.py"
    file.write_text("def double(n):\n    return 2 * n\n")
    name = "trouper_program_some-file"
    packed = pickle.dumps((name, str(file), b"", _call_of(name, "double", 21)))
    try:
        assert pickle.loads(work(packed).body) == 42
        assert pickle.loads(work(packed).body) == 42
    finally:
        del sys.modules[name]


def _call_of(module: str, function: str, argument: int) -> bytes:
    """Return a pickled call of a function in a module that is not loaded yet."""
    return b"c%s\n%s\n(I%d\nt}\x87." % (module.encode(), function.encode(), argument)


PROGRAM = """
import os
import trouper

wf = trouper.Workflow("program")


@wf.task(executor="process")
def crunch() -> int:
    return os.getpid()


if __name__ == "__main__":
    print(trouper.run(wf).unwrap()["crunch"] != os.getpid())
"""


def test_a_program_may_be_run_as_a_script_and_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "some-program.py"
    file.write_text(PROGRAM)
    for command in ([], ["-m", "trouper", "run", "--json"]):
        ended = subprocess.run(
            [sys.executable, *command, str(file)],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout


def test_a_program_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """It is imported by the worker: without this, it would run in there once more."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.replace('if __name__ == "__main__":', "if True:"))
    ended = subprocess.run(
        [sys.executable, str(file)], capture_output=True, timeout=PATIENCE, check=False, text=True
    )
    assert ended.returncode == 1
    assert (
        "no worker process for 'crunch' could start: 'program' would run once more" in ended.stderr
    )
    assert 'put what it does under `if __name__ == "__main__":`' in ended.stderr
