"""Messages that come again after a while, during which others go on."""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """The messages of one mailbox that wait out their redelivery delay, the next one due first.

    They count against a bound of their own: while it is reached no new message is taken, or failing
    messages would go round the bounds of the edges (case X21).
    """

    def __init__(self, delay_of: Callable[[int], float], most: float) -> None:
        """Begin empty.

        Args:
            delay_of: number of failed attempts -> seconds until the next.
            most: how many may wait before no new message is taken.
        """
        self.delay_of = delay_of
        self.most = max(1, most)
        self._heap: list[tuple[float, int, T]] = []
        self._added = 0

    def add(self, item: T, *, failed: int, now: float) -> bool:
        """Keep an item for its delay; return False if it is to come again at once."""
        delay = self.delay_of(failed)
        if delay > 0:
            self._added += 1  # two that are due at one instant keep their order
            heapq.heappush(self._heap, (now + delay, self._added, item))
        return delay > 0

    @property
    def next_at(self) -> float:
        """When the first one is due; only if there is one."""
        return self._heap[0][0]

    def is_full(self) -> bool:
        return len(self._heap) >= self.most

    def take_due(self, now: float) -> list[T]:
        """Take out those whose time has come, in the order of their times."""
        due: list[T] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due

    def waiting(self) -> list[T]:
        """Return all of them, in the order of their times."""
        return [item for _, _, item in sorted(self._heap, key=lambda each: each[:2])]

    def __len__(self) -> int:
        return len(self._heap)
