"""The graph as links between nodes, and as names with arrows: order, paths, cycles.

An arrow leads from an upstream to the node that depends on it. Whatever is found comes in the
order of declaration, so the same program always gets the same answer.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from ..channels._overflow import OverflowPolicy
from ._edge import Edge, Upstream
from ._node import Node

Arrows = Mapping[str, Sequence[str]]
"""Node name to the names that its arrows lead to; every name is a key."""


@frozen(eq=False)
class Link:
    """One edge between two nodes that both exist."""

    producer: Node
    consumer: Node
    upstream: Upstream

    @property
    def label(self) -> str:
        return f"{self.upstream.key!r} -> {self.consumer.name!r}"

    @property
    def is_stream(self) -> bool:
        """Whether messages move on it; otherwise it hands over the one value of a batch task."""
        return self.producer.kind == "actor"


@frozen(eq=False)
class Graph:
    """All nodes, and the links into each in `depends_on` order."""

    nodes: Mapping[str, Node]
    into: Mapping[str, Sequence[Link]]

    @property
    def links(self) -> list[Link]:
        return [link for links in self.into.values() for link in links]

    def streams_into(self, node: str) -> list[Link]:
        return [link for link in self.into[node] if link.is_stream]

    def arrows(self, links: Iterable[Link]) -> dict[str, list[str]]:
        """Return the arrows of some of the links, each once."""
        found = {name: dict[str, None]() for name in self.nodes}
        for link in links:
            found[link.producer.name][link.consumer.name] = None
        return {name: list(heads) for name, heads in found.items()}


def make_graph(nodes: Mapping[str, Node]) -> Graph:
    """Return the graph of `nodes`; upstreams that don't exist are left out."""
    into = {
        node.name: [
            Link(nodes[upstream.node], node, upstream)
            for upstream in node.upstreams
            if upstream.node in nodes
        ]
        for node in nodes.values()
    }
    return Graph(nodes, into)


def lane_settings(node: Node, edge: Edge) -> tuple[float, OverflowPolicy]:
    """Return capacity and overflow of an edge into `node`: its own, else the node's.

    A feedback edge never blocks its sender: with a policy that doesn't drop it has no bound.
    """
    capacity = node.options.capacity if edge.capacity is None else edge.capacity
    overflow = node.options.overflow if edge.overflow is None else edge.overflow
    if edge.feedback and overflow in ("block", "fail"):
        return math.inf, "block"
    return capacity, overflow


def reverse(arrows: Arrows) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {name: [] for name in arrows}
    for tail, heads in arrows.items():
        for head in heads:
            turned[head].append(tail)
    return turned


@frozen
class Search:
    """What one walk through the graph, depth first, finds."""

    left: Sequence[str]
    """The names in the order in which the walk was done with them."""
    cycles: Sequence[tuple[str, ...]]
    """`(a, b, a)`. Without the last arrow of each, the graph has no cycles."""


def search(arrows: Arrows, roots: Iterable[str]) -> Search:
    left: list[str] = []
    cycles: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for root in roots:
        todo = [] if root in seen else [(root, iter(arrows[root]))]
        place = {name: depth for depth, (name, _) in enumerate(todo)}  # on the way to here
        seen.add(root)
        while todo:
            name, heads = todo[-1]
            head = next(heads, None)
            if head is None:
                todo.pop()
                del place[name]
                left.append(name)
            elif head in place:
                cycles.append((*[each for each, _ in todo[place[head] :]], head))
            elif head not in seen:
                seen.add(head)
                place[head] = len(todo)
                todo.append((head, iter(arrows[head])))
    return Search(left, cycles)


def order(graph: Graph) -> list[str]:
    """Return all names, each after its upstreams (but those of feedback edges)."""
    forward = [link for link in graph.links if not link.upstream.edge.feedback]
    return list(search(reverse(graph.arrows(forward)), graph.nodes).left)


def reach(arrows: Arrows, starts: Iterable[str]) -> dict[str, None]:
    """Return `starts` and all that arrows lead to from there, nearest first."""
    found = dict.fromkeys(starts)
    todo = deque(found)
    while todo:
        for head in arrows[todo.popleft()]:
            if head not in found:
                found[head] = None
                todo.append(head)
    return found


def find_path(
    arrows: Arrows, start: str, goal: str, avoid: Collection[str] = ()
) -> tuple[str, ...] | None:
    """Return a shortest way of at least one arrow; from a node to itself it is a cycle."""
    came_from: dict[str, str] = {}
    todo = deque([start])
    while todo and goal not in came_from:
        tail = todo.popleft()
        for head in arrows[tail]:
            if head not in came_from and head not in avoid:
                came_from[head] = tail
                todo.append(head)
    if goal not in came_from:
        return None
    path = [goal, came_from[goal]]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))


def components(arrows: Arrows) -> dict[str, int]:
    """Return a number for each name; two have the same one if each leads to the other."""
    backwards = reverse(arrows)
    number: dict[str, int] = {}
    for root in reversed(search(arrows, arrows).left):
        todo = [root]
        while todo:
            name = todo.pop()
            if name not in number:
                number[name] = number.get(root, len(number))
                todo += backwards[name]
    return number


def on_cycles(arrows: Arrows) -> set[str]:
    """Return the names that lead back to themselves."""
    number = components(arrows)
    sizes: dict[int, int] = {}
    for each in number.values():
        sizes[each] = sizes.get(each, 0) + 1
    return {name for name in arrows if sizes[number[name]] > 1 or name in arrows[name]}
