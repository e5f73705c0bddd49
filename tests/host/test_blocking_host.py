"""A run beside synchronous code: `with trouper.open_blocking(wf) as run:`."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

import trouper


def doubling() -> trouper.Workflow:
    workflow = trouper.Workflow("doubling")

    @workflow.actor
    async def double(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for number in ctx:
            if number < 0:
                raise ValueError(f"{number} is negative")
            yield number * 2

    @workflow.actor
    async def echo(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            ctx.set_result("last", number)
            await ctx.reply(number)

    return workflow


def test_messages_in_and_out() -> None:
    with trouper.open_blocking(doubling()) as run:
        with run.stream("double") as numbers:
            for number in range(1_000):
                run.send(number, to="double")
            assert [next(numbers) for _ in range(1_000)] == [n * 2 for n in range(1_000)]
        assert run.status().nodes["double"].received == 1_000
        assert run.ask(3, to="echo") == 3
        assert run.results == {"last": 3}
        assert run.drain().status == "completed"
    assert run.wait().outputs["double"] == 1_998
    assert run.has_ended
    with pytest.raises(trouper.NodeEnded) as caught:
        run.send(5, to="double")
    assert caught.value.payload == 5


def test_several_threads_share_one_run() -> None:
    with trouper.open_blocking(doubling()) as run, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: run.ask(n, to="echo"), range(200))) == list(range(200))


def test_a_stream_ends_with_the_run() -> None:
    with trouper.open_blocking(doubling()) as run, run.stream("double") as numbers:
        run.send(1, to="double")
        run.drain()
        assert list(numbers) == [2]


def test_errors_arrive() -> None:
    with trouper.open_blocking(doubling()) as run:
        with pytest.raises(trouper.AskFailed, match="-1 is negative"):
            run.ask(-1, to="double")
        with pytest.raises(ValueError, match="no node 'none'"):
            run.ask(1, to="none")
        with pytest.raises(RuntimeError, match="open another one"):
            run.__enter__()
        with pytest.raises(RuntimeError, match="loop over xs"):
            iter(run.stream("double"))


def test_nodes_can_be_controlled() -> None:
    with trouper.open_blocking(doubling()) as run:
        run.pause("echo")
        assert run.status().nodes["echo"].paused
        run.resume("echo")
        run.reconfigure("echo", capacity=7)
        run.stop("echo")
        run.kill("double")
        states = {name: node.state for name, node in run.status().nodes.items()}
    assert states["echo"] == "done"


def test_a_block_that_raises_cancels_the_run() -> None:
    with pytest.raises(KeyError), trouper.open_blocking(doubling()) as run:
        raise KeyError("mine")
    assert run.wait().status == "cancelled"
    assert not [each for each in threading.enumerate() if each.name == "trouper"]


def test_a_run_that_was_not_entered_takes_nothing() -> None:
    run = trouper.open_blocking(doubling())
    with pytest.raises(RuntimeError, match="has not begun"):
        run.send(1, to="double")
    with pytest.raises(RuntimeError, match="has not begun"):
        run.stream("double")


async def test_it_is_refused_where_a_loop_runs() -> None:
    with pytest.raises(RuntimeError, match="trio runs in this thread"):
        trouper.open_blocking(doubling())


async def test_under_trio_open_is_the_live_run_itself() -> None:
    async with trouper.open(doubling()) as run:
        assert isinstance(run, trouper.LiveRun)
        assert await run.ask(1, to="echo") == 1
    with pytest.raises(ValueError, match="no effect under trio"):
        trouper.open(doubling(), host="guest")


PROGRAM = """
import sys, trio, trouper
workflow = trouper.Workflow("careful")

@workflow.actor
async def careful(ctx):
    async for _ in ctx:
        try:
            await ctx.reply("runs")
            await trio.sleep_forever()
        finally:
            print("cleaned up", flush=True)

"""
LEFT_OPEN = """
run = trouper.open_blocking(workflow)
run.__enter__()
print(run.ask(1, to="careful"), flush=True)
"""
WAITING = """
with trouper.open_blocking(workflow) as run:
    print(run.ask(1, to="careful"), flush=True)
    run.wait()
"""


@pytest.mark.parametrize(("then", "code"), [("", 0), ("raise SystemExit(3)", 3)])
def test_an_interpreter_that_exits_lets_actors_clean_up(
    then: str, code: int, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + LEFT_OPEN + then)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (code, "runs\ncleaned up\n"), done.stderr


STARTED = """
import trouper
workflow = trouper.Workflow("counting")

@workflow.actor
async def count(ctx):
    async for number in ctx:
        print(number, flush=True)
    print("drained", flush=True)

run = trouper.open_blocking(workflow).start()
for number in range(100):
    run.send(number)
raise SystemExit(3)
"""


def test_a_run_that_was_started_without_a_block_is_drained_at_exit(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(STARTED)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )
    expected = [*map(str, range(100)), "drained"]
    assert (done.returncode, done.stdout.split()) == (3, expected), done.stderr


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "trouper"]


def test_a_run_without_a_block_ends_with_its_drain() -> None:
    """X6: its thread too, which nobody would end otherwise before the interpreter exits."""
    run = trouper.open_blocking(doubling()).start()
    assert run.ask(1, to="echo")
    (thread,) = threads()
    assert run.drain().status == "completed"
    thread.join(60)
    assert not thread.is_alive()
    assert run.wait().status == run.status().status == "completed"


def test_a_run_without_a_block_that_is_broken_off_says_so(caplog: pytest.LogCaptureFixture) -> None:
    workflow = trouper.Workflow("leaving")

    @workflow.actor
    async def leaving(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            raise SystemExit(number)

    run = trouper.open_blocking(workflow).start()
    (thread,) = threads()
    run.send(3)
    thread.join(60)
    assert run.has_ended
    assert f"run {run.name} was broken off: SystemExit(3)" in caplog.text


def test_ctrl_c_ends_a_wait_and_the_run(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + WAITING)
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert out == "cleaned up\n"
    assert "KeyboardInterrupt" in err


def test_functions_of_trio_can_be_called_there() -> None:
    async def there(text: str) -> str:
        await trio.lowlevel.checkpoint()
        return text

    with trouper.open_blocking(doubling()) as run:
        assert run.call_there(there, "in trio") == "in trio"


def test_its_clock_can_be_read_from_here() -> None:
    with trouper.open_blocking(doubling()) as run:
        assert run.status().seconds >= 0


def test_it_is_refused_where_the_actors_run() -> None:
    """An actor that used the handle would block the thread that has to answer it."""
    workflow, handles = trouper.Workflow("lost"), list[trouper.BlockingRun]()

    @workflow.actor
    async def lost(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            with pytest.raises(RuntimeError, match=r"in an actor use its own `ctx`") as caught:
                handles[0].ask(number, to="lost")
            await ctx.reply(str(caught.value))

    with trouper.open_blocking(workflow) as run:
        handles.append(run)
        assert "it would block those that it waits for" in run.ask(1, to="lost")


def test_a_stream_that_can_not_be_opened_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with trouper.open_blocking(doubling()) as run:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "getpid", lambda: -1)
            with pytest.raises(RuntimeError, match="was forked"), run.stream("double"):
                raise AssertionError("it was opened")
        run.send(1, to="double")
    assert run.result().status == "completed"
