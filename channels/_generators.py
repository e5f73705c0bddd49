"""Async generators that may be left at any yield, by `break` or for good."""

import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def started(messages: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Bring a generator to its first yield, without telling trio or asyncio of it.

    Both look after generators that are left by `break` and collected: trio warns, asyncio starts a
    task to close each. One that has nothing to close needs neither.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        with suppress(StopIteration):
            messages.asend(None).__await__().send(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return messages
