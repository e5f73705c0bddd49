"""`trouper run ... | head`: what happens when nobody reads the output any more."""

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects
from harness.command import COMMAND, PATIENCE, write
from trouper.runtime._cli_plain import PlainView, wait_until_unread


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def beating() -> trouper.Workflow:
    wf = trouper.Workflow("unread")

    @wf.actor
    async def beat(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        async for n in ctx.every(0.1):
            await ctx.send(n)

    wf.actor(name="sink", depends_on="beat")(collects([]))
    return wf


async def test_the_run_is_drained_when_nobody_reads(autojump_clock: MockClock) -> None:
    view = PlainView(Broken())
    async with beating().open() as run:
        await view.watch(run)
        assert (await run.wait()).ok
    view.say("into the void")


async def test_a_reader_that_leaves_is_noticed_before_the_next_line(mock_clock: MockClock) -> None:
    """The clock stands still: no status line ever comes that could find out."""
    read, unread = os.pipe()
    with os.fdopen(unread, "w") as stream:
        async with beating().open() as run, trio.open_nursery() as nursery:
            nursery.start_soon(PlainView(stream).watch, run)
            await wait_all_tasks_blocked()
            assert b"started, 2 nodes" in os.read(read, 1000)
            assert run.status().status == "running"
            os.close(read)
            assert (await run.wait()).ok


@pytest.mark.parametrize("kind", ["file", "text", "closed", "both ends"])
async def test_what_is_no_pipe_never_counts_as_unread(kind: str, tmp_path: Path) -> None:
    """Nor one that this process could read itself: there is data in it, but nobody has left."""
    stream: Any = io.StringIO()
    if kind == "both ends":
        os.mkfifo(tmp_path / "fifo")
        stream = os.fdopen(os.open(tmp_path / "fifo", os.O_RDWR), "w+b", buffering=0)
        stream.write(b"to be read")
    elif kind != "text":
        stream = (tmp_path / "file").open("w")
        if kind == "closed":
            stream.close()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_until_unread, stream)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            scope.cancel()
    stream.close()


def test_no_reader_at_all(tmp_path: Path) -> None:
    read, unread = os.pipe()
    os.close(read)
    command = [*COMMAND, "check", str(write(tmp_path))]
    try:
        done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(unread)
    assert (done.returncode, done.stderr) == (1, b"")


def test_head_ends_a_run(tmp_path: Path) -> None:
    """`trouper run ... | head -1`: it drains, and Python does not complain at its end."""
    command = [*COMMAND, "run", str(write(tmp_path)), "--override", "endless=true"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=PATIENCE) in (0, 1)
    assert errors == b""
