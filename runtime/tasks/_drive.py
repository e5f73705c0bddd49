"""Run a coroutine in context variables of its own, without a trio task of its own.

That would cost ten times as much as a call that need not wait.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def drive(run: Callable[..., Any], body: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Return what `body` returns; each step runs by `run`, that of a `contextvars.Context`."""
    try:
        trap = run(body.send, None)
    except StopIteration as end:
        value: T = end.value
        return value
    return (yield from _go_on(run, body, trap))


def _go_on(
    run: Callable[..., Any], body: Coroutine[Any, Any, T], trap: Any
) -> Generator[Any, Any, T]:
    """Do the same, from the first wait of `body` on: `trap` is what it waits for."""
    step: Callable[[Any], Any]
    while True:
        try:
            given = yield trap
            step = body.send
        except BaseException as error:  # a cancel, thrown in where the body waits
            given, step = error, body.throw
        try:
            trap = run(step, given)
        except StopIteration as end:
            value: T = end.value
            return value


go_on = types.coroutine(_go_on)
