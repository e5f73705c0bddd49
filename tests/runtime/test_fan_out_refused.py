"""Balance and partition: what is refused before the run, and how they are drawn."""

from collections.abc import Callable
from typing import Any, Literal

import pytest

import trouper
from harness.graphs import actor, check, only, task
from trouper import Partition
from trouper.runtime._mermaid import to_mermaid

BY_NAME = Partition(to=lambda message: message[0])


def by(function: Callable[..., Any]) -> Partition:
    return Partition(to=function)


@pytest.mark.parametrize("fan_out", ["balance", BY_NAME])
def test_without_two_readers_it_has_no_effect(fan_out: Any) -> None:
    """F17"""
    shown = "'balance'" if fan_out == "balance" else "Partition(...)"
    alone = actor("a", fan_out=fan_out)
    assert only(alone) == (
        f"fan_out={shown} has no effect on 'a', because nobody reads it; leave it out, or let a "
        "second node depend on the same output"
    )
    assert "because only 'b' reads 'a'; leave" in only(alone, actor("b", ["a"]))
    two = actor("a", fan_out=fan_out, outputs={"x": int})
    problem = only(two, actor("b", ["a"]), actor("c", ["a.x"]))
    assert "because only 'b' reads 'a', only 'c' reads 'a.x'; leave" in problem
    assert not check(alone, actor("b", ["a"]), task("c", ["a"]))


async def numbers(ctx: trouper.ActorContext[None, None, None, int]) -> Any:
    yield 1


def test_a_function_that_never_fits_the_messages_is_refused() -> None:
    def key(order: str) -> str:
        return order

    readers = [actor("b", ["a"]), actor("c", ["a"])]
    problem = only(actor("a", obj=numbers, fan_out=Partition(key)), *readers)
    assert problem == (
        "'a' gives int, which is never str, that the function of its fan_out=Partition(...) takes; "
        "change one of the two types"
    )

    def name(order: int) -> int:
        return order

    problem = only(actor("a", obj=numbers, fan_out=by(name)), *readers)
    assert problem.endswith("of 'a' gives int; it has to return the name of a reader, a str")
    out = actor("a", obj=numbers, fan_out=Partition(key), outputs={"x": float})
    assert "'a.x' gives float, which is never str" in only(
        out, actor("b", ["a.x"]), actor("c", ["a.x"])
    )


def test_names_that_nobody_has_are_refused_before_the_run() -> None:
    """G6"""

    def choose(order: int) -> Literal["b", "d"]:
        return "b"

    readers = [actor("b", ["a"]), actor("c", ["a"])]
    assert only(actor("a", obj=numbers, fan_out=by(choose)), *readers) == (
        "the function `to` of fan_out=Partition(...) of 'a' may return 'd', but no reader of it is "
        "called so; known: 'b', 'c'"
    )
    assert not check(actor("a", fan_out=by(choose)), *readers, actor("d", ["a"]))


@pytest.mark.parametrize("function", [lambda: "b", str, max, print])
def test_what_a_function_does_not_say_is_not_checked(function: Any) -> None:
    assert not check(actor("a", fan_out=by(function)), actor("b", ["a"]), actor("c", ["a"]))


def test_it_stands_on_the_edges_that_share() -> None:
    nodes = [
        actor("a", fan_out="balance", outputs={"x": int}),
        actor("b", ["a", "a.x"]),
        actor("c", ["a"], overflow="latest"),
        actor("d", ["b"]),
    ]
    text = to_mermaid({node.name: node for node in nodes})
    arrows = [line.strip() for line in text.splitlines() if "-->" in line]
    assert arrows == [
        'n0 -->|"balance"| n1',
        'n0 -->|"x"| n1',
        'n0 -->|"balance, latest"| n2',
        "n1 --> n3",
    ]
    nodes[0] = actor("a", fan_out=BY_NAME, outputs={"x": int})
    assert 'n0 -->|"partition"| n1' in to_mermaid({node.name: node for node in nodes})
