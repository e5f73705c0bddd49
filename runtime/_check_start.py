"""The deadlock at the start: an actor waits for a batch value that waits for the actor.

An actor starts when its batch upstreams are done. Until then nobody reads its streams, so their
senders wait once the lanes are full, and the senders of those after them. If one of them has to
end before the batch upstream can, nothing ever moves again.

Held up by a node: the actors that lead to it through blocking edges alone. Those of an output that
balances are blocking only if none of its readers reads.
Awaited by a node: the actors that lead to one of its batch upstreams, in any way.
A node may await nobody whom it holds up itself, and no two may await whom the other holds up.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import frozen

from ._check_cycles import show_path
from ._graph import Arrows, Graph, Link, find_path, lane_settings, reach, reverse, search


def start_problems(graph: Graph) -> Iterator[str]:
    blocking = graph.arrows(_blocking(graph))
    waiting = _waiting(graph, reverse(blocking))
    stuck: set[str] = set()
    for each in waiting:
        for task, awaited in each.awaited.items():
            held_up = next((name for name in each.held_up if name in awaited), None)
            if held_up is not None:
                stuck.add(each.name)
                yield _waits_for_itself(each, task, held_up, blocking)
    yield from _wait_for_each_other([w for w in waiting if w.name not in stuck], blocking)


def _blocks(link: Link) -> bool:
    """Tell whether the sender has to wait if the receiver doesn't read."""
    if link.producer.kind == "task" or link.consumer.kind == "task":
        return False
    capacity, overflow = lane_settings(link.consumer, link.upstream.edge)
    return overflow == "block" and capacity != math.inf


def _blocking(graph: Graph) -> list[Link]:
    """Return the links for whose receiver the sender may have to wait.

    One that balances waits only if no reader of that output reads: then each of them counts.
    """
    links = [link for link in graph.links if _blocks(link)]
    sure = [link for link in links if link.producer.options.fan_out != "balance"]
    if len(sure) == len(links):
        return links
    arrows, plain = graph.arrows(graph.links), graph.arrows(sure)
    groups: dict[tuple[str, str | None], list[Link]] = {}
    for link in graph.links:
        if link.producer.kind == "actor" and link.producer.options.fan_out == "balance":
            groups.setdefault((link.producer.name, link.upstream.output), []).append(link)
    for (sender, _), readers in groups.items():
        if not all(map(_blocks, readers)):
            continue  # there is always one that takes it
        late = _late(graph, reach(arrows, [sender]))
        if all(late & reach(plain, [link.consumer.name]).keys() for link in readers):
            sure += readers
    return sure


def _late(graph: Graph, after: Collection[str]) -> set[str]:
    """Return the actors that start only when some batch task among `after` is done."""
    return {
        name
        for name, links in graph.into.items()
        if graph.nodes[name].kind == "actor"
        and any(not link.is_stream and link.producer.name in after for link in links)
    }


@frozen(eq=False)
class _Waiting:
    """An actor that awaits some and holds up some."""

    name: str
    links: Sequence[Link]
    awaited: Mapping[str, Collection[str]]
    """By batch upstream."""
    held_up: Collection[str]
    """Nearest first."""


def _waiting(graph: Graph, senders: Arrows) -> list[_Waiting]:
    upstreams = reverse(graph.arrows(graph.links))
    before: dict[str, dict[str, None]] = {}
    found: list[_Waiting] = []
    for name, links in graph.into.items():
        tasks = [link.producer.name for link in links if not link.is_stream]
        if not tasks or not senders[name]:
            continue
        for task in tasks:
            if task not in before:
                reached = reach(upstreams, [task])
                before[task] = {each: None for each in reached if graph.nodes[each].kind == "actor"}
        awaited = {task: before[task] for task in tasks if before[task]}
        if awaited:
            found.append(_Waiting(name, links, awaited, reach(senders, senders[name])))
    return found


def _waits_for_itself(node: _Waiting, task: str, held_up: str, blocking: Arrows) -> str:
    path = find_path(blocking, held_up, node.name)
    assert path is not None
    way_out = _way_out(node, reach(blocking, node.awaited[task]))
    return (
        f"{node.name!r} would wait for itself: it starts when {task!r} is done, {task!r} waits for "
        f"the end of {held_up!r}, and {held_up!r} waits for {node.name!r} to read "
        f"({show_path(path)}); give {way_out}, or split {node.name!r} in two, one "
        f"that depends on {task!r} and one on {path[-2]!r}"
    )


def _wait_for_each_other(waiting: Sequence[_Waiting], blocking: Arrows) -> Iterator[str]:
    by_name = {each.name: each for each in waiting}
    holders: dict[str, list[str]] = {}
    for each in waiting:
        for name in each.held_up:
            holders.setdefault(name, []).append(each.name)
    arrows = {each.name: _holders_of_awaited(each, holders) for each in waiting}
    for cycle in search(arrows, arrows).cycles:
        ring = [by_name[name] for name in cycle]
        steps = [_step(one, other) for one, other in pairwise(ring)]
        awaited = [name for names in ring[0].awaited.values() for name in names]
        yield (
            f"{', '.join(repr(name) for name in cycle[:-1])} would wait for each other: "
            f"{'; '.join(steps)}; give {_way_out(ring[1], reach(blocking, awaited))}"
        )


def _holders_of_awaited(node: _Waiting, holders: Mapping[str, Sequence[str]]) -> list[str]:
    found = (holders.get(name, ()) for names in node.awaited.values() for name in names)
    return list(dict.fromkeys(name for names in found for name in names))


def _step(one: _Waiting, other: _Waiting) -> str:
    task, held_up = next(
        (task, name)
        for task, awaited in one.awaited.items()
        for name in other.held_up
        if name in awaited
    )
    return (
        f"{one.name!r} starts when {task!r} is done, {task!r} waits for the end of {held_up!r}, "
        f"and {held_up!r} waits for {other.name!r} to read"
    )


def _way_out(node: _Waiting, senders: Collection[str]) -> str:
    """Return the settings with which `node` no longer holds up `senders`."""
    edges = ", ".join(
        f'"{link.upstream.key}": trouper.Edge(overflow="drop_oldest")'
        for link in node.links
        if _blocks(link) and link.producer.name in senders
    )
    return f"{node.name!r} depends_on={{{edges}}} or another overflow that never blocks"
