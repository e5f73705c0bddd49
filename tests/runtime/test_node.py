"""From what the user declares to a node: names, upstreams, types."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal, NewType, Optional, TypeVar

import pytest

import trouper
from harness.bodies import counts, sleeps

T = TypeVar("T")
UserId = NewType("UserId", int)


class FetchTask:
    async def execute(self, ctx: trouper.TaskContext) -> list[str]:
        return []


def built(depends_on: Any) -> trouper.Workflow:
    wf = trouper.Workflow()
    wf.task(name="b", depends_on=depends_on)(sleeps(0))
    return wf


def keys(wf: trouper.Workflow, node: str = "b") -> list[str]:
    return [upstream.key for upstream in wf.nodes[node].upstreams]


@pytest.mark.parametrize(
    ("depends_on", "expected"),
    [
        (None, []),
        ((), []),
        ("a", ["a"]),
        (["a", "c.alerts"], ["a", "c.alerts"]),
        ({"c": trouper.Edge(), "a": trouper.Edge()}, ["c", "a"]),
        ((name for name in ("x", "y")), ["x", "y"]),
    ],
)
def test_upstreams_keep_their_order(depends_on: Any, expected: list[str]) -> None:
    wf = built(depends_on)
    assert keys(wf) == expected
    assert wf.nodes["b"].keyed == (len(expected) > 1)


def test_an_output_is_addressed_with_a_dot() -> None:
    (upstream,) = built("monitor.alerts").nodes["b"].upstreams
    assert (upstream.node, upstream.output, upstream.key) == ("monitor", "alerts", "monitor.alerts")
    (upstream,) = built("monitor").nodes["b"].upstreams
    assert (upstream.node, upstream.output) == ("monitor", None)


def test_upstreams_may_be_objects() -> None:
    """The name that an object was added under counts, else the one it would be given."""
    wf = trouper.Workflow()
    fetch = wf.add(FetchTask(), name="renamed")
    body = wf.task(sleeps(0))
    wf.task(name="after", depends_on=[fetch, body])(sleeps(0))
    wf.task(name="before", depends_on={FetchTask: trouper.Edge()})(sleeps(0))
    assert keys(wf, "after") == ["renamed", "sleeps"]
    assert keys(wf, "before") == ["fetch"]


@pytest.mark.parametrize(
    ("depends_on", "error", "text"),
    [
        (["a", "a"], ValueError, "'b' names its upstream 'a' twice"),
        (
            {"a": 64},
            TypeError,
            r"depends_on of 'b' maps 'a' to 64; it takes trouper\.Edge\(\.\.\.\)",
        ),
    ],
)
def test_wrong_upstreams_are_named(depends_on: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        built(depends_on)


def test_an_explicit_type_wins() -> None:
    wf = trouper.Workflow()
    wf.add(FetchTask(), type=dict[str, int])
    wf.add(FetchTask(), name="plain")
    assert wf.nodes["fetch"].types.output == dict[str, int]
    assert wf.nodes["plain"].types.output == list[str]


@pytest.mark.parametrize("hint", [1, "int", sleeps, [int], FetchTask()])
def test_what_is_no_type_is_refused(hint: object) -> None:
    with pytest.raises(TypeError, match=r"type of 'fetch' takes a type, such as int .*, got"):
        trouper.Workflow().add(FetchTask(), type=hint)


@pytest.mark.parametrize(
    "hint",
    [Any, None, int | None, Optional[int], Literal["a"], T, UserId, Callable[[], int]],  # noqa: UP045  # both ways
)
def test_whatever_stands_for_types_is_taken(hint: object) -> None:
    wf = trouper.Workflow()
    wf.add(FetchTask(), type=hint)
    assert wf.nodes["fetch"].types.output == hint


def test_decorators_give_back_what_they_got() -> None:
    wf = trouper.Workflow()
    body, stream = sleeps(0), counts(1)
    assert wf.task(body) is body
    assert wf.actor(name="s")(stream) is stream
    assert {name: node.kind for name, node in wf.nodes.items()} == {"sleeps": "task", "s": "actor"}


def test_a_class_with_both_methods_is_refused_unless_told_which() -> None:
    class Both:
        async def execute(self, ctx: trouper.TaskContext) -> int:
            return 1

        async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[int]:
            yield 1

    wf = trouper.Workflow()
    with pytest.raises(TypeError, match=r"Both has both execute\(\) and run\(\)"):
        wf.add(Both())
    wf.task(name="t")(Both())
    wf.actor(name="a")(Both())
    assert [node.kind for node in wf.nodes.values()] == ["task", "actor"]


@pytest.mark.parametrize("name", ["", "a.b", "@run", "white space", "x" * 129])
def test_workflows_and_nodes_have_plain_names(name: str) -> None:
    with pytest.raises(ValueError, match="is no workflow name"):
        trouper.Workflow(name)
    with pytest.raises(ValueError, match="is no node name"):
        trouper.Workflow().task(name=name)(sleeps(0))


@pytest.mark.parametrize("entry", [1, object(), [["a"]]])
def test_an_upstream_is_a_name_or_an_object_of_a_node(entry: Any) -> None:
    with pytest.raises(TypeError, match="depends_on of 't' takes names and what was added to the"):
        trouper.Workflow().task(name="t", depends_on=entry)(sleeps(0))


def test_one_upstream_may_stand_alone_as_an_object() -> None:
    wf = trouper.Workflow("alone")
    source = wf.actor(name="source")(counts(1))
    wf.actor(name="reader", depends_on=source)(counts(1))
    assert keys(wf, "reader") == ["source"]


def test_an_upstream_object_need_not_be_hashable() -> None:
    @dataclass
    class Fetch:
        url: str

        async def execute(self, ctx: trouper.TaskContext) -> str:
            return self.url

    wf = trouper.Workflow("unhashable")
    fetch = wf.add(Fetch("x"))
    wf.actor(name="reader", depends_on=[fetch])(counts(1))
    assert keys(wf, "reader") == ["fetch"]
