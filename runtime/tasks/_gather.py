"""`trouper.gather`: calls side by side, their results in order."""

from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import trio

from ...actors._pool import Pool
from ._calls import caller

R = TypeVar("R")


async def gather(*calls: Awaitable[R], return_exceptions: bool = False) -> list[Any]:
    """Return the results of calls that run side by side, in the order in which they are given.

    Args:
        calls: `process(1), process(2)`; any awaitables.
        return_exceptions: put a failure in the place of the result, and let the others go on.

    Raises:
        Exception: the first failure, bare; the other calls are cancelled then, and have ended.
    """
    side = _SideBySide(calls, return_exceptions=return_exceptions)
    try:
        async with trio.open_nursery() as nursery:
            action = caller()
            pace = None if action is None else action.calls.pace
            pool = Pool(nursery, copy_context(), pace)
            for at, call in enumerate(calls):
                pool.start(partial(side.one, at, call, nursery.cancel_scope), "gather")
    finally:
        # Those that a cancel has kept from beginning would warn that nobody awaits them.
        for call in calls:
            if isinstance(call, Coroutine):
                call.close()
    if side.failure is None:
        return side.results
    try:
        raise side.failure
    finally:
        del side


class _SideBySide:
    def __init__(self, calls: tuple[Awaitable[Any], ...], *, return_exceptions: bool) -> None:
        self.results: list[Any] = [None] * len(calls)
        self.failure: Exception | None = None
        self._return_exceptions = return_exceptions

    async def one(self, at: int, call: Awaitable[Any], scope: trio.CancelScope) -> None:
        try:
            self.results[at] = await call
        except Exception as error:
            if self._return_exceptions:
                self.results[at] = error
            elif self.failure is None:
                self.failure = error
                scope.cancel()
            else:
                self.failure.add_note(f"failed as well while it was cancelled: {error!r}")


gather.__module__ = "trouper"
