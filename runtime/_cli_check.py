"""`trouper check` and `trouper graph`: look at a graph without running it."""

from collections.abc import Iterator

from ._cli_groups import declared_groups
from ._cli_load import load_workflow
from ._cli_problem import Problem
from ._cli_text import columns, count, plain
from ._graph_check import GraphError
from ._node import Node
from ._workflow import Workflow
from .host._asyncio_bridge import Bridged


def ensure_valid(target: str, workflow: Workflow) -> None:
    """Check the graph.

    Raises:
        Problem: it can't run; every problem on a line.
    """
    try:
        workflow.check()
    except GraphError as error:
        lines = "\n".join(plain(line, 2_000) for line in str(error).split("\n"))
        raise Problem(f"{plain(target)}: {lines}") from None


def check(target: str) -> Iterator[str]:
    """Yield what `trouper check` says of a graph that can run.

    Raises:
        Problem: it can't, or the file can't be loaded.
    """
    workflow = load_workflow(target)
    ensure_valid(target, workflow)
    nodes = workflow.nodes
    edges = sum(len(node.upstreams) for node in nodes.values())
    yield (
        f"{plain(target)}: {plain(workflow.name)} can run: {count(len(nodes), 'node')}, "
        f"{count(edges, 'edge')}"
    )
    head = ("node", "kind", "upstreams", "what a restart meets")
    yield from columns([head, *map(_row, nodes.values())])
    if workflow.groups:
        yield from declared_groups(workflow.groups.values())


def _row(node: Node) -> tuple[str, ...]:
    upstreams = ", ".join(plain(upstream.key) for upstream in node.upstreams)
    return plain(node.name), _kind(node), upstreams or "-", what_restarts(node)


def _kind(node: Node) -> str:
    """Return what a node is: `task`, `actor x4`, `map over a list x4, in processes`."""
    what, concurrency = str(node.kind), node.options.concurrency
    if node.map is not None:
        what = f"map over a {'list' if node.kind == 'task' else 'stream'}"
        concurrency = node.map.concurrency
    times = f" x{concurrency}" if concurrency > 1 else ""
    return what + times + (", in processes" if node.options.executor == "process" else "")


def what_restarts(node: Node) -> str:
    """Return whether incarnations share one object or get a fresh one each."""
    label = plain(node.shape.label)
    if isinstance(node.obj, Bridged):
        return f"function {plain(node.obj.__name__)} in asyncio: called anew, fresh state"
    if node.shape.entry == "call":
        return f"function {label}: called anew, fresh state"
    if node.shape.is_factory:
        return f"class or factory {label}: a new object each time, fresh state"
    return f"instance {label}: one object serves all incarnations, its state stays"


def graph(target: str) -> Iterator[str]:
    """Yield the Mermaid flowchart; it is pure ASCII. A graph that can't run is drawn all the same.

    Raises:
        Problem: the graph can't run, or the file can't be loaded.
    """
    workflow = load_workflow(target)
    yield workflow.to_mermaid().rstrip("\n")
    ensure_valid(target, workflow)
