"""What is written wrongly is refused with what to write, before anything has begun."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

import trouper
import trouper.asgi
from harness.hosts import HOSTS, Host, relaying, run_in

OPENING: dict[str, Callable[..., Any]] = {
    "wf.open": lambda workflow, **options: workflow.open(**options),
    "trouper.open": trouper.open,
    "trouper.open_blocking": trouper.open_blocking,
    "trouper.asgi.lifespan": trouper.asgi.lifespan,
}


@pytest.mark.parametrize("what", OPENING)
def test_an_option_that_there_is_not(what: str) -> None:
    """A misspelt option would be one that was never given."""
    with pytest.raises(TypeError) as caught:
        OPENING[what](relaying(), hots="guest", dep=1)
    assert str(caught.value).startswith(f"{what}() takes no option 'hots'; known: 'run', ")
    with pytest.raises(TypeError, match="did you mean 'deps'"):
        OPENING[what](relaying(), dep=1)


@pytest.mark.parametrize("host", HOSTS)
def test_with_instead_of_async_with(host: Host) -> None:
    async def of_the_run() -> None:
        run: Any = trouper.open(relaying())
        with run:
            raise AssertionError("it was entered")

    with pytest.raises(TypeError, match=r"write `async with (trouper|wf)\.open\("):
        trio.run(of_the_run) if host == "trio" else asyncio.run(of_the_run())

    async def of_a_stream(run: Any) -> None:
        refused = pytest.raises(TypeError, match=r"write `async with run\.stream\(\.\.\.\) as xs:`")
        with refused, run.stream("relay"):
            raise AssertionError("it was entered")

    assert run_in(host, relaying(), of_a_stream).status == "completed"
