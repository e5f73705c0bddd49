"""A call on behalf of a client is given up when the client goes."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request

LOOK = 0.1
"""Seconds until it is asked again for a disconnect that was told something else."""


async def while_there(request: Request, call: Callable[[], Awaitable[Any]]) -> Any:
    """Await a call and return what it gives, unless the client goes before; the body was read.

    Raises:
        ClientDisconnect: it has gone; the call was cancelled.
        Exception: what the call raised.
    """
    value: Any = None
    error: Exception | None = None
    is_done = False

    async def watch() -> None:
        # What is in front of a server may tell the body once more, or each time that it is asked,
        # and so at once: then nothing else in the loop would have its turn.
        while (await request.receive())["type"] != "http.disconnect":  # noqa: ASYNC110  # no event
            await anyio.sleep(LOOK)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            value = await call()
        except Exception as caught:  # kept, so that it leaves in no group
            error = caught
        is_done = True
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    if not is_done:
        raise ClientDisconnect
    return value
