"""`trouper.asgi.lifespan`: a run that begins and ends with the service."""

import logging
import math
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Literal, Unpack

import anyio
import sniffio
import trio
from anyio.abc import TaskGroup

from .._drain_report import in_words
from .._report import WorkflowResult
from .._run import LiveRun
from .._settings import ExecuteOptions, check_options
from .._workflow import Workflow
from ..host._asyncio_run import AsyncioRun
from ..host._hosted import HostKind
from ..host._open import open as open_run
from ._hub import Hub
from ._hypercorn import shutdown_event, wait_shutdown, wait_shutdown_again
from ._signals import end_by, overhear_signals

log = logging.getLogger("trouper")

OnFailure = Literal["not_ready", "exit"]

DRAIN_BUDGET = 25.0
"""Seconds; Kubernetes kills 30 s after SIGTERM."""
PATIENCE = 0.2
"""Share of the budget that the server has, after a signal, to end what it has open."""
SHORTEST = 0.001
"""Seconds; a drain that comes too late gives the rest up."""
LAST_WORDS = 0.2
"""Seconds that answers have to get out, where no server waits for them."""
IN_TURN = 2.0
"""Seconds in which hypercorn tells a worker that it ends, if all processes were signalled."""


class OtherLoop(RuntimeError):
    """A run is to be used in another event loop than it was started in."""


class Lifespan:
    """Starts a workflow with an ASGI app and drains it at its end: `FastAPI(lifespan=this)`."""

    def __init__(
        self,
        workflow: Workflow,
        *,
        host: HostKind | None,
        drain_budget: float,
        on_failure: OnFailure,
        options: ExecuteOptions,
    ) -> None:
        if not drain_budget > 0:
            raise ValueError(f"drain_budget takes seconds > 0, got {drain_budget!r}")
        if on_failure not in ("not_ready", "exit"):
            raise ValueError(f"on_failure can't be {on_failure!r}; choose 'not_ready' or 'exit'")
        check_options("trouper.asgi.lifespan", options)
        self.workflow = workflow
        self._host: HostKind | None = host
        self._budget = drain_budget
        self._on_failure: OnFailure = on_failure
        self._options = options
        self._run: LiveRun | AsyncioRun | None = None
        self._process = 0
        self._loop: object = None
        """Where it was started."""
        self._tasks: TaskGroup | None = None
        self._hubs: dict[str, Hub] = {}
        self._heard_at = math.nan
        """When the first signal came, on the loop's clock."""
        self._is_told = False
        self._told_by_hypercorn: Any = None
        """Its event, in a worker of hypercorn."""
        self._unhandled = Counter[int]()
        """Signals that the server does not handle, and by which the process is to end."""
        self.is_ending = False
        """Whether a signal has come, or the service shuts down."""
        self.result: WorkflowResult | None = None
        """How the run ended, once it has."""

    @property
    def run(self) -> LiveRun | AsyncioRun:
        """The live handle, between start-up and shutdown.

        Raises:
            RuntimeError: the service has not started, or this process was forked after its start.
        """
        if self._run is None:
            raise RuntimeError(
                f"workflow {self.workflow.name!r} has not started; give this lifespan to the app: "
                "FastAPI(lifespan=...)"
            )
        if os.getpid() != self._process:
            raise RuntimeError(
                f"the run of {self.workflow.name!r} was opened before this process was forked, and "
                "its threads are not here; start the app in each worker (gunicorn without "
                "--preload)"
            )
        return self._run

    def run_here(self) -> LiveRun | AsyncioRun:
        """Return the live handle for use in the loop that runs here.

        Raises:
            RuntimeError: as of `run`.
            OtherLoop: it belongs to another loop, and goes on there.
        """
        run = self.run
        if not run.has_ended and _this_loop()[0] is not self._loop:
            raise OtherLoop(
                f"workflow {self.workflow.name!r} was started with an app that runs in another "
                "event loop; give each app a lifespan of its own"
            )
        return run

    def __call__(self, app: Any) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Start and end the run around the life of an app; what Starlette and FastAPI call."""
        return self._live()

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[dict[str, Any]]:
        if self._run is not None and not self._run.has_ended:
            raise RuntimeError(
                f"this lifespan runs {self.workflow.name!r} already; make one for each app"
            )
        self.is_ending, self.result, self._hubs = False, None, {}
        self._heard_at, self._is_told, self._unhandled = math.nan, False, Counter[int]()
        self._told_by_hypercorn = shutdown_event()
        heard, shuts_down = anyio.Event(), anyio.Event()
        self._loop, soon = _this_loop()
        failure: Exception | None = None

        def hear(number: int, count: int, is_unhandled: bool) -> None:
            soon(partial(self._hear_signal, number, count, is_unhandled, heard))

        with overhear_signals(hear):
            async with self._opened() as run, anyio.create_task_group() as tasks:
                self._run, self._process, self._tasks = run, os.getpid(), tasks
                tasks.start_soon(self._watch, run)
                tasks.start_soon(self._drain_in_time, run, heard, shuts_down)
                if self._told_by_hypercorn is not None:
                    tasks.start_soon(self._hear_hypercorn, self._told_by_hypercorn, heard)
                try:
                    yield {"trouper": run}
                except Exception as error:  # kept, so that it leaves in no group
                    failure = error
                finally:
                    self.is_ending = True
                    self._end_streams()
                    shuts_down.set()
                    with anyio.CancelScope(shield=True):
                        await self._drain(run)
                    tasks.cancel_scope.cancel()
        self._end_process()
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[LiveRun | AsyncioRun]:
        has_begun = False
        try:
            async with open_run(self.workflow, host=self._host, **self._options) as run:
                has_begun = True
                yield run
        except Exception as error:
            if not has_begun:  # not every server says so loud enough, nor ends with an error
                log.critical("workflow %s can't start: %s", self.workflow.name, error)
            raise

    async def _drain_in_time(
        self, run: LiveRun | AsyncioRun, heard: anyio.Event, shuts_down: anyio.Event
    ) -> None:
        """Drain after a signal, though the server does not get to its shutdown.

        It waits for open responses before; one whose client does not read never ends.
        """
        await heard.wait()
        self._heard_at = anyio.current_time()
        if not self._unhandled:
            with anyio.move_on_after(self._budget * PATIENCE):
                await shuts_down.wait()
        await self._drain(run)
        if self._unhandled:
            is_told_later = self._told_by_hypercorn is not None
            with anyio.move_on_after(IN_TURN if is_told_later else LAST_WORDS):
                await shuts_down.wait()
            self._end_process()

    def _end_process(self) -> None:
        """Let the process end by a signal that nobody handles, as it would have before."""
        event = self._told_by_hypercorn
        # hypercorn ends workers so when one of them has ended, though they shut down as it is.
        if self._unhandled and (event is None or not event.is_set()):
            end_by(next(iter(self._unhandled)))

    async def _drain(self, run: LiveRun | AsyncioRun) -> None:
        spent = 0.0 if math.isnan(self._heard_at) else anyio.current_time() - self._heard_at
        result = self.result = await run.drain(max(self._budget - spent, SHORTEST))
        if not self._is_told:
            self._is_told = True
            # What was given up is shown by a service that has not set up its logging, too.
            is_whole = result.status == "completed" and not (
                result.drain and result.drain.abandoned
            )
            level = logging.INFO if is_whole else logging.WARNING
            log.log(level, "%s: %s", self.workflow.name, _told(result))

    async def _watch(self, run: LiveRun | AsyncioRun) -> None:
        """Act on a run that ends before the service does."""
        self.result = result = await run.wait()
        if self.is_ending:
            return
        # Event streams end by themselves, after the last message.
        if result.status != "completed":
            log.error("workflow %s %s: %s", self.workflow.name, result.status, result.reason)
            if self._on_failure == "exit":
                os.kill(os.getpid(), signal.SIGTERM)

    async def _hear_hypercorn(self, event: Any, heard: anyio.Event) -> None:
        await wait_shutdown(event)
        self._hear(1, heard)
        await wait_shutdown_again(event, lambda: self._unhandled[signal.SIGTERM])
        self._hear(2, heard)

    def _hear_signal(self, number: int, count: int, is_unhandled: bool, heard: anyio.Event) -> None:
        if is_unhandled:
            self._unhandled[number] += 1
            if self._told_by_hypercorn is not None:
                count = 1  # it tells its workers several times
            elif count > 2:
                self._end_process()
        self._hear(count, heard)

    def _hear(self, count: int, heard: anyio.Event) -> None:
        self.is_ending = True
        self._end_streams()
        heard.set()
        if count > 1 and self._run is not None:
            self._run.cancel("signalled twice")

    # -- streams -----------------------------------------------------------------------------

    async def hub(self, node: str) -> Hub | None:
        """Return what all who read the stream of a node share; None: the service ends.

        Raises:
            ValueError: there is no such node or output, or it is a batch task.
        """
        run = self.run_here()
        if self.is_ending or run.has_ended:
            return None
        hub = self._hubs.get(node)
        if hub is None:
            hub = self._hubs[node] = Hub(run.stream(node))
            assert self._tasks is not None
            self._tasks.start_soon(self._read, hub, node)
        await hub.is_open.wait()
        return hub

    async def _read(self, hub: Hub, node: str) -> None:
        try:
            await hub.read()
        except Exception:  # a stream that fails must not take the service along
            log.exception("%s: the event stream of %r has ended", self.workflow.name, node)

    def _end_streams(self) -> None:
        for hub in self._hubs.values():
            hub.end()

    # -- health ------------------------------------------------------------------------------

    def why_not_ready(self) -> str:
        """Return why no request should come here; "": they may."""
        if self._run is None:
            return "starting"
        if self.is_ending:
            return "draining"
        status = self.run.status()
        if status.status != "running":
            return status.status
        starved = [name for name, node in status.nodes.items() if node.state == "restarting"]
        return f"restarting: {', '.join(starved)}" if starved else ""


def _told(result: WorkflowResult) -> str:
    report = result.drain
    if report is None:
        return f"it had ended before: {result.status}: {result.reason}".removesuffix(": ")
    told = in_words(report, with_zeros=True)
    cut = f"; cut short: {', '.join(report.cut_short)}" if report.cut_short else ""
    budget = round(report.budget, 1)
    return f"drained in {report.seconds:.1f} s of {budget:g} s, {result.status}: {told}{cut}"


def _this_loop() -> tuple[object, Callable[[Callable[[], object]], object]]:
    """Return this loop, and what makes it call a function soon, from a signal handler too."""
    if sniffio.current_async_library() == "trio":
        token = trio.lowlevel.current_trio_token()
        return token, token.run_sync_soon
    import asyncio  # the server has it already

    loop = asyncio.get_running_loop()
    return loop, loop.call_soon_threadsafe


def lifespan(
    workflow: Workflow,
    *,
    host: HostKind | None = None,
    drain_budget: float = DRAIN_BUDGET,
    on_failure: OnFailure = "not_ready",
    **options: Unpack[ExecuteOptions],
) -> Lifespan:
    """Return the lifespan of an ASGI app that runs a workflow: `FastAPI(lifespan=lifespan(wf))`.

    The workflow starts with the app and is drained at its end; `lifespan.run` is the live handle,
    and so is `request.state.trouper`. At SIGTERM or SIGINT event streams end and readiness goes off
    at once, before the server shuts down; a second signal cancels the run.

    Args:
        host: as of `trouper.open`; has no effect under trio, and must be left out there.
        drain_budget: seconds that the drain may take; less than the time the process is given.
        on_failure: what to do when the workflow fails in the middle: be "not_ready", or "exit":
            send this process SIGTERM.
        options: as of `Workflow.execute`.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """
    if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
        raise TypeError(f"trouper.asgi.lifespan() takes a trouper.Workflow, got {workflow!r}")
    return Lifespan(
        workflow, host=host, drain_budget=drain_budget, on_failure=on_failure, options=options
    )


Lifespan.__module__ = lifespan.__module__ = "trouper.asgi"
