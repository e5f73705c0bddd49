"""Small bodies that many tests share. They take no part in a ledger."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

import trouper

Body = Callable[[Any], Any]


def counts(n: int, *, every: float = 0) -> Body:
    """Return an actor body that yields 0 to n - 1.

    Args:
        every: seconds between two of them.
    """

    async def counts(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(n):
            yield number
            if every:
                await trio.sleep(every)

    return counts


def collects(into: list[Any], *, seconds: float = 0) -> Body:
    """Return an actor body that appends what it gets.

    Args:
        seconds: how long it takes over each message.
    """

    async def collects(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            into.append(message)
            if seconds:
                await trio.sleep(seconds)

    return collects


def relays(*, seconds: float = 0) -> Body:
    """Return an actor body that passes every message on.

    Args:
        seconds: how long it takes over each message.
    """

    async def relays(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        async for message in ctx:
            if seconds:
                await trio.sleep(seconds)
            yield message

    return relays


def sleeps(seconds: float, value: Any = None) -> Body:
    """Return a task body that takes so long and returns `value`."""

    async def sleeps(ctx: trouper.TaskContext) -> Any:
        await trio.sleep(seconds)
        return value

    return sleeps


def fails(error: Exception, *, after: float = 0) -> Body:
    """Return a task body that raises `error`, after so many seconds."""

    async def fails(ctx: trouper.TaskContext) -> None:
        await trio.sleep(after)
        raise error

    return fails
