"""Records of the nodes of a graph: told when they change, to whoever looks from another thread."""

from collections.abc import Iterator
from time import time
from typing import TYPE_CHECKING

import trio

from ...actors._record import Child
from ...actors._secret import mask_text
from .._sources import ENDED
from ..store._records import ActionRecord, Phase

if TYPE_CHECKING:
    from .._execution import Execution

_PHASES: dict[str, Phase] = {"done": "completed", "failed": "failed", "cancelled": "cancelled"}


class NodeRecords:
    """What is recorded of the nodes of one execution."""

    def __init__(self, execution: "Execution") -> None:
        self._execution = execution
        self._told: dict[str, tuple[str, int]] = {}
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._ahead = 0.0
        """By how much seconds since the epoch are ahead of trio's clock."""
        execution.on_end = self._note_end

    def begin(self) -> None:
        """Called in the event loop before the graph runs."""
        self._ahead = time() - trio.current_time()

    def _note_end(self, child: Child) -> None:
        self._ended[child.name] = time()

    def times(self, name: str) -> tuple[float, float]:
        """Return when a node began and ended, in seconds since the epoch; 0: it has not."""
        run = self._execution
        cell = run.cells.get(name) or run.spawner.cells.get(name)
        if cell is None or not cell.child.incarnation:
            return 0.0, 0.0
        child = cell.child
        began = self._began.setdefault(name, self._ahead + child.started_at)
        return began, self._ended.get(name, time()) if child.state in ENDED else 0.0

    def changed(self, execution: int) -> Iterator[ActionRecord]:
        """Yield the nodes that have changed since the last time."""
        run = self._execution
        for name, cell in (*list(run.cells.items()), *list(run.spawner.cells.items())):
            child = cell.child
            now = (child.state.value, child.incarnation)
            if child.incarnation and self._told.get(name) != now:
                self._told[name] = now
                yield self._record(execution, child)

    def _record(self, execution: int, child: Child) -> ActionRecord:
        began = self._began.setdefault(child.name, self._ahead + child.started_at)
        is_over = child.state in ENDED
        failure = child.failures[-1] if child.failures else None
        return ActionRecord(
            execution=execution,
            name=child.name,
            task=child.name,
            phase=_PHASES.get(child.state.value, "running"),
            attempts=child.incarnation,
            started=began,
            ended=self._ended.get(child.name, time()) if is_over else None,
            error_code=None if failure is None else failure.type,
            error=None if failure is None else mask_text(failure.message),
        )
