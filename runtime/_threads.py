"""Blocking task bodies, each in a worker thread of its own choice."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import trio

T = TypeVar("T")

log = logging.getLogger("trouper")


class _Unlimited:
    """Stands for trio's limiter of 40, which tasks that wait for each other would exhaust.

    It never waits, so it knows whether a thread was started, and it hears when that thread ends,
    also if nobody waits for it any more.
    """

    def __init__(self) -> None:
        self.started = False
        self.ended = trio.Event()

    async def acquire_on_behalf_of(self, _borrower: object) -> None:
        self.started = True

    def release_on_behalf_of(self, _borrower: object) -> None:
        self.ended.set()


async def call_in_thread(fn: Callable[..., T], *args: Any, name: str, budget: float) -> T:
    """Return `fn(*args)`, called in a worker thread with the context variables of this task.

    If cancelled, the thread gets `budget` seconds to end (`trio.from_thread.check_cancelled()`
    tells it); then it is abandoned, and a warning names it.
    """
    thread = _Unlimited()
    try:
        # Abandoned as far as trio goes: a call that trio waits for could not be left after a while.
        boxed = await trio.to_thread.run_sync(
            # In a list, because trio refuses to hand a coroutine on.
            lambda: [fn(*args)],
            thread_name=name,
            abandon_on_cancel=True,
            limiter=cast("trio.CapacityLimiter", thread),
        )
    except trio.Cancelled:
        if thread.started:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + budget):
                await thread.ended.wait()
            if not thread.ended.is_set():
                log.warning(
                    "thread of %s ignored its cancel for %g s and is abandoned", name, budget
                )
        raise
    return boxed[0]
