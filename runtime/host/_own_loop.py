"""An asyncio loop in a thread of its own, for bridges where no asyncio program is the host."""

import asyncio
import logging
import threading

import trio

from ._asyncio_side import AsyncioSide

log = logging.getLogger("trouper")

BUDGET = 5.0
"""Seconds that what is left in the loop has to end when the run has."""
PATIENCE = 10.0
"""Seconds that the end of the loop's thread is waited for."""


class OwnLoop:
    """Made in trio, with the first bridge that needs it; closed there when the run has ended.

    What runs there may end it before: by `loop.stop()`, or with a task that raises `SystemExit`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.side = AsyncioSide(self._loop)
        self._over = trio.Event()
        # A daemon, for one that hangs for ever must not keep the interpreter.
        self._thread = threading.Thread(target=self._run, name="trouper asyncio", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._run_to_its_end()
            self.side.is_ending = True
            self._loop.run_until_complete(_end_all())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
            self.side.home(self._note_over)

    def _run_to_its_end(self) -> None:
        try:
            self._loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:  # of a task that nobody in trio waits for
            log.warning("a task in the run's asyncio loop has ended the loop by %r", error)

    def _note_over(self) -> None:
        """Hear of the loop's end, in trio."""
        self.side.lose_all()  # none is left unless the loop has ended of its own accord
        self._over.set()

    @property
    def is_ending(self) -> bool:
        """Whether it runs nothing more."""
        return self.side.is_ending

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return self._over.is_set()

    async def close(self) -> None:
        """End what is left there, and the thread; one that hangs is abandoned, and named."""
        self.side.post(self._stop)
        with trio.move_on_after(PATIENCE) as scope:
            await self._over.wait()
        if scope.cancelled_caught:
            log.warning("the thread of asyncio blocks for %g s and is abandoned", PATIENCE)
        else:
            self._thread.join()

    def _stop(self) -> None:
        if not self.is_ending:  # else it has ended before, and what is left there ends now
            self._loop.stop()


async def _end_all() -> None:
    """End tasks that somebody has started there and left, and what belongs to the loop."""
    loop = asyncio.get_running_loop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, deaf = await asyncio.wait(left, timeout=BUDGET)
        for task in deaf:
            log.warning("%s ignored its cancel for %g s and is abandoned", task, BUDGET)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
