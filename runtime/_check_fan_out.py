"""Whether a node has readers to choose from, and whether what chooses fits its messages."""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from ..channels._partition import Partition
from ._annotations import names_in_scope, resolve, show_type
from ._edge_types import edge_problem
from ._graph import Graph, Link
from ._names import suggest
from ._node import Node


def fan_out_problems(graph: Graph) -> Iterator[str]:
    routing = [node for node in graph.nodes.values() if node.options.fan_out != "broadcast"]
    leaving = _leaving(graph, [node.name for node in routing])
    for node in routing:
        outputs = leaving[node.name]
        shared = {output: links for output, links in outputs.items() if len(links) > 1}
        fan_out = node.options.fan_out
        if not shared:
            yield _without_effect(node, [link for links in outputs.values() for link in links])
        elif isinstance(fan_out, Partition):
            for output, links in shared.items():
                yield from _misfits(node, fan_out, output, links)


def _leaving(
    graph: Graph, names: Collection[str]
) -> Mapping[str, Mapping[str | None, Sequence[Link]]]:
    """Return the links that leave these nodes, by output."""
    found: dict[str, dict[str | None, list[Link]]] = {name: {} for name in names}
    for link in graph.links if names else ():
        if link.producer.name in found:
            found[link.producer.name].setdefault(link.upstream.output, []).append(link)
    return found


def _without_effect(node: Node, links: Sequence[Link]) -> str:
    shown = "Partition(...)" if isinstance(node.options.fan_out, Partition) else "'balance'"
    readers = ", ".join(
        f"only {link.consumer.name!r} reads {link.upstream.key!r}" for link in links
    )
    return (
        f"fan_out={shown} has no effect on {node.name!r}, because {readers or 'nobody reads it'}; "
        "leave it out, or let a second node depend on the same output"
    )


def _misfits(
    node: Node, partition: Partition, output: str | None, links: Sequence[Link]
) -> Iterator[str]:
    function: Any = partition.to if partition.key is None else partition.key
    taken, given = _annotations(function)
    messages = node.types.output if output is None else node.options.outputs.get(output, Any)
    problem = edge_problem(messages, taken)
    if problem is not None:
        yield (
            f"{links[0].upstream.key!r} {problem}, that the function of its fan_out=Partition(...) "
            "takes; change one of the two types"
        )
    if partition.key is None and get_origin(given) is Literal:
        yield from _unknown_readers(node, get_args(given), links)
    elif partition.key is None and edge_problem(given, str) is not None:
        yield (
            f"the function `to` of fan_out=Partition(...) of {node.name!r} gives "
            f"{show_type(given)}; it has to return the name of a reader, a str"
        )


def _unknown_readers(node: Node, names: Sequence[object], links: Sequence[Link]) -> Iterator[str]:
    scope = node.name.rpartition("/")[0] + "/"
    readers = [link.consumer.name for link in links]
    own = [reader.removeprefix(scope) for reader in readers]
    for name in names:
        if name not in readers and name not in own:
            yield (
                f"the function `to` of fan_out=Partition(...) of {node.name!r} may return "
                f"{name!r}, but no reader of it is called so;{suggest(str(name), own)}"
            )


def _annotations(function: Any) -> tuple[object, object]:
    """Return what a function says that it takes and gives; `Any` where it says nothing."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C tell nothing
        return Any, Any
    scope = names_in_scope(function, None)
    first = next(iter(signature.parameters.values()), None)
    taken = Any if first is None else resolve(first.annotation, scope)
    return taken, resolve(signature.return_annotation, scope)
