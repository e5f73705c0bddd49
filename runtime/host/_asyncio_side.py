"""An asyncio loop as trio sees it: the host's own, or one in a thread beside trio."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

from ._asyncio_job import Job
from ._far import Queue
from ._raising import raise_error

log = logging.getLogger("trouper")

LAST = 1.0
"""Seconds that a task has after its second cancel."""
LOOK = 0.2
"""Seconds between two looks whether the host's loop is closed."""


class LoopClosed(RuntimeError):
    """The asyncio loop that was to run something is closed."""


class AsyncioSide:
    """Runs coroutines and generators in an asyncio loop for tasks in trio, where it is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._is_here = _running_loop() is loop
        """Whether trio is a guest in it: both are in one thread."""
        self._there = Queue(self._wake_there)
        self._here = Queue(trio.lowlevel.current_trio_token().run_sync_soon)
        self.under_way: set[Job] = set()
        self.is_ending = False
        """Whether it begins nothing more: its loop ends what is left there. Set in its thread."""

    def _wake_there(self, run: Callable[[], None]) -> None:
        if self._is_here:
            self.loop.call_soon(run)
        else:
            self.loop.call_soon_threadsafe(run)

    def post(self, job: Callable[[], object]) -> None:
        """Run a function there soon; nothing if the loop is closed, which `watch` tells of."""
        with suppress(RuntimeError):
            self._there.post(job)

    def home(self, job: Callable[[], object]) -> None:
        """Run a function in trio soon, from there; nothing if that has ended."""
        with suppress(trio.RunFinishedError):
            self._here.post(job)

    def start(self, job: Job) -> None:
        """Start a job there.

        Raises:
            LoopClosed: it would never run.
        """
        if self.is_ending or self.loop.is_closed():
            raise self.closed(job)
        self.under_way.add(job)
        self.post(job.start)

    async def run(self, job: Job) -> Any:
        """Run a job and return its value; a cancel crosses, and waits for the end there.

        Raises:
            LoopClosed: the loop is closed, or was closed meanwhile.
            BaseException: what it raised, also in the clean-up after a cancel.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self.start(job)
        try:
            await job.wait()
        except trio.Cancelled:
            await self.cut(job)
            raise_error(job)
            raise
        finally:
            self.under_way.discard(job)
        raise_error(job)
        return job.value

    async def cut(self, job: Job) -> None:
        """Cancel a job, and wait for its end. One that does not end is abandoned, and named."""
        terms = job.terms
        with trio.CancelScope(shield=True):
            for seconds in (terms.shutdown, LAST):
                self.post(job.cancel)
                with trio.move_on_after(seconds):
                    await job.wait()
                if job.has_ended:
                    return
        log.warning(
            "%s ignored its cancel in asyncio for %g s and is abandoned; let CancelledError pass, "
            "or allow its clean-up more with shutdown=",
            terms.name,
            terms.shutdown,
        )

    async def watch(self) -> None:
        """Tell all who wait when the loop was closed under them. Runs as long as trio does."""
        while not self.loop.is_closed():  # noqa: ASYNC110  # there is no event for it
            await trio.sleep(LOOK)
        self.lose_all()

    def lose_all(self) -> None:
        """Tell all who wait that the loop is closed."""
        for job in tuple(self.under_way):
            job.lose(self.closed(job))

    def closed(self, job: Job) -> LoopClosed:
        """Return the error of a job whose loop is no more."""
        return LoopClosed(
            f"the asyncio loop that runs {job.terms.name} is closed; leave the block of "
            "`trouper.open(...)` before the loop is closed, and let nothing that runs there stop it"
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
