"""Ending a run in order: sources end, what was accepted is handled, and what won't end is named."""

from typing import TYPE_CHECKING

import trio

from ..actors._child import ActorChild
from ..actors._lifecycle import State
from ._drain_log import DrainLog, tally
from ._drain_report import DrainReport
from ._sources import ENDED, is_fed, stop_source
from ._wiring import Cell

if TYPE_CHECKING:
    from ._execution import Execution


async def drain(run: "Execution", budget: float) -> None:
    """End the sources, let everything that was accepted be handled, then return.

    A source that has not ended after half the budget is cancelled; after all of it the rest is, and
    with it who still handles what came from outside.

    Args:
        budget: seconds.
    """
    now = trio.current_time()
    until = now + budget
    if run.status == "running":
        run.status = "draining"
        children = [cell.child for cell in run.cells.values()]
        run.drain_log = DrainLog(began_at=now, budget=budget, before=tally(children))
        run.desk.resume_all()
        _stop_sources(run)
    if not run.sources:
        run.sources_ended.set()
    with trio.move_on_at(now + budget / 2):
        await run.sources_ended.wait()
    for cell in tuple(run.sources.values()):
        child = cell.child
        # One that waits for a batch input has not begun; it ends with its first message.
        if child.state in (State.WAITING, *ENDED) or (
            isinstance(child, ActorChild) and is_fed(child)
        ):
            continue
        _cut(run, cell)
        child.retire()
    with trio.move_on_at(until):
        await run.finished.wait()
    if not run.finished.is_set():
        for cell in run.cells.values():
            if cell.child.state not in ENDED:
                _cut(run, cell)
        run.cancel(f"the drain took longer than its budget of {budget:g} s")
        await run.finished.wait()


def _stop_sources(run: "Execution") -> None:
    for outlet in run.inlets.values():
        outlet.end()
    for cycles in run.cycles.values():
        for cycle in cycles:
            cycle.release()
    for name, cell in run.cells.items():
        child = cell.child
        if not isinstance(child, ActorChild):
            continue
        child.stopping.set()
        if name in run.sources:
            stop_source(child, "the run drains")


def _cut(run: "Execution", cell: Cell) -> None:
    if cell.node.name not in run.cut_short:
        run.cut_short.append(cell.node.name)


def report_drain(run: "Execution") -> DrainReport | None:
    """Return how the drain went, once the run has ended; None if there was none."""
    if run.drain_log is None:
        return None
    children = [cell.child for cell in run.cells.values()]
    return run.drain_log.report(children, run.ended_at, run.cut_short)
