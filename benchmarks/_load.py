"""What the actors of a benchmark share: how much to send, when to begin, and the stopwatch."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import process_time
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

import trouper


class Load:
    """Given to all actors of one run as `ctx.deps`, and to the tasks of a peer."""

    def __init__(self, messages: int, *, payload: Any = None, expected: int | None = None) -> None:
        self.messages = messages
        self.payload: Any = payload
        """Sent instead of 0, 1, 2, ... if it is not None."""
        self.expected = messages if expected is None else expected
        """Messages that must arrive; a benchmark that loses some measures nothing."""
        self.received = 0
        self.started_at = self.ended_at = 0.0
        self._gate = trio.Event()

    def stream(self) -> Any:
        """Return what a source sends."""
        if self.payload is None:
            return range(self.messages)
        return (self.payload for _ in range(self.messages))

    async def opened(self) -> None:
        """Wait until every task has started."""
        await self._gate.wait()

    def go(self) -> None:
        self._gate.set()
        self.started_at = process_time()

    def arrived(self, count: int) -> None:
        """A sink has reached its end after `count` messages."""
        self.received += count
        self.ended_at = process_time()

    def ns_per(self, operations: int) -> float:
        """Return nanoseconds per operation; refuses a run that lost or doubled messages."""
        if self.received != self.expected:
            raise RuntimeError(f"{self.received} messages arrived, not {self.expected}")
        return (self.ended_at - self.started_at) / operations * 1e9


async def _gated(run: Callable[[], Awaitable[Any]], load: Load) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        load.go()


async def _execute(workflow: trouper.Workflow, load: Load) -> None:
    (await workflow.execute(deps=load)).unwrap()


def time_workflow(workflow: trouper.Workflow, load: Load, operations: int) -> float:
    """Run a workflow whose sources wait for `load.opened()`; return ns per operation."""
    trio.run(_gated, partial(_execute, workflow, load), load)
    return load.ns_per(operations)


def time_tasks(run: Callable[[], Awaitable[Any]], load: Load, operations: int) -> float:
    """The same for a peer on trio: `run` is a function that runs all of its tasks."""
    trio.run(_gated, run, load)
    return load.ns_per(operations)
