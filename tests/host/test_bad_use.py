"""What is written wrongly is refused with what to write, before anything has begun."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import sniffio
import trio

import trouper
import trouper.asgi
from harness.hosts import HOSTS, Host, relaying, run_in

OPENING: dict[str, Callable[..., Any]] = {
    "trouper.run": trouper.run,
    "wf.execute": lambda workflow, **options: trio.run(partial(workflow.execute, **options)),
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
    assert str(caught.value).startswith(f"{what}() has no option 'hots'; known: ")
    with pytest.raises(TypeError, match="did you mean 'deps'"):
        OPENING[what](relaying(), dep=1)


@pytest.mark.parametrize("host", HOSTS)
def test_an_option_of_a_handle_that_there_is_not(host: Host) -> None:
    """Whatever the host, the nearest one is named, and nothing is sent or asked without it."""

    async def use(run: Any) -> None:
        with pytest.raises(TypeError, match=r"^run\.send\(\) has no option 'tiemout'; .*'timeout"):
            await run.send(1, tiemout=1)
        with pytest.raises(TypeError, match=r"^run\.send\(\) has no option 'too'; .*'to'\?"):
            await run.send(1, too="relay")
        with pytest.raises(TypeError, match=r"^run\.ask\(\) has no option 'reply'; .*'reply_from'"):
            await run.ask(1, "relay", reply="relay")
        with pytest.raises(TypeError, match=r"^run\.ask\(\) has no option 'zzz'; known: 'x', 'to'"):
            await run.ask(1, "relay", zzz=1)
        with pytest.raises(TypeError, match=r"^run\.stream\(\) has no option 'capactiy'; .*'capac"):
            run.stream("relay", capactiy=1)

    result = run_in(host, relaying(), use)
    assert (result.status, result.nodes["relay"].received) == ("completed", 0)


def test_an_option_of_a_blocking_handle_that_there_is_not() -> None:
    with trouper.open_blocking(relaying()) as run:
        untyped: Any = run
        for call in (untyped.send, untyped.ask, untyped.stream):
            with pytest.raises(TypeError, match=r"\(\) has no option 'zzz'; known: "):
                call("relay", "relay", zzz=1) if call != untyped.stream else call("relay", zzz=1)
    assert run.result().nodes["relay"].received == 0


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


def test_a_callback_of_asyncio_is_no_task() -> None:
    """It may not wait; and what blocks would block the loop."""
    told: list[str] = []

    def callback() -> None:
        for opening in (trouper.open, trouper.open_blocking):
            with pytest.raises(RuntimeError) as caught:
                opening(relaying())
            told.append(str(caught.value))

    async def main() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_soon(callback)
        loop.call_soon(done.set)
        await done.wait()

    asyncio.run(main())
    assert told[0].endswith("in a coroutine, and start that by `asyncio.create_task(...)`")
    assert told[1].endswith("write `async with trouper.open(wf) as run:`")


@pytest.mark.parametrize(
    ("runs", "is_its_thread", "told"),
    [
        (
            True,
            True,
            r"Twisted's reactor runs here; .*open_blocking\(wf\)\.start\(\).*deferToThread",
        ),
        (True, False, "no event loop runs in this thread"),
        (False, True, "no event loop runs in this thread"),
    ],
)
def test_twisteds_own_loop_is_named(
    runs: bool, is_its_thread: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its modules look that tell of it; none of them is imported for that."""
    reactor = SimpleNamespace(running=runs)
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    threads: Any = ModuleType("twisted.python.threadable")
    threads.isInIOThread = lambda: is_its_thread
    monkeypatch.setitem(sys.modules, "twisted.python.threadable", threads)
    with pytest.raises(RuntimeError, match=told):
        trouper.open(relaying())
    # What a program of Twisted is told to write.
    run = trouper.open_blocking(relaying()).start()
    assert run.drain().status == "completed"


def test_another_library_is_named() -> None:
    """As sniffio tells it, which curio, for one, has told."""
    token = sniffio.current_async_library_cvar.set("curio")
    with pytest.raises(
        RuntimeError, match=r"curio runs here; .*`with trouper\.open_blocking\(wf\)"
    ):
        trouper.open(relaying())
    with pytest.raises(RuntimeError, match="curio runs in this thread; call it in a thread"):
        trouper.open_blocking(relaying())
    sniffio.current_async_library_cvar.reset(token)
