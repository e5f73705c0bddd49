"""What `trouper run FILE TASK` shows on a terminal: the tree of its actions, redrawn."""

import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.text import Text

from .._cli_live import LiveView
from .._cli_text import plain
from ..tasks._action import ActionReport, Phase
from ..tasks._run import TaskRun
from ._action_tree import Line, tally, tree_lines

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
            return draw_actions(run.name, run.actions(), seconds=seconds, rows=rows - _AROUND)

        await self.follow(look)


def draw_actions(name: str, root: ActionReport, *, seconds: float, rows: int) -> Group:
    """Return the picture of a run of a task.

    Args:
        rows: lines that actions may take.
    """
    head = Text.assemble(
        (plain(name), "bold"),
        f"  {root.phase} {seconds:.1f} s  {tally(root).text()}  ",
        ("Ctrl-C cancels", "dim"),
    )
    return Group(head, *map(_text, tree_lines(root, most=max(1, rows))))


def _text(line: Line) -> Text:
    text = Text(f"{'  ' * line.depth}{line.name}", no_wrap=True, overflow="ellipsis")
    text.append(f"  {line.phase or ''}", _STYLES[line.phase])
    text.append(f"  {line.rest}" if line.rest else "", "dim")
    return text
