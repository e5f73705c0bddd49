"""What `trouper run` prints where nobody looks on: one line for each thing that happens."""

import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TextIO

import trio

from ._cli_rates import Rates
from ._cli_text import count, plain, rate
from ._report import NodeReport, StatusReport
from ._run import LiveRun

PACE = 5.0
"""Seconds between two status lines."""
_NODES = 6
"""Most nodes on one line."""


class PlainView:
    """Lines on a stream. When nobody reads it any more, the run is drained."""

    last_words = b""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_broken = False

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to put back."""

    def say(self, line: str) -> None:
        """Print one harmless line at once."""
        if self._is_broken:
            return
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError:  # `trouper run ... | head`
            self._is_broken = True

    async def watch(self, run: LiveRun) -> None:
        """Say that it starts, and every few seconds where it stands. Runs until it is cancelled."""
        status = run.status()
        rates = Rates(status.nodes)
        self.say(
            f"run {plain(run.name)} of {plain(status.workflow)}: started, "
            f"{count(len(status.nodes), 'node')}; Ctrl-C drains it"
        )
        await self.follow(lambda: status_line(run.status(), rates))
        await run.drain()

    async def follow(self, look: Callable[[], str]) -> None:
        """Say what `look` gives, every few seconds. Ends when nobody reads it any more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notice_that_nobody_reads, nursery.cancel_scope)
            while not self._is_broken:
                await trio.sleep(PACE)
                self.say(look())
            nursery.cancel_scope.cancel()

    async def _notice_that_nobody_reads(self, scope: trio.CancelScope) -> None:
        await wait_until_unread(self._stream)
        self._is_broken = True
        scope.cancel()


async def wait_until_unread(stream: TextIO) -> None:
    """Return when the reader of a pipe has gone; wait for ever if `stream` is no pipe."""
    with suppress(OSError, ValueError):  # it may have no descriptor, or none that can be waited for
        descriptor = stream.fileno()
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            # There is nothing to read at this end: what wakes it is that the other one was closed.
            await trio.lowlevel.wait_readable(descriptor)
            poll = select.poll()
            poll.register(descriptor, 0)
            if poll.poll(0):
                return
    await trio.sleep_forever()


def status_line(status: StatusReport, rates: Rates) -> str:
    """Return one line: the busiest nodes, and what went wrong so far."""
    per_second = rates.look(status.seconds, status.nodes)
    busiest = sorted(status.nodes.values(), key=lambda node: -sum(per_second[node.name]))
    chosen = {node.name for node in busiest[:_NODES]}
    parts = [
        _node(node, *per_second[node.name]) for node in status.nodes.values() if node.name in chosen
    ]
    if len(busiest) > len(chosen):
        parts.append(f"{len(busiest) - len(chosen)} more")
    restarts = sum(restarts_of(node) for node in status.nodes.values())
    return (
        f"[{status.seconds:6.1f} s] {status.status}: {', '.join(parts)}; "
        f"{count(restarts, 'restart')}, {count(status.dead_letters, 'dead letter')}"
    )


def _node(node: NodeReport, received: float, sent: float) -> str:
    state = "" if node.state == "running" else f" {node.state}"
    depth = f" depth {node.depth:,}" if node.depth else ""
    return f"{plain(node.name)}{state} {rate(received or sent)}{depth}"


def restarts_of(node: NodeReport) -> int:
    """Return how many incarnations came after the first."""
    return max(0, node.incarnation - 1)
