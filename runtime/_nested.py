"""A workflow as a node of another one: its nodes are taken over as `name/node`.

Rule 1: inside, everything keeps the name that it had: keys of inputs, `depends_on`, partitions.
Rule 2: its sources, the nodes without upstreams, take what the workflow as a node depends on; its
sinks, the nodes that nobody inside reads, are its output. Any node of it is `"name.node"`.
Rule 3: names are looked up when the graph is complete, so that their order does not matter.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from ._edge import Upstream
from ._group import Builder, Group
from ._node import Node

Resolved = Mapping[str, Node]
"""Nodes whose upstreams are nodes."""


@attrs.frozen(eq=False)
class Nested:
    """What stands for a workflow in another one."""

    name: str
    obj: Any
    """The workflow itself."""
    sinks: Sequence[str]
    """Names of the nodes that are its output."""


def take_over(
    name: str, nodes: Mapping[str, Node], resolved: Resolved, upstreams: Sequence[Upstream]
) -> Iterator[Node]:
    """Yield the nodes of an inner workflow under their outer names.

    Args:
        nodes: as they were declared.
        upstreams: what the inner workflow as a whole depends on.
    """
    for node in nodes.values():
        own = [msgspec.structs.replace(each, node=f"{name}/{each.node}") for each in node.upstreams]
        is_source = not resolved[node.name].upstreams
        yield attrs.evolve(
            node, name=f"{name}/{node.name}", upstreams=tuple(upstreams if is_source else own)
        )


def sinks_of(name: str, resolved: Resolved) -> Sequence[str]:
    """Return the outer names of an inner workflow's sinks."""
    read = {
        upstream.node
        for node in resolved.values()
        for upstream in node.upstreams
        if not upstream.edge.feedback
    }
    return [f"{name}/{node}" for node in resolved if node not in read]


def copy_groups(
    name: str, groups: Mapping[str, Group], workflow: Builder, parent: Group | None
) -> Collection[Group]:
    """Return an inner workflow's groups as groups of the outer one."""
    copies: dict[str, Group] = {}
    for group in groups.values():
        around = parent if group.parent is None else copies[group.parent.name]
        copies[group.name] = copy = group.copied(f"{name}/{group.name}", workflow, around)
        if group.parent is None and parent is not None:
            parent.members.append(copy)
    for group in groups.values():
        copies[group.name].members = [
            f"{name}/{each}" if isinstance(each, str) else copies[each.name]
            for each in group.members
        ]
    return copies.values()


def resolve_names(nodes: Mapping[str, Node], nested: Mapping[str, Nested]) -> Resolved:
    """Return the nodes with every name of an inner workflow replaced by those of its nodes."""
    if not nested:
        return nodes
    return {
        name: attrs.evolve(
            node,
            upstreams=tuple(
                found for upstream in node.upstreams for found in resolve(upstream, nodes, nested)
            ),
        )
        for name, node in nodes.items()
    }


def resolve(
    upstream: Upstream, nodes: Mapping[str, Node], nested: Mapping[str, Nested]
) -> Iterator[Upstream]:
    """Yield what an entry of `depends_on` stands for: itself, or nodes of an inner workflow."""
    inner = nested.get(upstream.node)
    if inner is None or upstream.node in nodes:
        yield upstream
    elif upstream.output is not None:
        node, _, output = upstream.output.partition(".")
        full = msgspec.structs.replace(upstream, node=f"{inner.name}/{node}", output=output or None)
        yield from resolve(full, nodes, nested)
    else:
        for sink in inner.sinks:
            key = upstream.key
            if len(inner.sinks) > 1:
                key += "." + sink.removeprefix(f"{inner.name}/")
            yield msgspec.structs.replace(upstream, key=key, node=sink)
