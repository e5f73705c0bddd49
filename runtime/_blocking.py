"""Run a workflow from synchronous code, with Ctrl-C as people expect it.

First Ctrl-C: drain within a budget. Second: cancel. Third: exit 130 at once.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import sniffio
import trio

from ..actors._profile_config import ProfileConfig
from ..actors._run_context import RunContext
from ._execution import Execution
from ._report import WorkflowResult
from ._run import DRAIN_BUDGET, Run
from ._workflow import Workflow

EXIT_INTERRUPTED = 130


def run(
    workflow: Workflow,
    *,
    run_context: RunContext | None = None,
    profile_config: ProfileConfig | Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    deps: Any = None,
    state: Any = None,
    duration: float | None = None,
    drain_budget: float = DRAIN_BUDGET,
    on_start: Callable[[Run], Any] | None = None,
) -> WorkflowResult:
    """Run a workflow to its end and return how it ended; never raises for a failed node.

    Args:
        duration: seconds after which the run is drained; None: until it ends by itself.
        drain_budget: seconds that a drain may take (after `duration`, or Ctrl-C).
        on_start: called once with the live handle when the run has started; if it gives back a
            coroutine, that runs beside the graph and is cancelled at its end.
        run_context, profile_config, config, deps, state: as in `Workflow.execute`.

    Raises:
        GraphError: the graph can't run.
        RuntimeError: an event loop already runs in this thread; the text names the awaitable form.
    """
    _refuse_inside_a_loop(workflow)
    if duration is not None and not duration >= 0:
        raise ValueError(f"duration must be >= 0 s or None, got {duration!r}")
    execution = workflow.prepare(
        run_context=run_context,
        profile_config=profile_config,
        config=config,
        deps=deps,
        state=state,
    )

    async def main() -> WorkflowResult:
        with _interrupts() as interrupted:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch_interrupts, execution, interrupted, drain_budget)
                if duration is not None:
                    nursery.start_soon(_drain_after, execution, duration, drain_budget)
                if on_start is not None:
                    nursery.start_soon(_beside, on_start, Run(execution))
                await execution.run()
                nursery.cancel_scope.cancel()
        return execution.result()

    return trio.run(main)


def _refuse_inside_a_loop(workflow: Workflow) -> None:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    raise RuntimeError(
        f"trouper.run() blocks, and {library} already runs in this thread; write "
        f"`await wf.execute(...)` for {workflow.name!r} instead"
    )


async def _drain_after(execution: Execution, duration: float, budget: float) -> None:
    with trio.move_on_after(duration):
        await execution.finished.wait()
    await execution.drain(budget)


async def _beside(on_start: Callable[[Run], Any], handle: Run) -> None:
    beside = on_start(handle)
    if beside is not None:
        await beside


@contextmanager
def _interrupts() -> Generator[trio.MemoryReceiveChannel[int], None, None]:
    """Turn SIGINT and SIGTERM into messages; only the main thread gets signals."""
    send, receive = trio.open_memory_channel[int](8)
    if threading.current_thread() is not threading.main_thread():
        yield receive
        return
    token = trio.lowlevel.current_trio_token()
    count = 0

    def handle(number: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count >= 3:
            sys.stderr.write("\ninterrupted three times: leaving at once\n")
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED)
        token.run_sync_soon(send.send_nowait, count)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield receive
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _watch_interrupts(
    execution: Execution, interrupted: trio.MemoryReceiveChannel[int], budget: float
) -> None:
    async with trio.open_nursery() as nursery:
        async for count in interrupted:
            execution.interrupted = True
            if count == 1:
                sys.stderr.write("\ndraining; once more to cancel\n")
                nursery.start_soon(execution.drain, budget)
            else:
                execution.cancel("interrupted twice")


run.__module__ = "trouper"
