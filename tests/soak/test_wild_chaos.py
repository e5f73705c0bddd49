"""Chaos over everything that a graph can say, while a run's handle is used at random.

Ids are counted at the sources and at the sinks. A failure prints its seed:
`TROUPER_SOAK_SEED=<seed>` runs that graph alone.
"""

import logging
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import trio
from attrs import define, field

import trouper
from harness.faults import Faults, deterministic
from harness.ids import Item, assert_edges_closed
from harness.soaking import SECONDS, soak
from harness.wild_bodies import ASKS, Minor
from harness.wild_graph import Wild


@define
class WildPlan:
    """One random graph, and what is done to it."""

    seed: int
    rng: random.Random = field(init=False)
    faults: Faults = field(init=False)
    wild: Wild = field(init=False)
    workflow: trouper.Workflow = field(init=False)
    ending: str = field(init=False)
    held: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.faults = Faults(self.seed)
        self.wild, self.workflow = Wild.drawn(self.seed + 1, self.faults, lossy=rng.random() < 0.2)
        self.ending = rng.choice(["end", "end", "drain", "drain", "cancel", "outside"])
        if rng.random() < 0.7:
            for point in ("yield", "handle", "sent", "start", "finish", "key", "settled"):
                chance = rng.choice([0.0, 0.0, 0.02, 0.1])
                self.faults.fail_randomly(point, chance=chance, most=60)
            self.faults.fail_randomly("minor", chance=rng.choice([0, 0.05]), most=60, error=Minor)

    async def run(self) -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        harness = deterministic(
            operations=self.rng.choice([1, 3, 16, 1000]), seed=self.seed, probe=self.faults
        )
        run = self.workflow.open(harness=harness)
        with trio.fail_after(100_000), trio.move_on_after(50_000) as scope:
            async with run:
                await self._live(run)
                await self._end(run, scope)
        left = trio.lowlevel.current_statistics().tasks_living
        assert left == before, f"{left - before} tasks are left"
        self.check(await run.wait())

    async def _live(self, run: trouper.LiveRun) -> None:
        for _ in range(self.rng.choice([0, 0, 3, 10, 30])):
            await trio.sleep(self.rng.choice([0.0, 0.0, 0.01, 0.3, 2.0]))
            with trio.move_on_after(self.rng.choice([0.0, 0.1, 20.0])):
                with suppress(trouper.NotRunning, *ASKS):
                    await self._do(run, self.rng.choice(self.wild.actors))
        for name in sorted(self.held):
            run.resume(name)

    async def _do(self, run: trouper.LiveRun, node: str) -> None:
        rng = self.rng
        deed = rng.choice(
            ["pause", "resume", "resume", "reconfigure", "reconfigure", "status", "stream", "send"]
            + ["ask", "redeliver", "stop", "kill"] * (rng.random() < 0.5)
        )
        if deed == "pause":
            run.pause(node)
            self.held.add(node)
        elif deed == "resume":
            run.resume(node)
        elif deed == "stop":
            self.wild.ends_early = True
            await run.stop(node)
        elif deed == "kill":
            self.wild.ends_early = True
            run.kill(node)
        elif deed == "status":
            run.status()
        elif deed == "reconfigure":
            await self._reconfigure(run, node)
        elif deed == "redeliver":
            await run.redeliver(lambda each: "/_child" not in each.node and rng.random() < 0.5)
        elif deed == "send":
            if not node.startswith(("source", "idle")):
                await self._send(run, node)
        elif deed == "stream":
            with trio.move_on_after(1.0):
                async with run.stream(node, capacity=2, overflow="block") as stream:
                    async for _ in stream:
                        await trio.sleep(0.01)
        elif self.wild.asks:
            await run.ask(Item("question"), to="answers", timeout=3.0)

    async def _send(self, run: trouper.LiveRun, node: str) -> None:
        item = Item(f"outside-{self.rng.random()}")
        with suppress(ValueError):  # one that joins is told `source=`
            await run.send(item, to=node, timeout=self.rng.choice([None, 0.1, 5.0]))

    async def _reconfigure(self, run: trouper.LiveRun, node: str) -> None:
        rng = self.rng
        changes: dict[str, Any] = rng.choice(
            [
                {"rate": rng.choice([1000.0, None])},
                {"max_attempts": 2},
                {"config": {"n": rng.random()}},
                {"capacity": rng.choice([1, 5, 100])},
                {"concurrency": rng.choice([1, 2, 6])},
                {"timeout": 4.0},
                {"max_attempts": 4, "config": {}, "probation": 1.0},
            ]
        )
        with suppress(ValueError, TypeError):  # it makes no sense for this node
            await run.reconfigure(node, **changes)

    async def _end(self, run: trouper.LiveRun, scope: trio.CancelScope) -> None:
        if self.ending == "end":
            with trio.move_on_after(1000):
                # A run has no event for the end of some of its nodes.
                while not _are_over(run):  # noqa: ASYNC110  # nothing tells of it
                    await trio.sleep(5)
        else:
            await trio.sleep(self.rng.choice([0.0, 0.05, 1.0, 5.0]))
        if self.ending == "cancel":
            run.cancel()
        elif self.ending == "outside":
            scope.cancel()
            await trio.lowlevel.checkpoint()
        else:
            await run.drain(5_000)

    def check(self, result: trouper.WorkflowResult) -> None:
        assert_edges_closed(result)
        self._check_letters(result)
        assert {node.state for node in result.nodes.values()} <= {"done", "failed", "cancelled"}
        self._check_told()
        if self.ending in ("cancel", "outside") or result.status == "failed":
            return
        assert result.cut_short == ()
        assert result.status == "completed", result.reason
        self._check_ids(result)

    def _check_letters(self, result: trouper.WorkflowResult) -> None:
        """There is a dead letter for whatever the edges count as one."""
        letters = Counter(letter.node for letter in result.dead_letters)
        counted = Counter[str]()
        for edge in result.edges:
            counted[edge.target] += edge.dead_lettered + edge.expired
        for node, n in counted.items():
            if not self.wild.joined:
                assert n <= letters[node], f"{node} gave up {n}, and only {letters[node]} are kept"

    def _check_told(self) -> None:
        """Whoever asked how its messages end has heard it of each one, once."""
        ledger, wild = self.wild.ledger, self.wild
        ours = {each for each in ledger.accepted if each.split("-")[0] in wild.followed}
        silent = {each for each in ours if not wild.told[each]}
        assert not silent, f"nothing was heard of {sorted(silent)[:9]}"
        often = [each for each, n in wild.told.items() if n > ledger.offered[each]]
        assert not often, f"heard too often of {sorted(often)[:9]}"
        for handler in wild.handlers:
            assert handler.in_hand == 0
            assert handler.peak <= handler.most, f"{handler.name} had {handler.peak} in hand"
            if handler.follows and handler.is_exact:
                assert handler.done <= handler.heard <= handler.begun, handler.name

    def _check_ids(self, result: trouper.WorkflowResult) -> None:
        ledger, wild = self.wild.ledger, self.wild
        seen = {each for noted in ledger.sinks.values() for each in noted.seen}
        if wild.ends_early:
            return
        gone = sum(
            edge.dead_lettered + edge.expired + sum(edge.dropped.values()) for edge in result.edges
        )
        into = {each.target: set[str]() for each in result.edges}
        for edge in result.edges:
            into[edge.target].add(edge.source)
        reached = {each for name in ledger.sinks for each in _upstream(name, into)}
        ours = {each for each in ledger.accepted if each.split("-")[0] in reached}
        missing = ours - seen
        dead_ends = {n for n in into if not n.startswith("sink")} - reached
        if not dead_ends:
            unseen = {each for each in wild.acknowledged if each in ours} - seen
            assert not unseen, f"acknowledged, and not seen: {sorted(unseen)[:9]}"
            assert len(missing) <= gone, f"lacks {sorted(missing)[:9]}; only {gone} counted"


def _upstream(name: str, into: dict[str, set[str]]) -> set[str]:
    found, todo = set[str](), [name]
    while todo:
        for each in into.get(todo.pop(), ()):
            if each not in found:
                found.add(each)
                todo.append(each)
    return found


def _are_over(run: trouper.LiveRun) -> bool:
    nodes = run.status().nodes
    over = ("done", "failed", "cancelled")
    return all(node.state in over for name, node in nodes.items() if name.startswith("source"))


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
def test_no_combination_loses_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """X6, X10, X12, B2t, B5t, B6t: whatever is combined, every message is accounted for."""
    caplog.set_level(logging.CRITICAL, "trouper")
    soak(lambda seed: WildPlan(seed).run())
