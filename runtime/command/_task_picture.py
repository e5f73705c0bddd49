"""What `trouper run FILE TASK` shows on a terminal: the tree of its actions, redrawn."""

import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.text import Text

from .._cli_live import LiveView
from .._cli_text import plain
from ..tasks._action import Phase
from ..tasks._glance import Glance
from ..tasks._run import TaskRun
from ._action_tree import Line, glance_at, tally, tree_lines

_AROUND = 3
"""Lines of the picture that are no actions."""

_STYLES: Mapping[Phase | None, str] = {
    None: "dim",
    "waiting": "dim",
    "running": "yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "red",
}


class LiveTaskView(LiveView):
    """Draws the actions of a run."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._began = time.monotonic()

    async def watch_task(self, run: TaskRun) -> None:
        """Draw until it is cancelled."""

        def look(rows: int) -> Group:
            seconds = time.monotonic() - self._began
            return draw_actions(
                run.name, glance_at(run, rows), seconds=seconds, rows=rows - _AROUND
            )

        await self.follow(look)


def draw_actions(name: str, glance: Glance, *, seconds: float, rows: int) -> Group:
    """Return the picture of a run of a task.

    Args:
        rows: lines that actions may take.
    """
    head = Text.assemble(
        (plain(name), "bold"),
        f"  {glance.root.phase} {seconds:.1f} s  {tally(glance).text()}  ",
        ("Ctrl-C cancels", "dim"),
    )
    lines = tree_lines(glance.root, most=max(1, rows), left_out=glance.left_out)
    return Group(head, *map(_text, lines))


def _text(line: Line) -> Text:
    text = Text(f"{'  ' * line.depth}{line.name}", no_wrap=True, overflow="ellipsis")
    text.append(f"  {line.phase or ''}", _STYLES[line.phase])
    text.append(f"  {line.rest}" if line.rest else "", "dim")
    return text
