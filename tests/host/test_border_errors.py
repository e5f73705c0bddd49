"""What fails on one side is raised on the other: once, and nothing holds on to it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Literal
from weakref import ref

import pytest
import trio

import trouper
from harness.hosts import HOSTS, Host, in_asyncio, opened, relaying, run_in, until

each_host = pytest.mark.parametrize("host", HOSTS)


class Failure(Exception):
    """A weak reference to it can be had."""


@contextmanager
def no_collection() -> Generator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def fail(_: int = 0) -> int:
    raise Failure


async def fails_late() -> AsyncIterator[int]:
    yield 1
    raise Failure


@pytest.mark.parametrize("host", ["thread", "guest"])
def test_the_error_of_a_call_lives_no_longer_than_its_handler(
    host: Literal["thread", "guest"],
) -> None:
    """Nor does what was on the way: a large question would stay until the collector looks."""

    alive: list[ref[Failure]] = []

    async def main() -> None:
        async with opened(relaying(), host) as run:
            with no_collection():
                try:
                    await run.call_there(fail)
                except Failure as error:
                    alive.append(ref(error))
                await until(lambda: alive[0]() is None)

    in_asyncio(main)


def test_the_error_of_a_blocking_call_lives_no_longer_than_its_handler() -> None:
    alive: list[ref[Failure]] = []
    with trouper.open_blocking(relaying()) as run, no_collection():
        try:
            run.call_there(fail)
        except Failure as error:
            alive.append(ref(error))
        assert alive[0]() is None


@each_host
def test_the_error_of_a_bridge_lives_no_longer_than_its_handler(host: Host) -> None:
    calls = trouper.asyncio_bridge(fail)
    workflow, alive = trouper.Workflow("failing"), list[ref[Failure]]()

    @workflow.task
    async def body() -> None:
        with no_collection():
            try:
                await calls()
            except Failure as error:
                alive.append(ref(error))
            with trio.fail_after(60):
                await until(lambda: alive[0]() is None)

    run_in(host, workflow).unwrap()


@each_host
def test_a_failure_that_was_handled_is_not_raised_again_at_the_end_of_the_block(host: Host) -> None:
    yields = trouper.asyncio_bridge(fails_late)
    workflow = trouper.Workflow("failing")

    @workflow.task
    async def body() -> list[int]:
        async with yields() as numbers:
            first = await anext(numbers)
            with pytest.raises(Failure):
                await anext(numbers)
            return [first, *[number async for number in numbers]]

    assert run_in(host, workflow).unwrap() == {"body": [1]}


def test_a_failure_that_nobody_has_read_to_is_raised_at_the_end_of_the_block() -> None:
    begun = asyncio.Event()

    async def unlucky() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            begun.set()
            raise Failure

    yields = trouper.asyncio_bridge(unlucky)
    workflow = trouper.Workflow("failing")

    @workflow.task
    async def body() -> None:
        async with yields() as numbers:
            assert await anext(numbers) == 1

    result = run_in("trio", workflow)
    assert begun.is_set()
    assert isinstance(result.error, Failure)
