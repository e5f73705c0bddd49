"""Task orders that hypothesis draws.

trio registers a hypothesis plugin of its own: once hypothesis is imported, trio sorts and shuffles
each batch of runnable tasks with one random generator, which hypothesis seeds before every example.
With the same seed, always: only `st.random_module()` draws another one. So a test that draws
`schedules()` runs under another task order in each example, repeats and shrinks, with nothing
private used by us.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

needs_drawn_orders = pytest.mark.skipif(
    "TROUPER_WAKE_ORDER" in os.environ, reason="TROUPER_WAKE_ORDER holds all runs to one order"
)


def schedules() -> st.SearchStrategy[Any]:
    """Draw an order of tasks: `@given(schedule=schedules())`. The value itself is of no use.

    Draw it before the run begins; it holds for all that the example runs.
    """
    return st.random_module()


def run_on_mock_clock(async_fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run one example on a clock that jumps: fixtures can't be fresh for each example."""
    return trio.run(async_fn, *args, clock=MockClock(autojump_threshold=0))
