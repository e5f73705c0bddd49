"""The handle of a run of tasks: while it goes on, and after."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sniffio
import trio

from ...actors._run_context import RunContext
from .._report import RunCancelled
from ..cache._use import CacheUse, cache_use
from ..logs._of_run import logging_of, logs_of
from ..logs._run_logs import LogLines
from ._action import ActionReport, Phase
from ._outputs import Outputs
from .errors import RuntimeUserError

if TYPE_CHECKING:
    from ._work import Work


class Run:
    """One run: what it was given, how it goes on, how it ended. Safe to use from any thread."""

    def __init__(self, context: RunContext, work: "Work", on_end: Callable[[], None]) -> None:
        self.context = context
        """The run's own context: every action sees this one object."""
        self.work = work
        """What it does; for the runner."""
        self._on_end = on_end
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._phase: Phase = "waiting"
        self._error: BaseException | None = None
        self._outputs = Outputs()
        self._token: trio.lowlevel.TrioToken | None = None
        self._ended: trio.Event | None = None
        self._reason = ""
        self.interrupted = False
        """Whether Ctrl-C or SIGTERM has come while it went on."""

    def __repr__(self) -> str:
        return f"<run {self.name!r} of {self.work.name!r}: {self.phase}>"

    @property
    def name(self) -> str:
        return self.context.run_name

    @property
    def phase(self) -> Phase:
        """`waiting`, `running`, `completed`, `failed` or `cancelled`."""
        return self._phase

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

    async def go(self) -> None:
        """Run it to its end, in this trio task. Never raises for a failed task."""
        self._ended = trio.Event()
        with self._lock:
            self._token = trio.lowlevel.current_trio_token()
            self._phase = "running"
            if self._reason:
                self.work.cancel(self._reason)
        phase: Phase = "cancelled"
        try:
            with logging_of(self.context):
                phase, self._outputs, self._error = await self.work.run()
        finally:
            self._end(phase)
            self._ended.set()

    def _end(self, phase: Phase) -> None:
        if self._error is not None:
            self._reason = str(self._error)
            if isinstance(self._error, RuntimeUserError):
                self._error.run = self
        elif phase == "cancelled" and not self._reason:
            self._reason = "cancelled from outside"
        elif phase == "completed":
            self._reason = ""
        self._phase = phase
        self._done.set()
        self._on_end()

    def raise_failure(self) -> None:
        """Raise what it ended by, if not by a result."""
        error = self._error
        if error is not None:
            raise error
        if self._phase == "cancelled":
            raise RunCancelled(f"run {self.name!r} was cancelled: {self._reason}")

    async def wait_in_trio(self) -> None:
        if self._ended is None or self._token is not trio.lowlevel.current_trio_token():
            await trio.to_thread.run_sync(self._done.wait, abandon_on_cancel=True)
        else:
            await self._ended.wait()

    def wait_blocking(self, timeout: float | None) -> bool:
        return self._done.wait(timeout)


class _Wait:
    """`run.wait`, in its two forms."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, timeout: float | None = None) -> bool:
        """Block until the run has ended; return whether it has.

        Args:
            timeout: seconds; None: however long it takes.
        """
        run = self._run
        if not run.done():
            _refuse_in_a_loop(run.name)
        return run.wait_blocking(timeout)

    async def aio(self) -> None:
        """Wait until the run has ended."""
        if not self._run.done():
            await self._run.wait_in_trio()


def _refuse_in_a_loop(name: str) -> None:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    raise RuntimeError(
        f"run.wait() of {name!r} would block {library}, which runs in this thread; write "
        "`await run.wait.aio()`"
    )


Run.__module__ = "trouper"
