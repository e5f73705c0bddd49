"""Who can never go on, because each waits for another one. Nothing waits here.

A node has one or more hands; a hand waits for one of several nodes to act (any of them will do), or
it is free. A node can go on if one of its hands can; a hand can, if it is free or any node that it
waits for can. All others wait for one another for ever.
"""

from collections.abc import Collection, Mapping, Sequence

Waits = Mapping[str, Sequence[Collection[str]]]
"""Node -> for each of its hands, whom that one waits for. A node with a free hand is left out."""


def find_stuck(waits: Waits) -> frozenset[str]:
    """Return the nodes that can never go on."""
    stuck = set(waits)
    while True:
        freed = {
            node
            for node in stuck
            if any(any(other not in stuck for other in hand) for hand in waits[node])
        }
        if not freed:
            return frozenset(stuck)
        stuck -= freed


def find_path(waits: Waits, start: str) -> tuple[str, ...]:
    """Return a loop of stuck nodes that begins and ends at `start`, each waiting for the next.

    Where no loop leads back to it, the way from `start` into the loop that it waits for.
    """
    stuck = find_stuck(waits)
    came_from: dict[str, str] = {}
    todo, seen = [start], {start}
    last = start
    while todo:
        node = todo.pop(0)
        last = node
        for other in sorted({each for hand in waits.get(node, ()) for each in hand}):
            if other == start and (node != start or set().union(*waits[start]) == {start}):
                # What waits in front of the asker itself tells less than who else holds it up.
                return (*_way(came_from, start, node), start)
            if other in stuck and other not in seen:
                seen.add(other)
                came_from[other] = node
                todo.append(other)
    return _way(came_from, start, last)


def _way(came_from: Mapping[str, str], start: str, end: str) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
