"""The machine on a terminal, and the closing report."""

from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import rich
from rich.console import Console
from rich.errors import LiveError
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trouper import WorkflowResult

from .machine import Process, Vitals

KEPT_ALERTS = 5


class Screen:
    """What is shown now. Its texts are plain already: see `plain`."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self.is_on = live is not None
        self._vitals: Vitals | None = None
        self._processes: Sequence[Process] = ()
        self._alerts: deque[str] = deque(maxlen=KEPT_ALERTS)

    def show(
        self,
        *,
        vitals: Vitals | None = None,
        processes: Sequence[Process] | None = None,
        alert: str | None = None,
    ) -> None:
        """Draw what has changed; without a terminal this does nothing."""
        self._vitals = vitals or self._vitals
        self._processes = self._processes if processes is None else processes
        if alert is not None:
            self._alerts.append(alert)
        if self._live is not None:
            self._live.update(self.draw(), refresh=True)

    def draw(self) -> Table:
        table = Table(title="this machine", show_header=False, min_width=60)
        for name, text in self._rows():
            # Text, not str: rich would read [brackets] in a process name as markup.
            table.add_row(Text(name), Text(text, overflow="ellipsis", no_wrap=True))
        return table

    def _rows(self) -> Iterator[tuple[str, str]]:
        if (vitals := self._vitals) is not None:
            cores = vitals.cpu or (0.0,)
            mean = sum(cores) / len(cores)
            yield "cpu", f"{mean:5.1f} %   busiest of {len(cores)} cores {max(cores):5.1f} %"
            yield "memory", f"{vitals.memory:5.1f} %"
            yield from ((name, f"{rate / 1e6:9.3f} MB/s") for name, rate in vitals.rates.items())
        for each in self._processes:
            yield (
                f"process {each.pid}",
                f"{each.cpu:5.1f} %  {each.memory / 1e6:8.1f} MB  {each.name}",
            )
        yield from (("alert", alert) for alert in self._alerts)


@contextmanager
def open_screen(wanted: bool, console: Console | None = None) -> Generator[Screen]:
    """Give a screen that draws if it is wanted and the output is a terminal.

    Args:
        console: rich's own if left out, which `trouper run` draws on too: what is drawn here then
            stands below its picture.
    """
    console = rich.get_console() if console is None else console
    live = Live(console=console, auto_refresh=False)
    if not (wanted and console.is_terminal and _can_start(live)):
        yield Screen(None)
        return
    try:
        yield Screen(live)
    finally:
        live.stop()


def _can_start(live: Live) -> bool:
    try:
        live.start()
    except LiveError:  # before rich 14.1 one picture at a time was all
        return False
    return True


def closing_report(result: WorkflowResult) -> str:
    """Return how a run ended: nodes, the ledger of each edge, dead letters."""
    lines = [f"{result.run_name}: {result.status} after {result.seconds:.1f} s {result.reason}"]
    lines += [f"{'node':<18}{'state':<11}{'restarts':>9}{'redelivered':>12}{'dead letters':>13}"]
    for node in result.nodes.values():
        restarts = max(0, node.incarnation - 1)
        lines.append(
            f"{node.name:<18}{node.state:<11}{restarts:>9}{node.redelivered:>12}"
            f"{node.dead_lettered:>13}"
        )
    lines += [f"{'edge':<34}{'sent':>8} = {'acked':>8} + dead + expired + dropped"]
    for edge in result.edges:
        name, dropped = f"{edge.source} -> {edge.target}", sum(edge.dropped.values())
        ended = "closed" if edge.is_closed else f"OPEN: {edge.queued} queued, {edge.leased} leased"
        lines.append(
            f"{name:<34}{edge.sent:>8} = {edge.acknowledged:>8} + {edge.dead_lettered:>4} + "
            f"{edge.expired:>7} + {dropped:>7}  {ended}"
        )
    lines.append(f"dead letters: {len(result.dead_letters)}{_reasons(result)}")
    return "\n".join(line.rstrip() for line in lines)


def _reasons(result: WorkflowResult) -> str:
    reasons = Counter(
        f"{letter.node}, {letter.reason}, after {letter.envelope.attempt} attempts"
        for letter in result.dead_letters
    )
    return "".join(f"\n  {count} x {reason}" for reason, count in reasons.items())
