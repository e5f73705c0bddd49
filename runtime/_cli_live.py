"""What `trouper run` shows on a terminal: one picture of the run, redrawn four times a second."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ._cli_plain import restarts_of
from ._cli_rates import Rates
from ._cli_text import count, plain, rate
from ._report import EdgeReport, NodeReport, StatusReport
from ._run import LiveRun

PACE = 0.25
"""Seconds between two pictures."""
_AROUND = 8
"""Lines of the picture that are no rows."""

_STYLES = {"running": "green", "restarting": "yellow", "failed": "bold red", "cancelled": "red"}


class LiveView:
    """Draws on rich's own console, so that a node which draws there too is shown below it."""

    last_words = b"\x1b[?25h"
    """Shows the cursor, which is hidden meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._thread: int | None = None
        """The one that runs the loop, while the picture is shown."""
        self._waiting: list[str] = []
        # Without a thread of its own (auto_refresh); a log line goes above the picture.
        self._live = Live(
            Text("starting"),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> "LiveView":
        self._thread = threading.get_ident()
        self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._print(self._take())
        self._thread = None

    def say(self, line: str) -> None:
        """Print one harmless line above the picture."""
        if threading.get_ident() == self._thread:
            # Every print draws the picture again: lines wait for the next one.
            self._waiting.append(line)
        else:
            # The watchdog's line can't wait for a loop that is blocked.
            self._print([line])

    async def watch(self, run: LiveRun) -> None:
        """Draw until it is cancelled."""
        rates = Rates(run.status().nodes)
        await self.follow(lambda rows: draw(run.status(), rates, rows=rows - _AROUND))

    async def follow(self, look: Callable[[int], Group]) -> None:
        """Draw what `look` gives, for so many rows, until it is cancelled."""
        while True:
            begin = trio.current_time()
            picture = look(self._console.height)
            lines = self._take()
            self._live.update(picture, refresh=not lines)
            self._print(lines)
            # A large picture is drawn less often: never more than a twentieth of the time.
            await trio.sleep(max(PACE, 20 * (trio.current_time() - begin)))

    def _take(self) -> Sequence[str]:
        lines, self._waiting = self._waiting, []
        return lines

    def _print(self, lines: Sequence[str]) -> None:
        if lines:
            self._console.print(Text("\n".join(lines)), soft_wrap=True)


def draw(status: StatusReport, rates: Rates, *, rows: int) -> Group:
    """Return the picture of a run.

    Args:
        rows: lines that nodes and edges together may take.
    """
    per_second = rates.look(status.seconds, status.nodes)
    nodes, edges = list(status.nodes.values()), status.edges
    for_nodes = max(1, min(len(nodes), rows - min(len(edges), max(1, rows // 3))))
    for_edges = max(1, rows - for_nodes)
    return Group(
        _headline(status),
        _nodes(nodes[:for_nodes], per_second, len(nodes)),
        _edges(edges[:for_edges], len(edges)),
    )


def _headline(status: StatusReport) -> Text:
    restarts = sum(restarts_of(node) for node in status.nodes.values())
    return Text.assemble(
        (plain(status.workflow), "bold"),
        f"  {status.status} {status.seconds:.1f} s  {count(restarts, 'restart')}  "
        f"{count(status.dead_letters, 'dead letter')}  ",
        ("Ctrl-C drains", "dim"),
    )


def _nodes(
    nodes: Sequence[NodeReport], per_second: Mapping[str, tuple[float, float]], in_all: int
) -> Table:
    table = _table("node", "state", numbers=("incarn.", "in", "out", "depth", "restarts", "dead"))
    for node in nodes:
        received, sent = per_second[node.name]
        table.add_row(
            Text(plain(node.name)),
            Text(node.state, _STYLES.get(node.state, "")),
            Text(str(node.incarnation)),
            Text(rate(received)),
            Text(rate(sent)),
            Text(f"{node.depth:,}"),
            Text(f"{restarts_of(node):,}", "yellow" if restarts_of(node) else ""),
            Text(f"{node.dead_lettered:,}", "red" if node.dead_lettered else ""),
        )
    return _with_rest(table, in_all - len(nodes))


def _edges(edges: Sequence[EdgeReport], in_all: int) -> Table:
    table = _table("edge", "overflow", numbers=("depth", "of", "peak", "dropped", "blocked"))
    for edge in edges:
        dropped = sum(edge.dropped.values())
        full = edge.queued >= edge.capacity > 0
        table.add_row(
            Text(plain(f"{edge.source} -> {edge.target}")),
            Text(edge.overflow),
            Text(f"{edge.queued:,}", "yellow" if full else ""),
            Text(f"{edge.capacity:,.0f}"),
            Text(f"{edge.peak:,}"),
            Text(f"{dropped:,}", "yellow" if dropped else ""),
            Text(f"{edge.blocked:.1f} s"),
        )
    return _with_rest(table, in_all - len(edges))


def _table(*words: str, numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for word in words:
        table.add_column(word, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _with_rest(table: Table, rest: int) -> Table:
    if rest > 0:
        table.add_row(Text(f"and {rest:,} more", "dim"))
    return table
