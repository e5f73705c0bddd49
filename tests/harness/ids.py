"""A ledger of message ids, counted where they enter and leave: never by trouper's own counters.

A source stamps each message with an id and notes it; a sink notes the ids that it handled. What
lies between may crash, resend, drop and dead-letter: the assertions say what may come of that.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import msgspec
import trio
from attrs import define, field

import trouper

Body = Callable[[Any], Any]


class Item(msgspec.Struct, frozen=True):
    """A stamped message. Relays pass it on, or make another one with the same id."""

    id: str
    value: Any = None


@define(eq=False)
class Sink:
    """What one sink noted."""

    seen: Counter[str] = field(factory=Counter)
    """Id -> how many times it was handed out."""
    order: list[str] = field(factory=list)
    """Ids in the order of the first time."""
    acknowledged: Counter[str] = field(factory=Counter)
    """Id -> how many times asking for more, or the end, has settled it."""

    def note(self, ids: list[str]) -> None:
        self.order += [each for each in ids if each not in self.seen]
        self.seen.update(ids)


@define(eq=False)
class Ledger:
    """Ids in, ids out."""

    offered: Counter[str] = field(factory=Counter)
    """Ids that a source began to send."""
    accepted: set[str] = field(factory=set)
    """Ids whose send returned: from here on they may not get lost."""
    sinks: dict[str, Sink] = field(factory=dict)

    # -- bodies ------------------------------------------------------------------------------

    def source(self, n: int, name: str = "source", *, every: float = 0, faults: Any = None) -> Body:
        """Return an actor body that yields `Item("name-0")` to `Item("name-<n-1>")`.

        A later incarnation goes on after the last id that was accepted.

        Args:
            every: seconds between two messages.
            faults: passed at the point "yield" before each message.
        """

        async def source(ctx: trouper.ActorContext) -> AsyncIterator[Item]:
            for number in range(n):
                item = Item(f"{name}-{number}", number)
                if item.id in self.accepted:
                    continue
                if faults is not None:
                    faults.at("yield", name)
                self.offered[item.id] += 1
                yield item
                self.accepted.add(item.id)
                if every:
                    await trio.sleep(every)

        return _named(source, name)

    def sink(self, name: str = "sink", *, seconds: float = 0, faults: Any = None) -> Body:
        """Return an actor body that notes every id.

        Args:
            seconds: how long it takes over each message.
            faults: passed at the point "handle" with each message in hand.
        """
        noted = self.sinks.setdefault(name, Sink())

        async def sink(ctx: trouper.ActorContext) -> None:
            ids: list[str] = []
            try:
                while True:
                    message = await ctx.receive()
                    noted.acknowledged.update(ids)
                    ids = list(ids_of(message))
                    noted.note(ids)
                    if faults is not None:
                        faults.at("handle", name)
                    if seconds:
                        await trio.sleep(seconds)
            except trouper.EndOfInput:
                noted.acknowledged.update(ids)

        return _named(sink, name)

    def relay(self, name: str = "relay", *, seconds: float = 0, faults: Any = None) -> Body:
        """Return an actor body that passes every message on.

        Args:
            faults: passed at the point "handle" before, and "sent" after each message is sent on.
        """

        async def relay(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
            async for message in ctx:
                if faults is not None:
                    faults.at("handle", name)
                if seconds:
                    await trio.sleep(seconds)
                yield message
                if faults is not None:
                    faults.at("sent", name)

        return _named(relay, name)

    def note(self, sink: str, message: Any) -> None:
        """Note a message at a sink of the test's own."""
        self.sinks.setdefault(sink, Sink()).note(list(ids_of(message)))

    # -- assertions --------------------------------------------------------------------------

    def assert_at_least_once(self, sink: str | None = None) -> None:
        """Every accepted id reached every sink (or this one), and no id came from nowhere."""
        assert self.accepted, "no source had a message accepted: the test shows nothing"
        for name, noted in self._chosen(sink):
            missing = self.accepted - set(noted.seen)
            assert not missing, f"{name} never saw {_some(missing)}"
            strange = set(noted.seen) - set(self.offered)
            assert not strange, f"{name} saw {_some(strange)}, which no source sent"

    def assert_exactly_once(self, sink: str | None = None) -> None:
        """As `assert_at_least_once`, and none of them twice."""
        self.assert_at_least_once(sink)
        for name, noted in self._chosen(sink):
            doubled = {each for each, times in noted.seen.items() if times > 1}
            assert not doubled, f"{name} saw {_some(doubled)} more than once"

    def assert_accounted(self, result: trouper.WorkflowResult, sink: str | None = None) -> None:
        """Every accepted id reached the sink, lies in the dead letters, or is counted as dropped.

        On each way from the sources to a sink; and the ledger of every edge is closed.
        """
        assert_edges_closed(result)
        dead = {each for letter in result.dead_letters for each in ids_of(letter.envelope.payload)}
        for name, noted in self._chosen(sink):
            missing = self.accepted - set(noted.seen) - dead
            uncounted = _dropped_before(result, name) - _dropped_and_kept(result, name)
            assert len(missing) <= uncounted, (
                f"{name}: {_some(missing)} neither seen, nor dead-lettered, and only {uncounted} "
                "counted as dropped"
            )
            ways_in = [edge for edge in result.edges if edge.target == name]
            if len(ways_in) == 1 and "@join" not in ways_in[0].source:
                counted = ways_in[0].acknowledged
                assert noted.acknowledged.total() == counted, (
                    f"{name} settled {noted.acknowledged.total()}, its edge counts {counted}"
                )

    def _chosen(self, sink: str | None) -> list[tuple[str, Sink]]:
        assert self.sinks, "the ledger has no sink"
        return list(self.sinks.items()) if sink is None else [(sink, self.sinks[sink])]


def assert_edges_closed(result: trouper.WorkflowResult) -> None:
    """Every edge: nothing under way, no count below 0, and what was sent is the sum of its ends."""
    for edge in result.edges:
        name = f"{edge.source} -> {edge.target}"
        dropped = sum(edge.dropped.values())
        parts = [edge.acknowledged, edge.dead_lettered, dropped, edge.expired]
        under_way = [edge.queued, edge.leased]
        assert min(parts + under_way) >= 0, f"{name} has a count below 0: {edge}"
        assert edge.sent == sum(parts) + sum(under_way), f"{name} does not add up: {edge}"
        assert edge.is_closed, f"{name} still has messages under way: {edge}"


def ids_of(message: Any) -> Iterator[str]:
    """Yield the ids in a message: an `Item`, a mapping of keyed fan-in, or a list of such."""
    if isinstance(message, Item):
        yield message.id
    elif isinstance(message, Mapping):
        for part in message.values():
            yield from ids_of(part)
    elif isinstance(message, list | tuple):
        for part in message:
            yield from ids_of(part)


def _dropped_before(result: trouper.WorkflowResult, sink: str) -> int:
    """Count what was dropped on any way to a sink."""
    return sum(sum(edge.dropped.values()) for edge in _ways_to(result, sink))


def _dropped_and_kept(result: trouper.WorkflowResult, sink: str) -> int:
    """Count those of them that the dead letters keep (`keep_dropped`): their ids are known."""
    reasons = {(e.target, reason) for e in _ways_to(result, sink) for reason in e.dropped}
    return sum((letter.node, letter.reason) in reasons for letter in result.dead_letters)


def _ways_to(result: trouper.WorkflowResult, sink: str) -> list[trouper.EdgeReport]:
    found: list[trouper.EdgeReport] = []
    todo, known = [sink], {sink}
    while todo:
        target = todo.pop()
        for edge in result.edges:
            if edge.target == target:
                found.append(edge)
                source = edge.source.partition(".")[0]
                if source not in known:
                    known.add(source)
                    todo.append(source)
    return found


def _named(body: Any, name: str) -> Body:
    body.__name__ = body.__qualname__ = name
    return body  # type: ignore[no-any-return]  # `body` is Any, so that its name can be set


def _some(ids: set[str]) -> str:
    shown = sorted(ids)[:5]
    return f"{len(ids)} ids ({', '.join(shown)}{', ...' if len(ids) > 5 else ''})"
