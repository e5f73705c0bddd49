"""Bodies that take messages in every way there is, and settle, ask, spawn and fail by a seed."""

import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import trio
from attrs import define, field

import trouper
from harness.faults import Faults, Injected
from harness.ids import Item, Ledger, ids_of

PACES = (0.0, 0.0, 0.0, 0.01, 0.3)
ASKS = (
    trouper.NoReply,
    trouper.AskTimeout,
    trouper.AskCycle,
    trouper.TargetRestarting,
    trouper.NodeEnded,
)


class Minor(Injected):
    """What `restart_on` may answer in another way."""


@define(eq=False)
class Scene:
    """What the bodies of one graph share: where chance comes from, and what they saw."""

    rng: random.Random
    faults: Faults
    ledger: Ledger = field(factory=Ledger)
    told: Counter[str] = field(factory=Counter)
    """Id -> how often `on_settled` spoke of it."""
    acknowledged: set[str] = field(factory=set)
    followed: set[str] = field(factory=set)
    """Sources that have asked how their messages end."""
    asks: bool = False
    """Whether there is a node `answers`."""

    def source(self, name: str) -> Any:
        plain = self.ledger.source(
            self.rng.choice([0, 3, 40, 100]),
            name,
            every=self.rng.choice(PACES),
            faults=self.faults,
        )
        follows = self.rng.random() < 0.6
        if follows:
            self.followed.add(name)

        async def source(ctx: trouper.ActorContext) -> AsyncIterator[Item]:
            if follows:
                ctx.on_settled(self.hear)
            async with aclosing(plain(ctx)) as items:
                async for item in items:
                    yield item

        return source

    def hear(self, settled: trouper.Settled) -> None:
        self.told[settled.payload.id] += 1
        if settled.outcome == "acknowledged":
            self.acknowledged.add(settled.payload.id)
        self.faults.at("settled", "")

    def idle(self, name: str) -> Any:
        """Return a member that only waits, and is stopped and started with its group."""
        crashes = self.rng.random() < 0.5
        pace = self.rng.choice([0.1, 1.0])

        async def idle(ctx: trouper.ActorContext) -> None:
            async for tick in ctx.every(pace):
                if crashes and tick and self.rng.random() < 0.2:
                    raise Injected(name)
                if tick > 30:
                    return

        return idle

    def loops(self, name: str) -> Any:
        """Return a body whose messages come to itself once more."""

        async def loops(ctx: trouper.ActorContext) -> None:
            async for message in ctx:
                self.faults.at("handle", name)
                if name not in message:
                    await ctx.send(message)

        return loops

    async def collects(self, ctx: trouper.TaskContext) -> int:
        await trio.sleep(self.rng.choice(PACES))
        return len(list(ids_of(ctx.inputs)))

    def answers(self) -> Any:
        pace = self.rng.choice(PACES)

        async def answers(ctx: trouper.ActorContext) -> None:
            async for question in ctx:
                self.faults.at("handle", "answers")
                if pace:
                    await trio.sleep(pace)
                if self.rng.random() < 0.8:
                    await ctx.reply(question)

        return answers

    def mapped(self, name: str) -> Any:
        pace = self.rng.choice(PACES)

        async def mapped(item: Any) -> Any:
            self.faults.at("handle", name)
            if pace:
                await trio.sleep(pace * self.rng.random())
            return item

        return mapped


@define(eq=False)
class Handler:
    """One body that takes messages in one of the ways there are."""

    wild: Scene
    name: str
    is_sink: bool
    style: str
    pace: float
    follows: bool
    is_exact: bool
    """Whether each send that returns has placed a message."""
    begun: int = 0
    """Sends that were begun."""
    done: int = 0
    """Sends that returned."""
    heard: int = 0

    watched: str | None = None
    most: float = math.inf
    """Messages that may be handled at a time."""
    in_hand: int = 0
    peak: int = 0

    async def _mourn(self, down: trouper.Down) -> None:
        await trio.sleep(0.01)
        self.wild.faults.at("minor", self.name)

    def hear(self, settled: trouper.Settled) -> None:
        self.heard += 1

    async def run(self, ctx: trouper.ActorContext) -> None:
        if self.follows:
            ctx.on_settled(self.hear)
        if self.watched is not None and self.watched != self.name:
            ctx.watch(self.watched, self._mourn)
        ways: dict[str, Callable[[Any], Any]] = {
            "loop": self._loop,
            "receive": self._receive,
            "many": self._many,
            "blocks": self._blocks,
            "settles": self._settles,
            "spawns": self._spawns,
        }
        await ways[self.style](ctx)

    async def _handle(self, ctx: trouper.ActorContext, message: Any) -> None:
        self.in_hand += 1
        self.peak = max(self.peak, self.in_hand)
        try:
            await self._do(ctx, message)
        finally:
            self.in_hand -= 1

    async def _do(self, ctx: trouper.ActorContext, message: Any) -> None:
        wild = self.wild
        if self.is_sink:
            wild.ledger.note(self.name, message)
        wild.faults.at("handle", self.name)
        wild.faults.at("minor", self.name)
        if self.pace:
            await trio.sleep(self.pace * wild.rng.choice([0.5, 1, 3]))
        if wild.asks and wild.rng.random() < 0.1:
            with suppress(*ASKS):
                await ctx.ask(message, "answers", timeout=wild.rng.choice([0.05, 3.0]))
        if not self.is_sink:
            self.begun += 1
            await ctx.send(message)
            self.done += 1
        wild.faults.at("sent", self.name)

    async def _loop(self, ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await self._handle(ctx, message)

    async def _receive(self, ctx: trouper.ActorContext) -> None:
        while True:
            await self._handle(ctx, await ctx.receive())

    async def _many(self, ctx: trouper.ActorContext) -> None:
        while True:
            for message in await ctx.receive_many(self.wild.rng.choice([1, 3, 64])):
                await self._handle(ctx, message)

    async def _settles(self, ctx: trouper.ActorContext) -> None:
        rng = self.wild.rng
        while True:
            await ctx.receive_many(3)
            for envelope in ctx.messages:
                draw = rng.random()
                if draw < 0.1:
                    ctx.reject("not this one", envelope)
                    continue
                if draw < 0.2:
                    ctx.release(envelope)
                    continue
                await self._handle(ctx, envelope.payload)
                if draw < 0.4:
                    with suppress(RuntimeError):  # it holds outputs
                        ctx.ack(envelope)

    async def _blocks(self, ctx: trouper.ActorContext) -> None:
        async def take() -> None:
            try:
                while True:
                    async with ctx.leased() as message:
                        await self._handle(ctx, message)
            except trouper.EndOfInput:
                pass

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(take)

    async def _spawns(self, ctx: trouper.ActorContext) -> None:
        child: Any = None
        async for message in ctx:
            if child is None or child.state in ("done", "failed", "cancelled"):
                try:
                    child = await ctx.spawn(self._child, max_restarts=100_000)
                except trouper.SpawnRefused:
                    child = None
            if child is not None:
                with suppress(trouper.NodeEnded):
                    await child.send(message)
                if self.wild.rng.random() < 0.1:
                    await child.stop()
            await self._handle(ctx, message)

    async def _child(self, ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            self.wild.faults.at("handle", "child")
            if self.pace:
                await trio.sleep(self.pace)
