"""What a map is called with, against the items of the list that it goes over."""

from collections.abc import Iterable, Iterator
from typing import get_args, get_origin

from ._edge_types import edge_problem
from ._graph import Graph


def map_problems(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        for link in graph.into[node.name] if node.map is not None else ():
            assert node.map is not None
            given = link.producer.types.output
            origin, args = get_origin(given), get_args(given)
            if link.is_stream or not isinstance(origin, type) or not issubclass(origin, Iterable):
                continue
            # tuple[int, ...]: a tuple of several types is no list of items to begin with.
            items = [each for each in args if each is not ...]
            problem = edge_problem(items[0], node.map.item) if len(items) == 1 else None
            if problem is not None:
                yield (
                    f"an item of {link.upstream.key!r} {problem}, that {node.name!r} takes; change "
                    "one of the two types"
                )
