"""How a measurement is taken: variants in turn, round after round.

Machines drift while a benchmark runs. So the variants of a contest are interleaved, each starting
another round, and only ratios of figures of the same contest are judged. The stopwatch counts the
processor time of this process where nothing waits (all but the ticker), so that what else the
machine does falls out; and what runs in one thread stays on one processor, so that it finds its
caches as it has left them.
"""

import gc
import os
import statistics
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

Sample = float | Mapping[str, float]
"""One figure, or several by name: they become variants of their own, `variant name`."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much work a run does."""

    quick: bool = False
    """A smoke run: a few seconds in all, whose figures mean nothing."""

    def n(self, full: int, least: int = 1) -> int:
        """Return how many of `full` messages, actors or tasks to use."""
        return max(least, full // 200) if self.quick else full

    def seconds(self, full: float) -> float:
        return full / 50 if self.quick else full

    def rounds(self, full: int) -> int:
        return 1 if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Variants that are measured side by side."""

    name: str
    title: str
    unit: str
    """Of every sample. Smaller is better."""
    variants: Mapping[str, Callable[[], Sample]]
    rounds: int = 5
    baseline: str = ""
    """The variant that the table compares the others with."""
    one_thread: bool = False
    """Whether nothing but this thread works in it, in any variant."""


@dataclass(frozen=True)
class Series:
    """The samples of one variant, one per round."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def minimum(self) -> float:
        return min(self.values)


def measure(contest: Contest, rounds: int) -> Mapping[str, Series]:
    """Run every variant once per round; return their samples by variant."""
    series: dict[str, Series] = {}
    names = list(contest.variants)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            with on_one_processor() if contest.one_thread else nullcontext():
                sample = contest.variants[name]()
            for key, value in _named(name, sample):
                series.setdefault(key, Series()).values.append(value)
    return series


@contextmanager
def on_one_processor() -> Generator[None]:
    """Keep this thread where it is for a block, if the system can."""
    if sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})  # the first one serves most interrupts
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _named(variant: str, sample: Sample) -> Iterator[tuple[str, float]]:
    if isinstance(sample, Mapping):
        yield from ((f"{variant} {name}".strip(), value) for name, value in sample.items())
    else:
        yield variant, sample
