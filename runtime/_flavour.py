"""How a body runs: in place, awaited, or iterated. What it says counts as well as what it is.

A plain function that is annotated `-> AsyncIterator[T]` or `-> Awaitable[T]` hands over the
iterator or coroutine of another one; protocols and decorators make such functions.
"""

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
)
from typing import Any, Literal, get_args, get_origin

Flavour = Literal["sync", "generator", "coroutine", "awaitable", "stream"]
"""`generator` is a plain one, which nothing here can use; `stream` is iterated with `async for`."""

_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable)
_RESULT_AT: dict[object, int] = {Awaitable: 0, Coroutine: 2}


def flavour_of(function: Callable[..., Any], returns: object) -> Flavour:
    """Return how `function` runs; `returns` is its resolved return annotation."""
    declared = get_origin(returns) or returns
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    if inspect.isasyncgenfunction(function) or declared in _STREAMS:
        return "stream"
    if declared in _RESULT_AT:
        return "awaitable"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


def result_type(flavour: Flavour, returns: object) -> object:
    """Return the type of one result, or of one yielded value; `Any` where nothing tells."""
    args, declared = get_args(returns), get_origin(returns) or returns
    if flavour == "stream":
        return args[0] if args and declared in _STREAMS else Any
    if flavour == "awaitable":
        return args[_RESULT_AT[declared]] if args else Any
    return returns
