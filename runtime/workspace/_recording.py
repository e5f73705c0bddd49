"""What `wf.execute` and `wf.open` do around an execution that belongs to a recorded run."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
from attrs import define, field

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from .._settings import ExecuteOptions
from ..logs._of_run import know_nodes
from ..store._errors import StoreError
from ._which_run import Begins, Joins, which_run

if TYPE_CHECKING:
    from .._execution import Execution
    from .._report import WorkflowResult
    from ._open_run import OpenRun
    from ._run_start import RunStart


@define(eq=False)
class Recording:
    """Of one execution. `begin` claims the run where the execution is one of its own."""

    which: Begins | Joins
    _during: ExitStack = field(factory=ExitStack, init=False)
    failure: StoreError | None = field(default=None, init=False)
    """Why not all of it is recorded."""

    @property
    def run_context(self) -> RunContext:
        return self._source.context

    @property
    def config(self) -> ProfileConfig:
        return self._source.config

    @property
    def _source(self) -> "RunStart | OpenRun":
        return self.which.start if isinstance(self.which, Begins) else self.which.open_run

    async def execute(self, execution: "Execution") -> "WorkflowResult":
        """Run it to its end.

        Raises:
            StoreError: it can't begin.
        """
        self.begin(execution)
        try:
            await execution.run()
        except BaseException as error:
            self.end(execution, error)
            raise
        return self.end(execution, None)

    def begin(self, execution: "Execution") -> None:
        """Claim the run, if it is not open yet; called in the event loop.

        Raises:
            StoreError: it is alive, can't be begun so, or can't be recorded.
        """
        which = self.which
        if isinstance(which, Begins):
            which.start.begin(execution.workflow)
        try:
            opened = self._opened()
            opened.join(execution)
            know_nodes(opened.context, execution.cells)
            self._during.enter_context(opened.during(execution))
        except BaseException as error:
            if isinstance(which, Begins):
                which.start.finish(error)
            raise

    def end(self, execution: "Execution", raised: BaseException | None) -> "WorkflowResult":
        """Record how it ended, and return that."""
        self._during.close()
        opened = self._opened()
        try:
            result = opened.settle(execution)
        except BaseException as error:
            if isinstance(self.which, Begins):
                self.which.start.finish(error)
            raise
        if isinstance(self.which, Begins):
            self.failure = self.which.start.finish(raised)
        else:
            self.failure = opened.tracked.failure
        return result if self.failure is None else _not_recorded(result, self.failure)

    def _opened(self) -> "OpenRun":
        which = self.which
        return which.start.open_run if isinstance(which, Begins) else which.open_run


def recording_for(options: ExecuteOptions) -> Recording | None:
    """Return what has to be recorded, as `wf.execute` was told; None: nothing.

    Raises:
        ValueError, TypeError: as of `which_run`.
    """
    said = {"profile_config": options.get("profile_config"), "config": options.get("config")}
    given = {name: value for name, value in said.items() if value is not None}
    which = which_run(options.get("run"), options.get("run_context"), given)
    return None if which is None else Recording(which)


def _not_recorded(result: "WorkflowResult", failure: StoreError) -> "WorkflowResult":
    """Return a result that says that not all of it is on disk."""
    if result.status == "failed":
        return result
    reason = f"not all of it is recorded: {failure}"
    return msgspec.structs.replace(result, status="failed", error=failure, reason=reason)
