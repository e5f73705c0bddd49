"""Chaos: random graphs with random crashes, cancels, slow bodies, full buffers and drains.

Ids are counted at the sources and at the sinks; trouper's own counters have to agree. Every graph
comes from a seed, which a failure prints: `TROUPER_SOAK_SEED=<seed>` runs that graph alone. Without
TROUPER_SOAK_SECONDS (which `make soak` sets) the seeds are the same each time.
"""

import logging
import random
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from attrs import define, field

import trouper
from harness.faults import Faults, Injected, deterministic
from harness.ids import Ledger, assert_edges_closed
from harness.soaking import SECONDS, soak

LOSSY: tuple[trouper.OverflowPolicy, ...] = ("drop_oldest", "drop_newest", "latest")
PACES = (0.0, 0.0, 0.0, 0.01, 0.3)


@define
class Plan:
    """One random graph, and what is done to it."""

    seed: int
    rng: random.Random = field(init=False)
    ledger: Ledger = field(factory=Ledger, init=False)
    faults: Faults = field(init=False)
    lossy: bool = field(init=False)
    """Whether some edge may drop."""
    joined: bool = False
    """Whether some node joins: what has no partner is dropped, and counted."""
    ending: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.faults = Faults(self.seed)
        self.lossy = self.rng.random() < 0.3
        self.ending = self.rng.choice(["end", "end", "drain", "drain", "cancel", "outside"])
        if self.rng.random() < 0.7:
            for point in ("yield", "handle", "sent", "start", "finish"):
                self.faults.fail_randomly(point, chance=self.rng.choice([0.0, 0.02, 0.1]), most=60)

    def workflow(self) -> trouper.Workflow:
        wf = trouper.Workflow("chaos")
        names: list[str] = []
        for number in range(self.rng.randint(1, 3)):
            names.append(f"source{number}")
            body = self.ledger.source(
                self.rng.choice([0, 3, 40, 150]),
                names[-1],
                every=self.rng.choice(PACES),
                faults=self.faults,
            )
            wf.actor(**self._options())(body)
        for number in range(self.rng.randint(0, 4)):
            name = f"relay{number}"
            body = self.ledger.relay(name, seconds=self.rng.choice(PACES), faults=self.faults)
            wf.actor(**self._options(names))(body)
            names.append(name)
        for number in range(self.rng.randint(1, 2)):
            body = self.ledger.sink(
                f"sink{number}", seconds=self.rng.choice(PACES), faults=self.faults
            )
            wf.actor(**self._options(names, is_sink=True))(body)
        return wf

    def _options(self, names: list[str] | None = None, *, is_sink: bool = False) -> dict[str, Any]:
        rng = self.rng
        options: dict[str, Any] = {
            "max_restarts": 100_000,
            "max_attempts": rng.choice([1, 3, None]),
            "backoff": trouper.Backoff(min=0.01, max=rng.choice([0.01, 2.0])),
            "on_redelivery": rng.choice(["repeat", "repeat", "skip", "hold"]),
        }
        if names is not None:
            # Zip holds its upstreams up for each other: what they have in common could deadlock.
            zips = is_sink and "source1" in names and rng.random() < 0.2
            among = ["source0", "source1"] if zips else names
            chosen = rng.sample(among, min(len(among), 2 if zips else rng.choice([1, 1, 2, 3])))
            options["depends_on"] = {name: self._edge() for name in chosen}
            options["capacity"] = rng.choice([1, 2, 7, 64])
            if zips or (len(chosen) > 1 and rng.random() < 0.2):
                options["fan_in"] = "zip" if zips else "latest"
                self.joined = True
        return options

    def _edge(self) -> trouper.Edge:
        if self.lossy and self.rng.random() < 0.5:
            return trouper.Edge(
                capacity=self.rng.randint(1, 5),
                overflow=self.rng.choice(LOSSY),
                keep_dropped=self.rng.random() < 0.5,
            )
        return trouper.Edge(capacity=self.rng.choice([None, 0, 1, 3]))

    async def run(self) -> None:
        harness = deterministic(
            operations=self.rng.choice([1, 3, 16, 1000]), seed=self.seed, probe=self.faults
        )
        run = self.workflow().open(harness=harness)
        with trio.move_on_after(10_000) as scope:
            async with run:
                await self._end(run, scope)
        result = await run.wait()
        self.check(result)

    async def _end(self, run: trouper.LiveRun, scope: trio.CancelScope) -> None:
        if self.ending != "end":
            await trio.sleep(self.rng.choice([0.0, 0.05, 1.0, 5.0]))
        if self.ending == "cancel":
            run.cancel()
        elif self.ending == "outside":
            scope.cancel()
            await trio.lowlevel.checkpoint()
        elif self.ending == "drain":
            await run.drain(5_000)

    def check(self, result: trouper.WorkflowResult) -> None:
        assert_edges_closed(result)
        assert {node.state for node in result.nodes.values()} <= {"done", "failed", "cancelled"}
        assert result.error is None or isinstance(result.error, Injected)
        if self.ending in ("cancel", "outside"):
            assert result.status in ("cancelled", "completed", "failed")
            return
        assert result.status == "completed", result.reason
        assert result.cut_short == ()
        self._check_ids(result)

    def _check_ids(self, result: trouper.WorkflowResult) -> None:
        """Every id that a source had accepted is accounted for on each way to each sink."""
        reached = _reach(result)
        for name, noted in self.ledger.sinks.items():
            ours = {each for each in self.ledger.accepted if each.split("-")[0] in reached[name]}
            missing = ours - set(noted.seen)
            gone = sum(
                edge.dead_lettered + edge.expired + sum(edge.dropped.values())
                for edge in result.edges
                if edge.target == name or edge.target in reached[name]
            )
            assert len(missing) <= gone, f"{name} lacks {sorted(missing)[:9]}; only {gone} counted"
            strange = set(noted.seen) - set(self.ledger.offered)
            assert not strange, f"{name} saw {sorted(strange)[:9]}, which nobody sent"
            if not (self.faults.injected or self.lossy or self.joined):
                assert not missing


def _reach(result: trouper.WorkflowResult) -> Mapping[str, set[str]]:
    """Return what lies upstream of each node."""
    into: dict[str, set[str]] = {name: set() for name in result.nodes}
    for edge in result.edges:
        into[edge.target].add(edge.source)
    for _ in into:
        for found in into.values():
            found |= {each for name in tuple(found) for each in into.get(name, ())}
    return into


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
def test_no_chaos_loses_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """X6, X10, X12, B5t, B6t: whatever happens, every message is accounted for."""
    caplog.set_level(logging.CRITICAL, "trouper")
    soak(lambda seed: Plan(seed).run())
