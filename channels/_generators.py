"""Async generators that loops read: they may be left at any yield, by `break` or for good.

A loop over a generator is the fastest there is. But a generator is over once a cancel has gone
through it, and who asks it again is told that all was read. A loop never asks again; who has called
`aiter` himself may, as in `with trio.move_on_after(1): await anext(messages)`.
"""

import dis
import inspect
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_GET_AITER = dis.opmap.get("GET_AITER")


def is_asked_by_loop() -> bool:
    """Return, to an `__aiter__`, whether an `async for` asks: nobody else gets hold of that."""
    here = inspect.currentframe()
    asker = here and here.f_back and here.f_back.f_back
    del here  # a frame that holds itself would keep all the others until it is collected
    return asker is not None and asker.f_code.co_code[asker.f_lasti] == _GET_AITER


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
