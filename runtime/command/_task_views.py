"""What `trouper run FILE TASK` shows while it goes on: lines, where nobody looks on, or nothing."""

import time
from typing import TextIO

from .._cli_plain import PlainView
from .._cli_text import plain
from ..tasks._run import TaskRun
from ._action_tree import glance_at, tally


class PlainTaskView(PlainView):
    """A status line every few seconds. When nobody reads it any more, the run is aborted."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._began = time.monotonic()

    async def watch_task(self, run: TaskRun) -> None:
        """Say that it starts, and where it stands. Runs until it is cancelled."""
        self.say(f"run {plain(run.name)} of {run.work.name}: started; Ctrl-C cancels it")
        await self.follow(lambda: status_line(run, time.monotonic() - self._began))
        run.abort("nobody reads what it prints")


class SilentTaskView(PlainTaskView):
    """Says only what it is given to say: of a dry run nothing starts, and nothing completes."""

    async def watch_task(self, run: TaskRun) -> None:
        """Say nothing."""


def status_line(run: TaskRun, seconds: float) -> str:
    """Return one line: how far it is, and what it does."""
    found = tally(glance_at(run, 0))
    at = f": {', '.join(found.running)}" if found.running else ""
    return f"[{seconds:6.1f} s] {run.phase}, {found.text()}{at}"
