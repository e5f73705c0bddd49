"""Fault points: fail at a chosen place, time and incarnation, or at random by a seed.

`start` and `finish` of every incarnation are called by trouper itself, `Harness(probe=faults)`. A
test's own bodies add points of their own: `faults.at("handle", "relay")`.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial

from attrs import define, field, frozen

import trouper


class Injected(Exception):
    """A failure that a test asked for."""


@frozen
class _Rule:
    point: str
    node: str | None
    visits: Collection[int]
    chance: float
    error: Callable[[str], BaseException]

    def applies(self, point: str, node: str) -> bool:
        return self.point == point and self.node in (None, node)


@define(eq=False)
class Faults:
    """A `Probe` that fails where it was told to, and keeps what it saw.

    The same seed, and the same order of visits, give the same faults.
    """

    seed: int = 0
    visits: Counter[tuple[str, str]] = field(factory=Counter)
    """(point, node) -> times that it was passed. Visits of `start` are incarnations."""
    injected: list[tuple[str, str, int]] = field(factory=list)
    """(point, node, visit) of every failure so far."""
    _rules: list[_Rule] = field(factory=list, init=False)
    _random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def fail(
        self,
        point: str,
        node: str | None = None,
        *,
        visits: Collection[int] = (1,),
        error: Callable[[str], BaseException] = Injected,
    ) -> "Faults":
        """Fail at these visits (from 1) of a point; `range` objects will do. Returns itself.

        Args:
            node: None: at each node, which counts visits of its own.
        """
        self._rules.append(_Rule(point, node, visits, 1.0, error))
        return self

    def fail_randomly(
        self,
        point: str,
        node: str | None = None,
        *,
        chance: float,
        most: int = 1_000_000,
        error: Callable[[str], BaseException] = Injected,
    ) -> "Faults":
        """Fail with a chance at each of the first `most` visits. Returns itself."""
        self._rules.append(_Rule(point, node, range(1, most + 1), chance, error))
        return self

    def at(self, point: str, node: str) -> None:
        """Pass a fault point; raise what the rules say."""
        self.visits[point, node] += 1
        visit = self.visits[point, node]
        for rule in self._rules:
            if not rule.applies(point, node) or visit not in rule.visits:
                continue
            if rule.chance < 1 and self._random.random() >= rule.chance:
                continue
            self.injected.append((point, node, visit))
            raise rule.error(f"{point} of {node}, visit {visit}")

    def harness(self, operations: int = 16) -> trouper.Harness:
        """Return the harness that calls these fault points."""
        return deterministic(operations=operations, seed=self.seed, probe=self)


def deterministic(
    *, operations: int = 16, seed: int = 0, probe: Faults | None = None
) -> trouper.Harness:
    """Return a harness whose slices are so many operations long, and whose jitter has a seed."""
    meter = partial(trouper.OperationMeter, operations)
    return trouper.Harness(meter=meter, seed=seed, probe=probe)
