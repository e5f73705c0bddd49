"""`trouper.open` and `trouper.open_blocking`: one handle for every host."""

import sys
from contextlib import suppress
from typing import Any, Unpack

import sniffio

from .._run import LiveRun
from .._settings import ExecuteOptions, check_options
from .._workflow import Workflow
from ._asyncio_run import AsyncioRun
from ._blocking_run import BlockingRun
from ._hosted import HostKind


def open(
    workflow: Workflow, /, *, host: HostKind | None = None, **options: Unpack[ExecuteOptions]
) -> LiveRun | AsyncioRun:
    """Open a run in whatever loop runs here: `async with trouper.open(wf) as run:`.

    Under trio this is `workflow.open()`. Under asyncio the actors run beside it, in trio, and the
    handle has the same methods; leaving the block drains the run.

    Args:
        host: under asyncio: "thread" (default), a thread of its own; or "guest", in this loop's
            thread, where an actor that computes holds up the loop.
        options: as of `Workflow.execute`.

    Raises:
        GraphError: the graph can't run.
        RuntimeError: no event loop of these runs here, or none of its tasks; the text says what to
            write.
        ValueError: `host` is not legal, or has no effect under trio.
    """
    live = _opened(workflow, "open", options)
    library = _library_here()
    if library not in ("trio", "asyncio"):
        raise RuntimeError(
            f"trouper.open() is for tasks of trio and asyncio, and {_other(library)}"
        )
    if host not in (None, "thread", "guest"):
        raise ValueError(f"host can't be {host!r}; choose 'thread' or 'guest'")
    if library == "trio":
        if host is not None:
            raise ValueError(f"host={host!r} has no effect under trio; leave it out")
        return live
    return AsyncioRun(live, host or "thread")


def open_blocking(workflow: Workflow, /, **options: Unpack[ExecuteOptions]) -> BlockingRun:
    """Open a run beside synchronous code: `with trouper.open_blocking(wf) as run:`.

    The actors run in a thread of their own; the handle has the same methods, which block. It may be
    used from several threads.

    Args:
        options: as of `Workflow.execute`.

    Raises:
        GraphError: the graph can't run.
        RuntimeError: an event loop runs in this thread; the text says what to write.
    """
    live = _opened(workflow, "open_blocking", options)
    library = _library_here()
    if not library:
        return BlockingRun(live)
    instead = "write `async with trouper.open(wf) as run:`"
    if library not in ("trio", "asyncio", _CALLBACK):
        instead = "call it in a thread"
    raise RuntimeError(
        f"trouper.open_blocking() blocks, and {library} runs in this thread; {instead}"
    )


_CALLBACK = "asyncio, outside of its tasks,"


def _library_here() -> str:
    """Return whose event loop runs in this thread; "": none."""
    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        pass
    # sniffio looks for a task: a callback is none, nor is a coroutine that Twisted drives there.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return _CALLBACK
    return ""


def _is_reactors_thread() -> bool:
    """Return whether Twisted's own loop runs here, of which sniffio knows nothing."""
    # What a program of Twisted has loaded; of no other.
    reactor = sys.modules.get("twisted.internet.reactor")
    threads = sys.modules.get("twisted.python.threadable")
    if threads is None or not getattr(reactor, "running", False):
        return False
    return bool(threads.isInIOThread())


def _other(library: str) -> str:
    if not library and _is_reactors_thread():
        return (
            "Twisted's reactor runs here; write `run = trouper.open_blocking(wf).start()`, and "
            "call its methods in threads, as by `deferToThread(run.send, x)`; or install "
            "Twisted's asyncioreactor, and open the run in a task of asyncio"
        )
    if not library:
        return "no event loop runs in this thread; write `with trouper.open_blocking(wf) as run:`"
    if library == _CALLBACK:
        return (
            "asyncio runs here, but no task of it; open the run in a coroutine, and start that by "
            "`asyncio.create_task(...)`"
        )
    return (
        f"{library} runs here; open the run in a thread, by "
        "`with trouper.open_blocking(wf) as run:`"
    )


def _opened(workflow: Any, what: str, options: ExecuteOptions) -> LiveRun:
    if not isinstance(workflow, Workflow):
        raise TypeError(f"trouper.{what}() takes a trouper.Workflow, got {workflow!r}")
    check_options(f"trouper.{what}", options)
    return workflow.open(**options)


open.__module__ = open_blocking.__module__ = "trouper"
