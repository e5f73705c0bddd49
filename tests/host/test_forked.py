"""A run that is open when the process is forked: the child has none of its threads."""

import subprocess
import sys
from pathlib import Path

# Forked in a program of its own: newer Pythons warn where there are threads.
BLOCKING = """
import os, sys, threading
import trouper

workflow = trouper.Workflow("echo")

@workflow.actor
async def echo(ctx: trouper.ActorContext[None, None, int, int]):
    async for number in ctx:
        await ctx.reply(number)
        yield number

def refused(name, use):
    try:
        use()
    except RuntimeError as error:
        print(name, "refused:", error, flush=True)

def in_child():
    refused("ask", lambda: run.ask(1, to="echo"))
    refused("send", lambda: run.send(1, to="echo"))
    refused("next", lambda: next(stream))
    refused("status", run.status)
    refused("drain", run.drain)
    refused("wait", run.wait)
    refused("cancel", run.cancel)
    with trouper.open_blocking(workflow) as own:
        print("its own answers", own.ask(3, to="echo"), flush=True)

child = 0
try:
    with trouper.open_blocking(workflow) as run, run.stream("echo") as stream:
        assert (run.ask(1, to="echo"), next(stream)) == (1, 1)
        child = os.fork()
        if not child:
            in_child()
            raise KeyError("leaves the child's block")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        print("the parent's answers", run.ask(2, to="echo"), flush=True)
    print("the parent's", run.wait().status, flush=True)
except KeyError as error:
    print(error, flush=True)
    sys.exit(5)
"""


def test_a_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    """X6: nothing hangs in the child, nor when it leaves the block; it may open a run itself."""
    program = tmp_path / "program.py"
    program.write_text(BLOCKING)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    uses = ["ask", "send", "next", "status", "drain", "wait", "cancel"]
    assert [line.split()[0] for line in lines[:7]] == uses
    assert all("open one here, after the fork" in line for line in lines[:7])
    assert lines[7:] == [
        "its own answers 3",
        '"leaves the child\'s block"',
        "the parent's answers 2",
        "the parent's completed",
    ]
