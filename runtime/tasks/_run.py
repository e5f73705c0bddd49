"""The handle of a run of tasks: while it goes on, and after."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import sniffio
import trio

from ...actors._run_context import RunContext
from .._report import RunCancelled
from ..cache._use import CacheUse, cache_use
from ..host._asyncio_of_run import AsyncioOfRun
from ..io._places import close_places
from ..logs._of_run import logging_of, logs_of
from ..logs._run_logs import LogLines
from ..store._records import DEFAULT_SCOPE, RunKey
from ..workspace._run import Run, RunPhase, Wait, refuse_in_a_loop
from ._action import ActionReport
from ._outputs import Outputs
from .errors import RuntimeUserError

if TYPE_CHECKING:
    from ..workspace._workspace import Workspace
    from ._hold import Hold
    from ._work import Work


class TaskRun(Run):
    """A run that this process has started: live while it goes on, and what it was afterwards.

    Safe to use from any thread.
    """

    def __init__(
        self,
        context: RunContext,
        work: "Work",
        hold: "Hold",
        experiment: str = DEFAULT_SCOPE,
    ) -> None:
        key = RunKey(context.run_name, context.project or DEFAULT_SCOPE, experiment)
        workspace: Workspace | None = context.workspace
        scope = None if workspace is None else workspace.project(key.project).experiment(experiment)
        super().__init__(key, scope)
        self.context = context
        """The run's own context: every action sees this one object."""
        self.work = work
        """What it does; for the runner."""
        self._hold = hold
        self._is_held = False
        self._done = threading.Event()
        self._lock = threading.RLock()  # reentrant: a signal handler may abort it
        self._on_end: list[Callable[[], object]] = []
        """Wake those who wait in event loops."""
        self._phase: RunPhase = "pending"
        self._error: BaseException | None = None
        self._outputs = Outputs()
        self._token: trio.lowlevel.TrioToken | None = None
        self._reason = ""
        self.refusal: BaseException | None = None
        """Why the disk takes no more of what happens in it."""
        self.interrupted = False
        """Whether Ctrl-C or SIGTERM has come while it went on."""

    def __repr__(self) -> str:
        return f"<run {self.name!r} of {self.work.name!r}: {self.phase}>"

    @property
    def phase(self) -> RunPhase:
        """`pending`, `running`, `completed`, `failed` or `cancelled`."""
        return self._phase

    @property
    def results(self) -> dict[str, Any]:
        """What `ctx.set_result` has kept."""
        return dict(self.context.results)

    @property
    def error(self) -> BaseException | None:
        """What it failed with; None: it has not."""
        return self._error

    @property
    def reason(self) -> str:
        """Why it was cancelled, or how it failed, in words; else ""."""
        return self._reason

    def done(self) -> bool:
        """Return whether it has ended, in whatever way."""
        return self._done.is_set()

    @property
    def wait(self) -> "_Wait":
        """`run.wait()` blocks until it has ended; in async code `await run.wait.aio()`."""
        return _Wait(self)

    def inputs(self) -> dict[str, Any]:
        """Return what it was given, by parameter, defaults included."""
        return dict(self.work.inputs)

    def outputs(self) -> Outputs:
        """Return what it gave back: a tuple that also has names.

        Raises:
            RuntimeUserError: it failed.
            RunCancelled: it was cancelled.
            RuntimeError: it has not ended.
        """
        if not self.done():
            raise RuntimeError(f"run {self.name!r} goes on; write run.wait() before run.outputs()")
        self.raise_failure()
        return self._outputs

    def actions(self) -> ActionReport:
        """Return its actions as they stand: the first one, and below it those that it called."""
        return self.work.actions()

    def cache_use(self) -> CacheUse:
        """Return what the cache of results has done for it so far."""
        return cache_use(self.context)

    def logs(self) -> LogLines:
        """Return what was logged in it, oldest first; the last 10,000 records."""
        return logs_of(self.context).lines()

    def abort(self, reason: str = "run.abort() was called") -> None:
        """Cancel every task of it, soon; `finally` blocks run. Idempotent, from any thread."""
        with self._lock:
            self._reason = self._reason or reason
            if self.done() or self._token is None:
                return
            token = self._token
        try:
            token.run_sync_soon(self.work.cancel, reason)
        except trio.RunFinishedError:  # it has ended just now
            return

    # -- what the runner does with it --------------------------------------------------------

    def begin(self) -> None:
        """Take its name and its place in the record; `go`, or `give_up`, has to follow.

        Raises:
            ValueError: a run of that name goes on.
            StoreError: the workspace can't be written.
        """
        self._hold.take(self)
        self._is_held = True

    def give_up(self) -> None:
        """Let go what `begin` took, if it has never gone on."""
        if self._is_held and self._phase == "pending":
            self._end("cancelled")

    def fail(self, failure: BaseException) -> None:
        """Cancel it, because the disk takes no more of it. From any thread."""
        self.refusal = failure
        self.abort(str(failure))

    def outputs_now(self) -> Outputs:
        """Return what it gave back, whether or not its end is told yet."""
        return self._outputs

    async def go(self) -> None:
        """Run it to its end, in this trio task. Never raises for a failed task."""
        if not self._is_held:
            self.begin()
        with self._lock:
            self._token = trio.lowlevel.current_trio_token()
            self._phase = "running"
            if self._reason:
                self.work.cancel(self._reason)
        phase: RunPhase = "cancelled"
        asyncio = AsyncioOfRun()
        try:
            folder = None if self.context.workspace is None else self.path / "logs"
            with logging_of(self.context, folder):
                phase, self._outputs, self._error = await self.work.run()
        finally:
            await asyncio.close()
            self._end(phase)

    def _end(self, phase: RunPhase) -> None:
        if self.refusal is not None and self._error is None:
            phase, self._error = "failed", self.refusal
        self._settle(phase)
        refusal = self._hold.let_go(self)
        close_places(self.context)
        self.refusal = self.refusal or refusal
        if refusal is not None and self._error is None:
            self._error = refusal
            self._settle("failed")
        self._done.set()
        with self._lock:
            wakes, self._on_end = self._on_end, []
        for wake in wakes:
            with suppress(RuntimeError):  # that loop has ended
                wake()

    def _settle(self, phase: RunPhase) -> None:
        if self._error is not None:
            self._reason = str(self._error)
            if isinstance(self._error, RuntimeUserError):
                self._error.run = self
        elif phase == "cancelled" and not self._reason:
            self._reason = "cancelled from outside"
        elif phase == "completed":
            self._reason = ""
        self._phase = phase

    def raise_failure(self) -> None:
        """Raise what it ended by, if not by a result."""
        error = self._error
        if error is not None:
            raise error
        if self._phase == "cancelled":
            raise RunCancelled(f"run {self.name!r} was cancelled: {self._reason}")

    async def wait_in_loop(self) -> None:
        # In no thread: those of waits that were given up would be missing in that loop.
        told = anyio.Event()
        wake = partial(_soon_here(), told.set)
        with self._lock:
            if self.done():
                return
            self._on_end.append(wake)
        try:
            await told.wait()
        finally:
            with self._lock, suppress(ValueError):
                self._on_end.remove(wake)

    def wait_blocking(self, timeout: float | None) -> bool:
        return self._done.wait(timeout)


def _soon_here() -> Callable[[Callable[[], object]], object]:
    """Return what makes the loop that runs here call a function soon, from any thread."""
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_trio_token().run_sync_soon
    import asyncio  # whose loop it is

    return asyncio.get_running_loop().call_soon_threadsafe


class _Wait(Wait):
    """`run.wait`, in its two forms, told by the run itself."""

    def __init__(self, run: TaskRun) -> None:
        super().__init__(run)
        self._live = run

    def __call__(self, timeout: float | None = None) -> bool:
        """Block until the run has ended; return whether it has.

        Args:
            timeout: seconds; None: however long it takes.
        """
        run = self._live
        if not run.done():
            refuse_in_a_loop(run.name)
        return run.wait_blocking(timeout)

    async def aio(self) -> None:
        """Wait until the run has ended."""
        if not self._live.done():
            await self._live.wait_in_loop()


TaskRun.__module__ = "trouper"
