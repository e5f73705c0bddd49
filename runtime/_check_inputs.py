"""What each node takes against what its upstreams give: parameters, keys and types.

An actor with a stream among its upstreams takes the context alone, or nothing: messages come
through `ctx.receive()`, and batch values stand in `ctx.inputs`. With batch upstreams only, a
function's plain parameters are filled from those, as a task's are.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import GenericAlias
from typing import Any, ForwardRef

from ._annotations import show_type
from ._edge_types import edge_problem
from ._graph import Graph, Link
from ._message_types import expected_types, is_typed_dict
from ._names import suggest
from ._node import Node
from ._shape import Parameter

_FROM_OUTSIDE = "@run"
"""The key of what `run.send` sends."""


def input_problems(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        has_streams = bool(graph.streams_into(node.name))
        unfilled = _unfilled(node, has_streams)
        if unfilled:
            yield _takes_too_much(node, unfilled, has_streams)
            continue
        try:
            taken = _taken(node, graph.into[node.name])
        except TypeError as mismatch:
            yield f"{node.name!r} can't be called: {mismatch}"
            continue
        yield from _type_problems(graph.into[node.name], taken)
        if not node.shape.parameters:
            yield from _key_problems(node)
        if node.options.validate and all(each is Any for each in _validated(node)):
            yield (
                f"validate has no effect on {node.name!r}, because its input type is not known; "
                f"annotate it, `ctx: trouper.ActorContext[State, Deps, Input, Output]`"
            )


def _unfilled(node: Node, has_streams: bool) -> Sequence[Parameter]:
    """Return the plain parameters that the run doesn't fill."""
    if node.kind == "task":
        return []
    if node.shape.entry == "run":
        fixed = [each for each in node.shape.parameters if each.kind not in ("rest", "keywords")]
        return [each for each in fixed if each.required or has_streams]
    return node.shape.parameters if has_streams else []


def _takes_too_much(node: Node, unfilled: Sequence[Parameter], has_streams: bool) -> str:
    names = ", ".join(repr(each.name) for each in unfilled)
    why = "an actor with streams" if has_streams else "the run() of an actor"
    source = "await ctx.receive()" if has_streams else "ctx.inputs"
    return (
        f"{node.name!r} takes {names}, but {why} gets the context alone; take `ctx` and read "
        f"{source} instead"
    )


def _taken(node: Node, links: Sequence[Link]) -> Mapping[str, object]:
    """Return what each upstream's messages have to be, where that is known, by upstream key.

    Raises:
        TypeError: the upstreams can't fill the plain parameters.
    """
    keys = [upstream.key for upstream in node.upstreams]
    if node.shape.parameters:
        # What run() of an actor takes besides the context keeps its defaults.
        return {} if node.shape.entry == "run" else node.arguments.types
    taken = expected_types(node.types.input, keys)
    if is_typed_dict(node.types.input) or node.kind == "task":
        return taken
    # The type of an actor with streams is that of its messages; batch values are not among them.
    streams = [link.upstream.key for link in links if link.is_stream]
    return {key: taken[key] for key in streams or keys}


def _type_problems(links: Sequence[Link], taken: Mapping[str, object]) -> Iterator[str]:
    for link in links:
        key, consumer = link.upstream.key, link.consumer
        if key not in taken:
            continue
        problem = edge_problem(_given(link, consumer.options.collect), taken[key])
        if problem is not None:
            yield f"{key!r} {problem}, that {consumer.name!r} takes; {_hint(link, taken[key])}"


def _given(link: Link, collect: str) -> object:
    """Return the type of what the consumer gets at once."""
    producer, output = link.producer, link.upstream.output
    given = producer.types.output if output is None else producer.options.outputs.get(output, Any)
    is_list = link.is_stream and link.consumer.kind == "task" and collect == "all"
    return GenericAlias(list, (given,)) if is_list else given


def _hint(link: Link, taken: object) -> str:
    if link.is_stream and link.consumer.kind == "task":
        last = link.consumer.options.collect == "last"
        if edge_problem(_given(link, "all" if last else "last"), taken) is None:
            with_all = f"give {link.consumer.name!r} collect='all' for the list of all values"
            return with_all if last else "leave out collect='all' for the last value alone"
    return "change one of the two types, or convert in a node between them"


def _key_problems(node: Node) -> Iterator[str]:
    """Check a keyed input's type: that it is a mapping, and that somebody gives each key."""
    wanted, keys = node.types.input, [upstream.key for upstream in node.upstreams]
    if not node.keyed:
        return
    if edge_problem(Mapping[str, Any], wanted) is not None:
        yield (
            f"{node.name!r} takes {show_type(wanted)}, but its {len(keys)} upstreams come as a "
            f"mapping keyed by their names; take Mapping[str, ...] or a TypedDict"
        )
    for key in _required(wanted):
        if key not in (*keys, _FROM_OUTSIDE):
            yield (
                f"the input {show_type(wanted)} of {node.name!r} has the key {key!r}, but no "
                f"upstream of {node.name!r} is called so;{suggest(key, keys)}"
            )


def _required(hint: object) -> Sequence[str]:
    if not is_typed_dict(hint):
        return []
    required = getattr(hint, "__required_keys__", frozenset[str]())
    # With postponed annotations, `NotRequired[...]` is still text, and counts as required.
    fields = getattr(hint, "__annotations__", {})
    return [key for key in fields if key in required and not isinstance(fields[key], ForwardRef)]


def _validated(node: Node) -> Sequence[object]:
    wanted = node.types.input
    keys = [upstream.key for upstream in node.upstreams]
    return list(expected_types(wanted, keys).values()) or [wanted]
