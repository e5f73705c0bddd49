"""`trouper.Run`: a run and all that is recorded of it, from any process."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
import sniffio

from ...actors._profile_config import ProfileConfig
from ..store._errors import NoSuchRun
from ..store._records import RunKey, RunRecord
from ._scope import Scope, ScopeKind

if TYPE_CHECKING:
    from ..logs._run_logs import LogLines
    from ..store._store import Store
    from ..tasks._action import ActionReport
    from ..tasks._outputs import Outputs
    from ._config_of import AnyConfig
    from ._project import Experiment
    from ._run_execution import RunExecution
    from ._run_start import RunStart
    from ._workspace import Workspace

T = TypeVar("T")
RunPhase = Literal["pending", "running", "completed", "failed", "cancelled"]

_LOOKS = (0.02, 0.5)
"""Seconds between two looks at a run that goes on in another process: at first, and later."""


class Run(Scope):
    """A run of an experiment: one name, any number of executions.

    What it tells is read from the database each time, so it is right in every process, also while
    the run goes on. One that lies in no experiment is kept in memory alone, by a subclass.
    """

    kind: ScopeKind = "run"

    def __init__(
        self,
        key: RunKey,
        experiment: "Experiment | None",
        *,
        parameters: Mapping[str, Any] | None = None,
        config: ProfileConfig | None = None,
    ) -> None:
        path = None if experiment is None else experiment.path / "runs" / key.name
        super().__init__(key.name, path, experiment)
        self._experiment = experiment
        self._key = key
        self.said_parameters = None if parameters is None else dict(parameters)
        """What this object was given; None: nothing."""
        self.said_config = config
        """Likewise the configuration."""

    # -- what it is --------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.name

    @property
    def key(self) -> RunKey:
        """Project, experiment and name."""
        return self._key

    @property
    def experiment(self) -> "Experiment":
        """The experiment that it belongs to.

        Raises:
            RuntimeError: it lies in no workspace.
        """
        if self._experiment is None:
            raise RuntimeError(self.nowhere())
        return self._experiment

    @property
    def url(self) -> str:
        """Where to look: its folder, as an address."""
        return self.path.as_uri()

    @property
    def parameters(self) -> dict[str, Any]:
        """What tells it from the other runs of the experiment."""
        if self.said_parameters is not None:
            return dict(self.said_parameters)
        record = self.record()
        return {} if record is None else record.parameters

    # -- how it stands -----------------------------------------------------------------------

    def _read(self, read: "Callable[[Store, RunRecord], T]", nothing: T) -> T:
        """Return what is read of its newest execution; `nothing` if it never began."""
        with self.workspace.reading() as store:
            if store is None:
                return nothing
            try:
                record = store.runs.get(self._key)
            except NoSuchRun:
                return nothing
            return read(store, record)

    def record(self) -> RunRecord | None:
        """Return what is recorded of its newest execution; None: it never began.

        Raises:
            StoreError: the database can't be read.
        """
        nothing: RunRecord | None = None
        return self._read(lambda _, record: record, nothing)

    @property
    def phase(self) -> RunPhase:
        """`pending` (it never began), `running`, `completed`, `failed` or `cancelled`.

        One whose process died without a word is `failed`, and so says its execution.
        """
        record = self.record()
        return "pending" if record is None else record.phase

    def done(self) -> bool:
        """Return whether its last execution has ended, in whatever way."""
        return self.phase in ("completed", "failed", "cancelled")

    @property
    def wait(self) -> "Wait":
        """`run.wait()` blocks until it has ended; in async code `await run.wait.aio()`."""
        return Wait(self)

    @property
    def results(self) -> Mapping[str, Any]:
        """What `ctx.set_result` has kept, also while the run goes on."""
        empty: Mapping[str, Any] = {}
        return self._read(lambda store, record: store.results.all(record.run), empty)

    def executions(self) -> "list[RunExecution]":
        """Return its executions, the first one first."""
        from ._run_execution import execution_of

        with self.workspace.reading() as store:
            records = () if store is None else store.runs.executions(self._key)
        return [execution_of(each) for each in records]

    def inputs(self) -> dict[str, Any]:
        """Return what its task was given, by parameter, as plain data; of a workflow nothing."""
        from ._kept_values import shown

        record = self.record()
        return {} if record is None or record.inputs is None else dict(shown(record.inputs))

    def outputs(self) -> "Outputs":
        """Return what it gave back, as plain data: a tuple that also has names.

        Raises:
            RuntimeUserError: it failed; `code` names what with. What was finished nevertheless
                stands in its executions.
            RunCancelled: it was cancelled.
            RuntimeError: it has not begun, or goes on.
        """
        from .._report import RunCancelled
        from ..tasks.errors import RuntimeUserError
        from ._run_execution import outputs_in

        record = self.record()
        if record is None:
            raise RuntimeError(f"run {self.name!r} has not begun, so it has no outputs")
        if record.phase == "running":
            raise RuntimeError(f"run {self.name!r} goes on; write run.wait() before run.outputs()")
        if record.phase == "failed":
            code = record.error_code or ""
            raise RuntimeUserError(f"run {self.name!r} failed: {code}: {record.error}", code=code)
        if record.phase == "cancelled":
            raise RunCancelled(f"run {self.name!r} was cancelled")
        return outputs_in(record)

    def actions(self) -> "ActionReport":
        """Return the actions of its last execution: the first one, and below it what it called.

        Raises:
            RuntimeError: it has not begun.
        """
        from ._run_execution import tree_of

        nothing: ActionReport | None = None
        found = self._read(
            lambda store, record: tree_of(record, store.actions.of(record.execution)), nothing
        )
        if found is None:
            raise RuntimeError(f"run {self.name!r} has not begun, so it has no actions")
        return found

    def logs(self) -> "LogLines":
        """Return what was logged in it, oldest first, of all executions."""
        from ..logs._of_run import recorded_lines

        return recorded_lines(self.path / "logs")

    # -- doing something with it -------------------------------------------------------------

    def start(self, profile_config: "AnyConfig | None" = None) -> "RunStart":
        """Begin its first execution: `with run.start() as run_context:`.

        Args:
            profile_config: `ctx.config`: a resolved profile, or a plain mapping. Its content is a
                part of what the run is.

        Raises:
            ValueError: it is not the one that `experiment.run()` was given.
        """
        return self._begin("start", profile_config)

    def resume(self, profile_config: "AnyConfig | None" = None) -> "RunStart":
        """Go on with a run that failed or was cancelled, keeping what it has finished.

        Arguments and errors: as `start`; the configuration is the recorded one if none is given.
        """
        return self._begin("resume", profile_config)

    def rerun(self, profile_config: "AnyConfig | None" = None) -> "RunStart":
        """Do a run that has ended again, from the top.

        Arguments and errors: as `resume`.
        """
        return self._begin("rerun", profile_config)

    def _begin(
        self, verb: Literal["start", "resume", "rerun"], profile_config: "AnyConfig | None"
    ) -> "RunStart":
        from ._run_start import RunStart

        return RunStart(self, verb, profile_config)

    def abort(self, reason: str = "run.abort() was called") -> None:
        """Ask for its end: it is cancelled soon, in whichever process it goes on. Idempotent.

        Raises:
            NoSuchRun: it never began.
        """
        self.store.runs.request_abort(self._key)


class Wait:
    """`run.wait`, in its two forms."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, timeout: float | None = None) -> bool:
        """Block until the run has ended; return whether it has.

        Args:
            timeout: seconds; None: however long it takes.
        """
        run = self._run
        if run.done():
            return True
        refuse_in_a_loop(run.name)
        until = None if timeout is None else time.monotonic() + timeout
        pause, longest = _LOOKS
        while not run.done():
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, longest)
        return True

    async def aio(self) -> None:
        """Wait until the run has ended."""
        pause, longest = _LOOKS
        while not self._run.done():
            await anyio.sleep(pause)
            pause = min(2 * pause, longest)


def refuse_in_a_loop(name: str) -> None:
    """Refuse to block an event loop.

    Raises:
        RuntimeError: one runs in this thread.
    """
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    raise RuntimeError(
        f"run.wait() of {name!r} would block {library}, which runs in this thread; write "
        "`await run.wait.aio()`"
    )


def run_of(workspace: "Workspace", key: RunKey) -> Run:
    """Return the run that a record tells of."""
    return Run(key, workspace.project(key.project).experiment(key.experiment))


Run.__module__ = "trouper"
