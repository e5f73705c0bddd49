"""Messages per second that can be read: over a window, not from one look to the next."""

from collections import deque
from collections.abc import Mapping

from ._report import NodeReport

WINDOW = 3.0
"""Seconds that a rate is taken over."""

Counts = Mapping[str, tuple[int, int]]
"""Node -> messages received and sent so far."""


class Rates:
    """Looks back as far as `WINDOW`."""

    def __init__(self, nodes: Mapping[str, NodeReport]) -> None:
        zero = dict.fromkeys(nodes, (0, 0))
        self._looks: deque[tuple[float, Counts]] = deque([(0.0, zero)])

    def look(
        self, seconds: float, nodes: Mapping[str, NodeReport]
    ) -> Mapping[str, tuple[float, float]]:
        """Return messages received and sent per second by each node.

        Args:
            seconds: since the start of the run; never less than last time.
        """
        counts = {name: (node.received, node.sent) for name, node in nodes.items()}
        self._looks.append((seconds, counts))
        while len(self._looks) > 2 and self._looks[1][0] <= seconds - WINDOW:
            self._looks.popleft()
        then, before = self._looks[0]
        span = max(seconds - then, 1e-3)
        return {
            name: ((received - before[name][0]) / span, (sent - before[name][1]) / span)
            for name, (received, sent) in counts.items()
        }
