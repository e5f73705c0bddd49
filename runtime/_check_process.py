"""Functions that can't go to a worker process: found before a run finds out."""

from collections.abc import Iterator

from ._graph import Graph
from ._process import how_to_send, why_not_picklable


def process_problems(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if node.options.executor == "process":
            problem = why_not_picklable(node.obj)
            if problem is not None:
                yield how_to_send(node.name, problem)
