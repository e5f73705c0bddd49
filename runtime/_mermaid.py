"""The graph as a Mermaid flowchart, in the order of declaration.

Tasks are boxes, actors are rounded; sources have a thick border, sinks a dashed one. Nodes are
numbered, because a name such as `end` means something to Mermaid.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from ._graph import Graph, Link, lane_settings, make_graph
from ._group import Group
from ._node import Node

_STYLES = {"source": "stroke-width:3px", "sink": "stroke-dasharray:6 3"}


def to_mermaid(nodes: Mapping[str, Node], groups: Mapping[str, Group] | None = None) -> str:
    """Return the flowchart as text; upstreams that don't exist are left out.

    Groups of nodes are subgraphs, named with their strategy; so are workflows that are nodes.
    """
    graph = make_graph(nodes)
    ids = {name: f"n{number}" for number, name in enumerate(nodes)}
    lines = ["flowchart LR"]
    grouped: set[str] = set()
    for number, group in enumerate((groups or {}).values()):
        ids[f"group {group.name}"] = f"g{number}"
        grouped.update(each for each in group.members if isinstance(each, str))
    roots = [group for group in (groups or {}).values() if group.parent is None]
    single = [node for name, node in nodes.items() if name not in grouped]
    lines += _scope("", roots, single, nodes, ids)
    shared = _shared(graph)
    for link in graph.links:
        arrow = "-.->" if link.upstream.edge.feedback else "-->"
        tail, head = ids[link.producer.name], ids[link.consumer.name]
        lines.append(f"    {tail} {arrow}{_label(link, shared)} {head}")
    for style, names in _ends(graph).items():
        if names:
            lines.append(f"    classDef {style} {_STYLES[style]}")
            lines.append(f"    class {','.join(ids[name] for name in names)} {style}")
    return "\n".join(lines) + "\n"


def _scope(
    scope: str,
    groups: Sequence[Group],
    single: Sequence[Node],
    nodes: Mapping[str, Node],
    ids: dict[str, str],
) -> Iterator[str]:
    """Yield what is drawn of one workflow; those that are nodes of it are subgraphs.

    Args:
        scope: what its names begin with: nothing, or `inner/`.
        groups, single: the groups and nodes in no group, of it and those inside of it.
    """
    indent = "    " * (1 + scope.count("/"))
    inner: dict[str, tuple[list[Group], list[Node]]] = {}
    for group in groups:
        name, slash, _ = group.name.removeprefix(scope).partition("/")
        if slash:
            inner.setdefault(name, ([], []))[0].append(group)
        else:
            yield from _subgraph(group, nodes, ids, indent)
    for node in single:
        name, slash, _ = node.name.removeprefix(scope).partition("/")
        if slash:
            inner.setdefault(name, ([], []))[1].append(node)
        else:
            yield f"{indent}{ids[node.name]}{_shape(node, scope)}"
    for name, (its_groups, its_nodes) in inner.items():
        number = ids[f"workflow {scope}{name}"] = f"w{sum(id[0] == 'w' for id in ids.values())}"
        yield f'{indent}subgraph {number}["{_escape(name)}"]'
        yield from _scope(f"{scope}{name}/", its_groups, its_nodes, nodes, ids)
        yield f"{indent}end"


def _subgraph(
    group: Group, nodes: Mapping[str, Node], ids: Mapping[str, str], indent: str
) -> Iterator[str]:
    scope = group.name.rpartition("/")[0]
    scope += "/" if scope else ""
    title = f"{_escape(group.name.removeprefix(scope))}: {group.policy.strategy}"
    yield f'{indent}subgraph {ids[f"group {group.name}"]}["{title}"]'
    for member in group.members:
        if isinstance(member, str):
            yield f"{indent}    {ids[member]}{_shape(nodes[member], scope)}"
        else:
            yield from _subgraph(member, nodes, ids, f"{indent}    ")
    yield f"{indent}end"


def _shape(node: Node, scope: str = "") -> str:
    text = _escape(node.name.removeprefix(scope))
    if node.map is not None and node.map.concurrency > 1:
        text += f" #215;{node.map.concurrency}"  # a multiplication sign
    return f'["{text}"]' if node.kind == "task" else f'("{text}")'


def _shared(graph: Graph) -> Collection[tuple[str, str | None]]:
    """Return the outputs, by node and name, that have several readers."""
    readers = Counter((link.producer.name, link.upstream.output) for link in graph.links)
    return {output for output, count in readers.items() if count > 1}


def _label(link: Link, shared: Collection[tuple[str, str | None]]) -> str:
    upstream = link.upstream
    words = [_escape(upstream.output)] if upstream.output is not None else []
    if link.is_stream:
        fan_out = link.producer.options.fan_out
        if fan_out != "broadcast" and (link.producer.name, upstream.output) in shared:
            words.append("balance" if fan_out == "balance" else "partition")
        overflow = lane_settings(link.consumer, upstream.edge)[1]
        words += [overflow] if overflow != "block" else []
    words += ["feedback"] if upstream.edge.feedback else []
    return f'|"{", ".join(words)}"|' if words else ""


def _ends(graph: Graph) -> dict[str, list[str]]:
    read = {link.producer.name for link in graph.links if not link.upstream.edge.feedback}
    fed = {link.consumer.name for link in graph.links if not link.upstream.edge.feedback}
    return {
        "source": [name for name in graph.nodes if name not in fed],
        "sink": [name for name in graph.nodes if name not in read],
    }


def _escape(text: str) -> str:
    """Return `text` so that Mermaid shows it as it is, whatever stands in it."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "_-") else f"#{ord(each)};"
        for each in text
    )
