"""Hear in a worker process of hypercorn that it is to shut down.

Its first process hears the signals, and tells its workers by an event of `multiprocessing`, which
each of them looks at ten times a second. They have it as an argument; an app is not told.
"""

import sys
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
