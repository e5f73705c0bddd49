"""An execution of a run that is open: what runs in it, and how it can be stopped."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from attrs import define, field

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from ..store._errors import StoreError
from ..store._records import ActionRecord
from ._endings import Outcome
from ._node_outputs import keep_outputs

if TYPE_CHECKING:
    from .._execution import Execution
    from .._report import WorkflowResult
    from ..tasks._node_records import NodeRecords
    from ._tracked import Tracked


@define(eq=False)
class _Prefixed:
    """The nodes of one workflow, told apart from those of others in the same run."""

    records: "NodeRecords"
    prefix: str

    def changed(self, execution: int) -> Iterator[ActionRecord]:
        for each in self.records.changed(execution):
            yield (
                msgspec.structs.replace(each, name=f"{self.prefix}{each.name}")
                if self.prefix
                else each
            )


@define(eq=False)
class OpenRun:
    """Made when an execution begins; workflows join it. Any thread may call `abort`."""

    tracked: "Tracked"
    context: RunContext
    config: ProfileConfig
    outcomes: list[Outcome] = field(factory=list[Outcome], init=False)
    outputs: dict[str, Any] = field(factory=dict[str, Any], init=False)
    aborted: str | None = field(default=None, init=False)
    """Why it was aborted; None: it was not."""
    is_over: bool = field(default=False, init=False)
    _live: "dict[Execution, trio.lowlevel.TrioToken]" = field(factory=dict, init=False)
    _prefixes: "dict[Execution, str]" = field(factory=dict, init=False)
    _records: list[_Prefixed] = field(factory=list[_Prefixed], init=False)
    _joined: int = field(default=0, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.tracked.look = self._look
        self.tracked.on_abort = self._abort_was_asked_for
        self.tracked.on_failure = self._disk_is_full

    # -- from other threads ------------------------------------------------------------------

    def _look(self, execution: int) -> Iterator[ActionRecord]:
        for each in tuple(self._records):
            yield from each.changed(execution)

    def _abort_was_asked_for(self) -> None:
        self.abort("an abort was asked for")

    def _disk_is_full(self, failure: StoreError) -> None:
        self.abort(str(failure))

    def abort(self, reason: str) -> None:
        """Cancel what runs in it, and whatever joins it later."""
        with self._guard:
            self.aborted = self.aborted or reason
            live = tuple(self._live.items())
        for execution, token in live:
            try:
                token.run_sync_soon(execution.cancel, reason)
            except trio.RunFinishedError:  # it has ended just now
                continue

    # -- in the event loop -------------------------------------------------------------------

    def join(self, execution: "Execution") -> None:
        """Have a workflow recorded that is about to run.

        Raises:
            RuntimeError: the execution has ended.
        """
        from ..tasks._node_records import NodeRecords

        if self.is_over:
            raise RuntimeError(
                f"the execution of the run {self.context.run_name!r} has ended, so its run_context "
                "takes nothing more; stay inside of the block that opened it"
            )
        self._joined += 1
        prefix = "" if self._joined == 1 else f"{execution.workflow}-{self._joined}/"
        if self._joined == 1:
            self.tracked.name_target(execution.workflow)
        records = NodeRecords(execution)
        self._prefixes[execution] = prefix
        records.begin()
        self._records.append(_Prefixed(records, prefix))
        keep_outputs(execution, self.tracked, prefix)

    @contextmanager
    def during(self, execution: "Execution") -> Generator[None, None, None]:
        """Let an abort reach the workflow while it runs."""
        with self._guard:
            self._live[execution] = trio.lowlevel.current_trio_token()
            aborted = self.aborted
        if aborted is not None:
            execution.cancel(aborted)
        try:
            yield
        finally:
            with self._guard:
                del self._live[execution]

    def settle(self, execution: "Execution") -> "WorkflowResult":
        """Note how a workflow has ended, and return that."""
        result = execution.result()
        prefix = self._prefixes.pop(execution, "")
        # Workflows may have equal names, so the nodes tell which one it was.
        which = (execution.workflow, *execution.cells)
        self.outcomes.append(
            Outcome(
                workflow=which,
                status=result.status,
                error=result.error,
                node=result.failed_node,
            )
        )
        self.outputs.update({f"{prefix}{name}": each for name, each in result.outputs.items()})
        return result
