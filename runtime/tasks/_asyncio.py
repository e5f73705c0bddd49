"""A run awaited under asyncio: it goes on in a thread, because only trio can run it."""

from collections.abc import Callable
from contextvars import copy_context
from functools import partial

from ..host._asyncio_of_run import host_loop
from ._run import TaskRun


async def run_beside_asyncio(run: TaskRun, run_blocking: Callable[[], None]) -> None:
    """Await a run; a cancel of this task cancels the run, and waits for its end."""
    import asyncio  # slow, and of use only to those who have it anyway

    from ..host._outlast import outlast

    loop = asyncio.get_running_loop()
    token = host_loop.set(loop)
    # No `to_thread`, which would have to be a task: the end of the loop cancels each task of it.
    thread = loop.run_in_executor(None, copy_context().run, run_blocking)
    host_loop.reset(token)
    why = "the asyncio task that awaited it was cancelled"
    await outlast(thread, partial(run.abort, why), gives_way=True)
