"""Settings that can have no effect where they stand (known fault F17 is to accept them)."""

from collections.abc import Iterator, Sequence

from ..channels._overflow import check_capacity
from ._graph import Graph, Link, lane_settings
from ._node import Node
from ._options import UNSET


def setting_problems(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        streams = graph.streams_into(node.name)
        if node.kind == "task":
            yield from _collecting(node, streams)
        else:
            yield from _fan_in(node, streams)
            yield from _buffering(node, streams)
        for link in graph.into[node.name]:
            yield from _stream_edge(link, streams) if link.is_stream else _value_edge(link)


def _collecting(task: Node, streams: Sequence[Link]) -> Iterator[str]:
    options = task.options
    given = {
        "collect": "collect" in options.given,
        "max_items": options.max_items is not None,
        "default": options.default is not UNSET,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names and not streams:
        yield (
            f"{_have(names)} no effect on {task.name!r}, because none of its upstreams is an "
            f"actor whose stream could be collected; leave {_them(names)} out"
        )


def _fan_in(actor: Node, streams: Sequence[Link]) -> Iterator[str]:
    fan_in, name = actor.options.fan_in, actor.name
    if fan_in == "merge":
        return
    if len(streams) < 2:
        have = f"only {streams[0].upstream.key!r}" if streams else "none"
        yield (
            f"fan_in={fan_in!r} has no effect on {name!r}: it joins several streams, and {name!r} "
            f"has {have}; leave it out, or add a stream to depends_on"
        )
    for link in streams:
        if link.upstream.edge.feedback:
            yield (
                f"fan_in={fan_in!r} of {name!r} would wait for the feedback edge {link.label} "
                f"before there is anything to feed back; use fan_in='merge'"
            )


def _buffering(actor: Node, streams: Sequence[Link]) -> Iterator[str]:
    names = [name for name in ("capacity", "overflow") if name in actor.options.given]
    # Without any upstream it is `run.send` that fills its mailbox.
    if names and actor.upstreams and not streams:
        yield (
            f"{_have(names)} no effect on {actor.name!r}, because none of its upstreams is a "
            f"stream; leave {_them(names)} out"
        )


def _value_edge(link: Link) -> Iterator[str]:
    edge = link.upstream.edge
    given = {
        "capacity": edge.capacity is not None,
        "overflow": edge.overflow is not None,
        "keep_dropped": edge.keep_dropped,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names:
        yield (
            f"{_have(names)} no effect on {link.label}, because {link.producer.name!r} is a batch "
            f"task and hands over one value; leave {_them(names)} out"
        )


def _stream_edge(link: Link, streams: Sequence[Link]) -> Iterator[str]:
    edge, options = link.upstream.edge, link.consumer.options
    capacity, overflow = lane_settings(link.consumer, edge)
    supersedes = options.fan_in == "latest" and len(streams) > 1
    if edge.keep_dropped and overflow in ("block", "fail") and not supersedes:
        yield (
            f"keep_dropped has no effect on {link.label}, because overflow={overflow!r} drops "
            f"nothing; leave it out, or choose an overflow that drops"
        )
    if edge.feedback and edge.overflow == "fail":
        yield (
            f"overflow='fail' has no effect on {link.label}, because a feedback edge has no bound "
            f"unless it drops; leave it out, or choose an overflow that drops"
        )
    try:
        check_capacity(capacity, overflow=overflow, owner=link.label)
    except ValueError as problem:  # each may be legal alone: one the node's, one the edge's
        yield str(problem)


def _have(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'}"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
