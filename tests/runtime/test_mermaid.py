"""The drawing holds every node and edge, and nothing in a name can break it."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.graphs import flow, work
from trouper.runtime._edge import Edge
from trouper.runtime._mermaid import to_mermaid
from trouper.runtime._node import Node, make_node


def drawn(*nodes: Node) -> str:
    return to_mermaid({node.name: node for node in nodes})


def node(name: str, obj: Any = flow, **options: Any) -> Node:
    return make_node(obj, None, {"name": name, **options}, lambda _: None)


def test_a_graph_is_drawn_as_it_was_declared() -> None:
    back = {"limits": Edge(), "cpu": Edge(), "judge.retry": Edge(feedback=True)}
    assert (
        drawn(
            node("limits", work),
            node("cpu"),
            node("judge", depends_on=back, outputs={"retry": int, "alerts": int}),
            node("end", depends_on={"judge.alerts": Edge(overflow="latest")}),
            node("last", work, depends_on=["judge", "nobody"]),
        )
        == """\
flowchart LR
    n0["limits"]
    n1("cpu")
    n2("judge")
    n3("end")
    n4["last"]
    n0 --> n2
    n1 --> n2
    n2 -.->|"retry, feedback"| n2
    n2 -->|"alerts, latest"| n3
    n2 --> n4
    classDef source stroke-width:3px
    class n0,n1 source
    classDef sink stroke-dasharray:6 3
    class n3,n4 sink
"""
    )


def test_the_overflow_of_the_node_stands_on_its_edges() -> None:
    text = drawn(node("t", work), node("a"), node("b", depends_on=["t", "a"], overflow="fail"))
    assert 'n1 -->|"fail"| n2' in text
    assert "n0 --> n2" in text


def test_a_loop_has_the_ends_that_its_feedback_edge_gives_it() -> None:
    """P19: declared with a feedback edge, it has both."""
    assert "classDef" not in drawn(node("a", depends_on="b"), node("b", depends_on="a"))
    closed = node("a", depends_on={"b": Edge(feedback=True)}), node("b", depends_on="a")
    assert "class n0 source" in drawn(*closed)
    assert "class n1 sink" in drawn(*closed)


def test_an_empty_graph_is_a_drawing_too() -> None:
    assert drawn() == "flowchart LR\n"


@given(st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True))
def test_any_output_name_is_shown_as_it_is(output: str) -> None:
    text = drawn(node("a", outputs={output: int}), node("b", depends_on=[f"a.{output}"]))
    label = text.splitlines()[3].removeprefix('    n0 -->|"').removesuffix('"| n1')
    assert re.fullmatch(r"(?:[A-Za-z0-9_-]|#\d+;)*", label)
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) == output
