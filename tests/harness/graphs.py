"""Nodes that are only declared, to be checked and not run."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from trouper import Edge
from trouper.runtime._graph_check import check_graph
from trouper.runtime._node import Node, make_node

Depends = Sequence[str] | Mapping[str, Edge]


async def work(ctx: Any) -> Any: ...


async def flow(ctx: Any) -> AsyncIterator[Any]:
    yield


def task(name: str, depends_on: Depends = (), obj: Any = work, **options: Any) -> Node:
    given = {"name": name, "depends_on": depends_on, **options}
    return make_node(obj, "task", given, lambda _: None)


def actor(name: str, depends_on: Depends = (), obj: Any = flow, **options: Any) -> Node:
    given = {"name": name, "depends_on": depends_on, **options}
    return make_node(obj, "actor", given, lambda _: None)


def check(*nodes: Node) -> list[str]:
    """Return the problems of a graph."""
    return check_graph({node.name: node for node in nodes})


def only(*nodes: Node) -> str:
    """Return the one problem that a graph has."""
    problems = check(*nodes)
    assert len(problems) == 1, problems
    return problems[0]
