"""Output ids: unique on every edge, and the same on a second attempt."""

from collections import deque
from collections.abc import Sequence

import msgspec
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.edges import Relay
from trouper import Envelope
from trouper.channels._lineage import Detached, Lineage

MOST_HOPS = 12
"""Cycles end here: a message that has come so far is not passed on."""


@define(eq=False)
class Edge:
    """One edge of the graph, and the messages that have crossed it."""

    source: str
    target: int
    crossed: list[Envelope[int]] = field(factory=list)


@define(eq=False)
class Graph:
    """Nodes 0, 1, ... which pass messages on; a payload is how often that was done."""

    edges: Sequence[Edge]
    makes: Sequence[int]
    """Outputs that each node makes of a message."""
    splits: Sequence[bool]
    """Nodes that send their outputs in turn to their default and to their named output."""
    queue: deque[tuple[int, Envelope[int]]] = field(factory=deque)

    def keeps_ids(self, node: int) -> bool:
        return sum(edge.target == node for edge in self.edges) <= 1

    def send(self, lineage: Lineage, key: str, payload: int) -> None:
        """Send one message on every edge that leaves an output (broadcast)."""
        origin = lineage.next_origin()
        for edge in self.edges:
            if edge.source == key:
                envelope = Envelope(payload, key, len(edge.crossed) + 1, origin=origin)
                edge.crossed.append(envelope)
                self.queue.append((edge.target, envelope))

    def handle(self, node: int, envelope: Envelope[int]) -> None:
        """Do what an actor does that crashes after its outputs are sent, and comes again."""
        before = [len(edge.crossed) for edge in self.edges]
        ids: list[list[str]] = []
        for attempt in (1, 2):
            leased = msgspec.structs.replace(envelope, attempt=attempt)
            lineage = Relay(f"n{node}", leased, keeps_ids=self.keeps_ids(node))
            if attempt == 2:
                # The second attempt is the one that counts.
                for edge, length in zip(self.edges, before, strict=True):
                    for _ in edge.crossed[length:]:
                        edge.crossed.pop()
                        self.queue.pop()
            for n in range(self.makes[node]):
                self.send(lineage, self.key(node, n), envelope.payload + 1)
            new = zip(self.edges, before, strict=True)
            ids.append([each.id for edge, length in new for each in edge.crossed[length:]])
        assert ids[0] == ids[1]

    def key(self, node: int, n: int) -> str:
        return f"n{node}.named" if self.splits[node] and n % 2 else f"n{node}"


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Relays, splits, diamonds and cycles, from 1 to 5 nodes."""
    n = draw(st.integers(1, 5))
    nodes = st.integers(0, n - 1)
    splits = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    pairs = draw(st.lists(st.tuples(nodes, nodes, st.booleans()), max_size=8, unique=True))
    keys = [(f"n{a}.named" if named and splits[a] else f"n{a}", b) for a, b, named in pairs]
    makes = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=n, max_size=n))
    # A cycle needs a way in, and with it a second upstream: a source of its own for each node.
    wanted = draw(st.sets(nodes, min_size=1))
    cyclic = {b for a, b, _ in pairs if a >= b}
    sources = [(f"s{number}", number) for number in sorted(wanted | cyclic)]
    edges = [Edge(key, target) for key, target in [*dict.fromkeys(keys), *sources]]
    return Graph(edges, makes, splits)


@given(graph=graphs(), messages=st.integers(1, 3), from_outside=st.sets(st.integers(0, 4)))
@settings(max_examples=150, deadline=None)
def test_ids_are_unique_on_every_edge_and_the_same_on_a_second_attempt(
    graph: Graph, messages: int, from_outside: set[int]
) -> None:
    """Messages from outside included: they enter at any node, beside its upstreams."""
    for source in {edge.source for edge in graph.edges if edge.source.startswith("s")}:
        for _ in range(messages):
            graph.send(Relay(source), source, 0)
    for node in sorted(from_outside):
        inlet = Detached("@run", into=f"n{node}")
        for seq in range(1, messages + 1):
            envelope = Envelope(0, "@run", seq, origin=inlet.next_origin())
            if node < len(graph.makes):
                graph.queue.append((node, envelope))
    for _ in range(400):
        if not graph.queue:
            break
        node, envelope = graph.queue.popleft()
        if envelope.payload < MOST_HOPS:
            graph.handle(node, envelope)
    for edge in graph.edges:
        ids = [envelope.id for envelope in edge.crossed]
        assert len(set(ids)) == len(ids), edge.source


def test_the_first_output_keeps_the_id_only_with_one_upstream() -> None:
    lineage = Relay("relay")
    assert lineage.next_origin() is None
    lineage.leased = Envelope("x", "a", 7)
    assert [lineage.next_origin(), lineage.next_origin()] == [("a", 7), (("a", 7), "relay", 2)]
    assert lineage.emitted_now() == 2
    lineage.leased = Envelope("y", "a", 8)
    assert lineage.emitted_now() == 0
    lineage.keeps_ids = False
    assert lineage.next_origin() == (("a", 8), "a>relay", 1)


def test_every_inlet_has_ids_of_its_own() -> None:
    first, second = Detached("@run", into="a"), Detached("@run", into="b")
    assert [first.next_origin(), second.next_origin(), first.next_origin()] == [
        ("@run>a", 1),
        ("@run>b", 1),
        ("@run>a", 2),
    ]
