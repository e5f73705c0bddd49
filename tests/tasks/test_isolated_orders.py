"""The orders that a run in a process of its own is given, at awkward moments."""

import socket
from pathlib import Path
from typing import cast

import pytest
import trio

import trouper
from harness.hosts import until
from trouper.runtime.tasks import _isolated_child
from trouper.runtime.tasks._run import TaskRun

env = trouper.TaskEnvironment("ordered")


@env.task
async def waits(ballast: bytes) -> None:
    assert ballast
    await trio.sleep_forever()


async def test_an_abort_that_comes_while_it_is_told_what_to_do_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a socket holds: what it is told takes until its process has started."""
    monkeypatch.chdir(tmp_path)
    isolated = trouper.with_runcontext(isolate="process")
    with trio.fail_after(60):
        async with isolated.open(waits, bytes(4 << 20)) as run:
            run.abort("enough")
    assert (run.phase, run.reason) == ("cancelled", "enough")


async def test_an_order_may_be_cut_within_a_character() -> None:
    """X6: its process died of it, with the run half done."""
    reasons: list[str] = []
    ours, theirs = socket.socketpair()

    class Run:
        def abort(self, reason: str) -> None:
            reasons.append(reason)

    with ours:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_isolated_child._obey, cast("TaskRun", Run()), theirs)
            ours.sendall(("a" + "é" * 2_500).encode())
            await until(lambda: sum(map(len, reasons)) > 2_500)
            nursery.cancel_scope.cancel()
    assert reasons[0].startswith("aé")
