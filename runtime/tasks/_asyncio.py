"""A run awaited under asyncio: it goes on in a thread, because only trio can run it."""

from collections.abc import Callable

from ..host._asyncio_of_run import host_loop
from ._run import TaskRun


async def run_beside_asyncio(run: TaskRun, run_blocking: Callable[[], None]) -> None:
    """Await a run; a cancel of this task cancels the run, and waits for its end."""
    import asyncio  # slow, and of use only to those who have it anyway

    token = host_loop.set(asyncio.get_running_loop())
    thread = asyncio.ensure_future(asyncio.to_thread(run_blocking))
    host_loop.reset(token)
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        run.abort("the asyncio task that awaited it was cancelled")
        await asyncio.wait([thread])
        raise
