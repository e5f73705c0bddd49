"""Cycles: each needs one feedback edge, and none may go through a batch task.

A batch task waits for the end of what it reads, so a cycle through it could never end.
"""

from collections.abc import Iterator, Sequence

from ._graph import Graph, Link, components, find_path, on_cycles, search

_SHOWN = 12
"""At most so many names of one cycle stand in an error."""


def cycle_problems(graph: Graph) -> Iterator[str]:
    misplaced = [link for link in graph.links if _is_misplaced(link)]
    links = [link for link in graph.links if not _is_misplaced(link)]
    for link in misplaced:
        yield _misplaced(link)
    yield from _idle_feedback(graph, links)
    yield from _through_tasks(graph, links)
    yield from _undeclared(graph, links)


def show_path(path: Sequence[str]) -> str:
    """Return `a -> b -> a`, shortened in the middle if it is very long."""
    if len(path) <= _SHOWN:
        return " -> ".join(path)
    half = _SHOWN // 2
    left_out = f"({len(path) - 2 * half} more)"
    return " -> ".join([*path[:half], left_out, *path[-half:]])


def _is_misplaced(link: Link) -> bool:
    return link.upstream.edge.feedback and "task" in (link.producer.kind, link.consumer.kind)


def _misplaced(link: Link) -> str:
    task = link.producer if link.producer.kind == "task" else link.consumer
    return (
        f"{link.label} has feedback=True, but {task.name!r} is a batch task, which runs once and "
        f"takes part in no cycle; leave feedback out, or make {task.name!r} an actor"
    )


def _idle_feedback(graph: Graph, links: Sequence[Link]) -> Iterator[str]:
    number = components(graph.arrows(links))
    for link in links:
        producer, consumer = link.producer.name, link.consumer.name
        if link.upstream.edge.feedback and number[producer] != number[consumer]:
            yield (
                f"{link.label} has feedback=True but closes no cycle, because nothing leads from "
                f"{consumer!r} back to {producer!r}; leave feedback out"
            )


def _through_tasks(graph: Graph, links: Sequence[Link]) -> Iterator[str]:
    arrows = graph.arrows(links)
    cyclic = on_cycles(arrows)
    told: list[str] = []
    for name, node in graph.nodes.items():
        if node.kind == "actor" or name not in cyclic:
            continue
        cycle = find_path(arrows, name, name, avoid=told)
        if cycle is not None:
            told.append(name)
            yield (
                f"the cycle {show_path(cycle)} goes through the batch task {name!r}, which starts "
                f"only when all of its upstreams have ended; take {cycle[-2]!r} out of its "
                f"depends_on, or make every node of the cycle an actor"
            )


def _undeclared(graph: Graph, links: Sequence[Link]) -> Iterator[str]:
    arrows = graph.arrows(
        link
        for link in links
        if not link.upstream.edge.feedback
        and link.producer.kind == "actor"
        and link.consumer.kind == "actor"
    )
    cyclic = on_cycles(arrows)
    # The place where a stream enters a cycle is where its feedback edge belongs.
    entries = [
        head
        for tail, heads in arrows.items()
        if tail not in cyclic
        for head in heads
        if head in cyclic
    ]
    for cycle in search(arrows, [*entries, *arrows]).cycles:
        yield _without_feedback(graph, cycle)


def _without_feedback(graph: Graph, cycle: Sequence[str]) -> str:
    last, first = cycle[-2:]
    keys = [
        link.upstream.key
        for link in graph.into[first]
        if link.producer.name == last and not link.upstream.edge.feedback
    ]
    edges = ", ".join(f'"{key}": trouper.Edge(feedback=True)' for key in keys)
    return (
        f"the cycle {show_path(cycle)} has no feedback edge, so its actors could wait for each "
        f"other for ever; give {first!r} depends_on={{{edges}}}, or take {last!r} out of it"
    )
