"""The logs of a run, found by its context: what the rest of the runtime calls."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...actors._run_context import RunContext
from ._file import read_lines
from ._run_logs import LogLines, RunLogs
from ._tap import tapped

if TYPE_CHECKING:
    from .._wiring import Cell

KEY = "logs"
"""Where they stand in `RunContext.kept`."""


def logs_of(context: RunContext) -> RunLogs:
    """Return the logs of a run; of one that was not set up, those that it has by default."""
    known: RunLogs | None = context.kept.get(KEY)
    if known is not None:
        return known
    made = RunLogs(context.run_name, {})
    context.kept[KEY] = made
    return made


def know_nodes(context: RunContext, cells: "Mapping[str, Cell]") -> None:
    """Let the logs of a run know which incarnation of a node speaks: for batch tasks."""

    def incarnation_of(node: str) -> int:
        cell = cells.get(node)
        return 1 if cell is None else cell.child.incarnation

    logs_of(context).incarnation_of = incarnation_of


@contextmanager
def logging_of(context: RunContext, folder: Path | None = None) -> Generator[None, None, None]:
    """Let what runs inside of the block log as the run, and undo that at its end.

    Args:
        folder: where its records are kept besides; nothing is made there before the first one.
    """
    logs = logs_of(context)
    if folder is not None:
        logs.keep_in(folder)
    with tapped(logs):
        yield


def recorded_lines(folder: Path) -> LogLines:
    """Return the records that are kept in a folder, from any process and at any time."""
    return LogLines(read_lines(folder))
