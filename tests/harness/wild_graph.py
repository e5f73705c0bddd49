"""Random graphs that draw from everything a graph can say: groups, routing, maps, questions, ..."""

import random
from collections import Counter
from typing import Any

from attrs import define, field

import trouper
from harness.faults import Faults, Injected
from harness.ids import ids_of
from harness.wild_bodies import PACES, Handler, Minor, Scene

LOSSY: tuple[trouper.OverflowPolicy, ...] = ("drop_oldest", "drop_newest", "latest")


@define(eq=False)
class Wild(Scene):
    """Draws one graph, and keeps what its bodies saw."""

    lossy: bool = False
    """Whether edges may drop."""
    joined: bool = False
    """Whether some node joins: what has no partner is dropped, and counted."""
    ends_early: bool = False
    """Whether a node may end before its input does, or not pass on what it takes."""
    handlers: list[Handler] = field(factory=list)
    names: list[str] = field(factory=list)
    """What others may read."""
    actors: list[str] = field(factory=list)
    groups: list[Any] = field(factory=list)
    is_second: bool = False
    """Whether `readers` is known from a first drawing."""
    readers: Counter[str] = field(factory=Counter)
    """Node -> how many depend on it; what routes needs several."""

    # -- the graph ---------------------------------------------------------------------------

    @classmethod
    def drawn(cls, seed: int, faults: Faults, *, lossy: bool) -> "tuple[Wild, trouper.Workflow]":
        """Draw a graph twice: the first one tells how many readers each node has."""
        first = cls(random.Random(seed), faults, lossy=lossy)
        first.workflow()
        wild = cls(random.Random(seed), faults, lossy=lossy, readers=first.readers, is_second=True)
        return wild, wild.workflow()

    def workflow(self) -> trouper.Workflow:
        rng = self.rng
        wf = trouper.Workflow("wild")
        for number in range(rng.choice([0, 0, 1, 2, 3])):
            around = rng.choice([wf, *self.groups])
            self.groups.append(
                around.group(
                    f"group{number}",
                    strategy=rng.choice(["one_for_one", "one_for_all", "rest_for_one"]),
                    max_restarts=rng.choice([3, 100_000, 100_000, 100_000]),
                )
            )
            around_of = self.groups[-1]
            self._add(around_of, self.idle(f"idle{number}"), f"idle{number}", [])
        self.asks = rng.random() < 0.3
        if self.asks:
            self._add(wf, self.answers(), "answers", None, capacity=rng.choice([1, 5, 64]))
        for number in range(rng.randint(1, 3)):
            name = f"source{number}"
            self._add(self._place(wf), self.source(name), name, None)
            self.names.append(name)
        for number in range(rng.randint(0, 4)):
            self._middle(wf, number)
        for number in range(rng.randint(1, 3)):
            name = f"sink{number}"
            self._add(self._place(wf), self._handler(name, is_sink=True), name, self.names)
        return wf

    def _place(self, wf: trouper.Workflow) -> Any:
        return self.rng.choice([wf, *self.groups, *self.groups])

    def _middle(self, wf: trouper.Workflow, number: int) -> None:
        rng = self.rng
        kind = rng.choice(["relay", "relay", "relay", "map", "nested", "loop", "task"])
        name = f"{kind}{number}"
        if kind == "map":
            concurrency = rng.choice([1, 2, 5])
            options: dict[str, Any] = {} if concurrency == 1 else {"ordered": rng.random() < 0.5}
            wf.map(
                self.mapped(name),
                over=self._upstreams([rng.choice(self.names)], is_sink=False),
                name=name,
                concurrency=concurrency,
                capacity=rng.choice([1, 2, 64]),
                max_attempts=rng.choice([1, 3]),
                max_restarts=100_000,
                **options,
            )
            self.actors.append(name)
        elif kind == "nested":
            inner = trouper.Workflow("inner")
            self._add(inner, self._handler(f"{name}/into"), f"{name}/into", None, name="into")
            after = {"name": "out", "depends_on": {"into": self._edge()}}
            self._add(inner, self._handler(f"{name}/out"), f"{name}/out", None, **after)
            self._place(wf).add(
                inner, name=name, depends_on=self._upstreams(self.names, is_sink=False)
            )
        elif kind == "loop":
            again = trouper.Edge(feedback=True)
            around = self._upstreams(self.names, is_sink=False) | {name: again}
            self._add(wf, self.loops(name), name, None, depends_on=around)
        elif kind == "task":
            given: dict[str, Any] = rng.choice([{"collect": "all"}, {"default": None}])
            around = self._upstreams([rng.choice(self.names)], is_sink=False)
            wf.task(name=name, depends_on=around, **given)(self.collects)
            return
        else:
            self._add(self._place(wf), self._handler(name), name, self.names)
        self.names.append(name)

    def _add(
        self, place: Any, body: Any, name: str, names: list[str] | None, /, **more: Any
    ) -> None:
        options = self._options(name, names) | more
        for handler in self.handlers:
            if handler.name == name:
                handler.is_exact = options["on_redelivery"] == "repeat"
                # Blocks come in threes; a run's owner may ask for 6 bodies.
                most = options.get("concurrency", 0)
                handler.most = (max(most, 6) if most else 1) * (
                    3 if handler.style == "blocks" else 1
                )
                if self.rng.random() < 0.1 and "/" not in name:
                    handler.watched = self.rng.choice(self.actors)
        self.actors.append(name)
        place.actor(**options)(body)

    def _options(self, name: str, names: list[str] | None) -> dict[str, Any]:
        rng = self.rng
        options: dict[str, Any] = {
            "name": name,
            "restart": rng.choice(["transient"] * 3 + ["permanent"] * bool(names)),
            "max_restarts": 100_000,
            "max_attempts": rng.choice([1, 3, 3]),
            "backoff": trouper.Backoff(min=0.01, max=rng.choice([0.01, 2.0])),
            "on_redelivery": rng.choice(["repeat", "repeat", "skip", "hold"]),
        }
        fan_out = rng.choice(["broadcast", "broadcast", "balance", trouper.Partition(self._key)])
        # What a loop sends must not go to the loop alone, which would be the end of it.
        if self.readers[name.removesuffix("/out")] > 1 and not name.startswith("loop"):
            options["fan_out"] = fan_out
        if rng.random() < 0.2:
            options["restart_on"] = {
                Minor: rng.choice(["restart", "resume", "resume", "stop"]),
                Injected: "restart",
                trouper.HandlerTimeout: "restart",
                trouper.PartitionError: "restart",
            }
            self.ends_early |= options["restart_on"][Minor] == "stop"
        if rng.random() < 0.15:
            options["rate"] = rng.choice([5.0, 100.0, trouper.Rate(3, per=1.0)])
        if name.startswith(("source", "idle")):
            return options
        options["capacity"] = rng.choice([1, 2, 7, 64])
        options["concurrency"] = rng.choice([1, 1, 1, 2, 3, 8])
        if options["concurrency"] == 1 and rng.random() < 0.5:
            del options["concurrency"]
        options["copy"] = rng.random() < 0.1
        if rng.random() < 0.2:
            options["timeout"] = rng.choice([0.2, 5.0])
        if rng.random() < 0.25:
            options["redelivery_delay"] = rng.choice([0.01, 1.0, trouper.Backoff(min=0.1, max=3)])
        if names:
            options["depends_on"] = self._upstreams(names, is_sink=name.startswith("sink"))
            if len(options["depends_on"]) > 1 and rng.random() < 0.15:
                options["fan_in"] = "latest"
                options.pop("concurrency", None)
                self.joined = True
        return options

    def _upstreams(self, names: list[str], *, is_sink: bool) -> dict[str, trouper.Edge]:
        most = min(len(names), self.rng.choice([1, 1, 2, 3] if is_sink else [1, 1, 2]))
        chosen = self.rng.sample(names, most)
        if not self.is_second:
            self.readers.update(chosen)
        return {name: self._edge() for name in chosen}

    def _edge(self) -> trouper.Edge:
        if self.lossy and self.rng.random() < 0.3:
            return trouper.Edge(
                capacity=self.rng.randint(1, 5),
                overflow=self.rng.choice(LOSSY),
                keep_dropped=self.rng.random() < 0.5,
            )
        return trouper.Edge(capacity=self.rng.choice([None, 0, 1, 3]))

    def _key(self, message: Any) -> str:
        self.faults.at("key", "")
        return next(iter(ids_of(message)), "")

    def _handler(self, name: str, *, is_sink: bool = False, is_exact: bool = True) -> Any:
        style = self.rng.choice(["loop", "loop", "receive", "many", "blocks", "settles", "spawns"])
        pace = self.rng.choice(PACES)
        follows = not is_sink and self.rng.random() < 0.3
        handle = Handler(self, name, is_sink, style, pace, follows, is_exact=is_exact)
        self.handlers.append(handle)

        async def body(ctx: trouper.ActorContext) -> None:
            await handle.run(ctx)

        body.__name__ = name.replace("/", "_")
        return body
