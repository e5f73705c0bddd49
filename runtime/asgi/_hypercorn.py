"""Hear in a worker process of hypercorn that it is to shut down.

Its first process hears the signals, and tells its workers by an event of `multiprocessing`, which
each of them looks at ten times a second. They have it as an argument; an app is not told.

A second signal sets the event once more, which does not show. But whoever sets it also wakes
those who wait, and takes away what is left of waits that were given up: so such a rest is left
here, and when it is gone, there was a second one. Nobody ever waits, and so nobody is waited for.
"""

import sys
from collections.abc import Callable
from typing import Any

import anyio

LOOK = 0.1
"""Seconds between two looks, as hypercorn itself has it."""


def shutdown_event() -> Any:
    """Return the event; None: this is no worker of hypercorn, or of one that has it elsewhere."""
    module = sys.modules.get("multiprocessing.process")
    if module is None:
        return None
    arguments = getattr(module.current_process(), "_kwargs", {})
    event = arguments.get("shutdown_event")
    return event if callable(getattr(event, "is_set", None)) else None


async def wait_shutdown(event: Any) -> None:
    """Wait until it is set."""
    while not event.is_set():  # noqa: ASYNC110  # of another process: it wakes nobody
        await anyio.sleep(LOOK)


async def wait_shutdown_again(event: Any, ended_by_server: Callable[[], int]) -> None:
    """Wait until it is set once more; for ever, where that can't be told.

    Args:
        ended_by_server: how often hypercorn has told this worker alone to end: at once after it has
            set the event because another worker has crashed, which is no signal.
    """
    while True:
        rest = Rest(event)
        told = ended_by_server()
        while not rest.is_gone():
            told = ended_by_server()
            await anyio.sleep(LOOK)
        await anyio.sleep(LOOK)
        if ended_by_server() == told:
            return


class Rest:
    """What is left of a wait for the event that was given up."""

    def __init__(self, event: Any) -> None:
        self._condition: Any = None
        try:
            self._condition, self._woken = event._cond, event._cond._woken_count
        except AttributeError:  # a Python that keeps no count of waits there
            return
        with self._condition:
            self._condition.wait(0)

    def is_gone(self) -> bool:
        """Return whether the event was set since."""
        if self._condition is None:
            return False
        with self._condition:
            is_there = self._woken.acquire(False)
            if is_there:
                self._woken.release()
            return not is_there
