"""What type checkers know of tasks of environments. Nothing here runs; `make lint` checks it.

An ignored error is one that has to be there: mypy refuses an ignore without one.
"""

from collections.abc import AsyncIterator
from typing import assert_type

import trouper

env = trouper.TaskEnvironment("typed")


@env.task
async def plain(n: int) -> str:
    return str(n)


@env.task(retries=3, timeout=2.0)
async def with_options(n: int, *, key: str = "") -> str:
    return key * n


@env.task
async def with_context(ctx: trouper.TaskContext[None, None, None], n: int) -> float:
    return float(n)


@env.task
def sync(n: int) -> list[int]:
    return [n]


@env.task
def sync_with_context(ctx: trouper.TaskContext[None, None, None], n: int) -> list[int]:
    return [n]


@env.task
async def stream(n: int) -> AsyncIterator[int]:
    yield n


async def calls() -> None:
    assert_type(await plain(1), str)
    assert_type(await with_options(1, key="a"), str)
    # A task that takes its context is called without it.
    assert_type(await with_context(1), float)
    assert_type(await sync.aio(1), list[int])
    assert_type(await sync_with_context.aio(1), list[int])
    assert_type([n async for n in stream(1)], list[int])

    await plain("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await with_options(1, "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def calls_from_a_thread() -> None:
    assert_type(sync(1), list[int])
    assert_type(plain.wait(1), str)
    assert_type(list(stream(1)), list[int])


def options() -> None:
    env.task(retires=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    trouper.with_runcontext(project="p", labels={"a": "b"})
    trouper.with_runcontext(projet="p")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    trouper.with_runcontext("bogus")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
