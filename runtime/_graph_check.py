"""Whether a graph can run. Every problem is found at once, and each names the nodes and the fix."""

from collections.abc import Iterator, Mapping, Sequence

from ._check_cycles import cycle_problems
from ._check_fan_out import fan_out_problems
from ._check_inputs import input_problems
from ._check_map import map_problems
from ._check_process import process_problems
from ._check_settings import setting_problems
from ._check_start import start_problems
from ._edge import Upstream
from ._graph import make_graph
from ._group import Group, group_problems
from ._names import suggest
from ._node import Node


class GraphError(ValueError):
    """The graph can't run, for the reasons in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        return f"the graph has {len(self.problems)} problems:{lines}"


GraphError.__module__ = "trouper"


def ensure_graph(nodes: Mapping[str, Node], groups: Mapping[str, Group] | None = None) -> None:
    """Check the graph, and its groups.

    Raises:
        GraphError: it can't run; all problems of `check_graph`.
    """
    problems = [*check_graph(nodes), *group_problems(groups or {}, nodes)]
    if problems:
        raise GraphError(problems)


def check_graph(nodes: Mapping[str, Node]) -> list[str]:
    """Return all problems, one sentence each; none if the graph can run.

    Args:
        nodes: by name, in the order of declaration.
    """
    if not nodes:
        return ["the workflow has no nodes; add one with @wf.task, @wf.actor or wf.add(...)"]
    graph = make_graph(nodes)
    return [
        *_name_problems(nodes),
        *cycle_problems(graph),
        *start_problems(graph),
        *setting_problems(graph),
        *fan_out_problems(graph),
        *process_problems(graph),
        *map_problems(graph),
        *input_problems(graph),
    ]


def _name_problems(nodes: Mapping[str, Node]) -> Iterator[str]:
    for node in nodes.values():
        for upstream in node.upstreams:
            problem = _what_is_unknown(nodes, upstream)
            if problem is not None:
                yield f"{node.name!r} depends on {upstream.key!r}, but {problem}"


def _what_is_unknown(nodes: Mapping[str, Node], upstream: Upstream) -> str | None:
    producer, output = nodes.get(upstream.node), upstream.output or ""
    if producer is None:
        return f"there is no node {upstream.node!r};{suggest(upstream.node, nodes)}"
    is_default = upstream.output is None and not upstream.key.endswith(".")
    if is_default or output in producer.options.outputs:
        return None
    if producer.kind == "task":
        return (
            f"{producer.name!r} is a batch task, which has one output without a name; "
            f"depend on {producer.name!r}"
        )
    if producer.options.outputs:
        known = f" it has: {', '.join(repr(each) for each in producer.options.outputs)}"
    else:
        known = f" declare outputs={{{output!r}: ...}} there, or depend on {producer.name!r}"
    return f"{producer.name!r} has no output {output!r};{known}"
