"""Waits of asyncio tasks that no cancel may cut short: for the end of what another thread does.

Such a wait may be cancelled again and again. An anyio scope does it in each round of the loop, as
long as one of its tasks goes on, and so the loop never runs dry.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ._give_way import Pauses


async def outlast(
    future: "asyncio.Future[Any]", on_cancel: Callable[[], object], *, gives_way: bool
) -> None:
    """Wait until a future is done, whatever happens; a cancel meanwhile is raised after that.

    Args:
        on_cancel: called at the first cancel of the task that waits. Not at each: there may be more
            of them than another thread can keep up with.
        gives_way: whether that is what another thread does, which has to come by the interpreter's
            lock for it.

    Raises:
        BaseException: what the future has ended with.
        asyncio.CancelledError: this task was cancelled meanwhile.
    """
    cancelled: asyncio.CancelledError | None = None
    pauses = Pauses()
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            if cancelled is None:
                cancelled = error
                on_cancel()
            if gives_way:
                pauses.pause()
    future.result()
    if cancelled is not None:
        try:
            raise cancelled  # itself: its message tells anyio whose it is
        finally:
            del cancelled  # it holds this frame
