"""`trouper.open` and `trouper.open_blocking`: one handle for every host."""

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
        RuntimeError: no event loop runs here; the text names `open_blocking`.
        ValueError: `host` is not legal, or has no effect under trio.
    """
    live = _opened(workflow, "open", options)
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise RuntimeError(
            "trouper.open() is for async code, and no event loop runs in this thread; write "
            "`with trouper.open_blocking(wf) as run:`"
        ) from None
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
        RuntimeError: an event loop runs in this thread; the text names the awaitable form.
    """
    live = _opened(workflow, "open_blocking", options)
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return BlockingRun(live)
    raise RuntimeError(
        f"trouper.open_blocking() blocks, and {library} runs in this thread; write "
        "`async with trouper.open(wf) as run:`"
    )


def _opened(workflow: Any, what: str, options: ExecuteOptions) -> LiveRun:
    if not isinstance(workflow, Workflow):
        raise TypeError(f"trouper.{what}() takes a trouper.Workflow, got {workflow!r}")
    check_options(f"trouper.{what}", options)
    return workflow.open(**options)


open.__module__ = open_blocking.__module__ = "trouper"
