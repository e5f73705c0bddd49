"""Blocking task bodies, each in a worker thread of its own choice."""

import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

import trio

T = TypeVar("T")

log = logging.getLogger("trouper")

# Not trio's limiter of 40: tasks that wait for each other in threads would exhaust it.
_NO_LIMIT = math.inf


async def call_in_thread(fn: Callable[..., T], *args: Any, name: str, budget: float) -> T:
    """Return `fn(*args)`, called in a worker thread with the context variables of this task.

    If cancelled, the thread gets `budget` seconds to end (`trio.from_thread.check_cancelled()`
    tells it); then it is abandoned, and a warning names it.
    """
    done = trio.Event()
    scope = trio.CancelScope(shield=True)
    results: list[T] = []
    errors: list[Exception] = []

    async def work() -> None:
        limiter = trio.CapacityLimiter(_NO_LIMIT)
        with scope:
            try:
                value = await trio.to_thread.run_sync(
                    fn, *args, thread_name=name, abandon_on_cancel=True, limiter=limiter
                )
                results.append(value)
            except Exception as error:  # carried out of the nursery bare, not in a group
                errors.append(error)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        try:
            await done.wait()
        except trio.Cancelled:
            scope.deadline = trio.current_time() + budget
            with trio.CancelScope(shield=True):
                await done.wait()
            if scope.cancelled_caught:
                log.warning(
                    "thread of %s ignored its cancel for %g s and is abandoned", name, budget
                )
            raise
    if errors:
        raise errors.pop()
    return results[0]
