"""`wf.map`: what is refused before the run, and how it is drawn."""

from collections.abc import Mapping
from typing import Any

import pytest

import trouper
from harness.bodies import counts
from trouper import Workflow


def plain(number: int) -> int:
    return number * 2


def plain_with_context(ctx: trouper.TaskContext, number: int) -> int:
    return number * 2


def both() -> Workflow:
    wf = Workflow("both")
    wf.task(name="numbers")(lambda: [1])
    wf.actor(name="stream")(counts(1))
    wf.actor(name="other")(counts(1))
    return wf


async def nothing() -> None: ...
async def two(one: int, other: int) -> None: ...
async def keyword(*, item: int) -> None: ...
async def yields(n: int) -> Any:
    yield n


@pytest.mark.parametrize(
    ("function", "options", "error", "text"),
    [
        (nothing, {}, TypeError, "'nothing' takes nothing, but a map calls it with one item"),
        (two, {}, TypeError, "'two' needs 'one', 'other', but a map calls it with one item"),
        (keyword, {}, TypeError, "'keyword' needs 'item', but a map calls it with one item"),
        (yields, {}, TypeError, "yields"),
        (plain, {"over": "nobody"}, ValueError, "maps over 'nobody', which is no node yet: decl"),
        (plain, {"over": ["stream", "other"]}, ValueError, "names 2 upstreams; a map goes over"),
        (plain, {"over": {"stream": 3}}, TypeError, "over of 'plain' maps 'stream' to 3; it ta"),
        (plain, {"concurrency": 0}, ValueError, "concurrency of 'plain' must be an int >= 1, got"),
        (plain, {"concurrency": True}, ValueError, "must be an int >= 1, got True"),
        (plain, {"ordered": 1}, TypeError, "ordered of 'plain' takes a bool, got 1"),
        (plain, {"ordered": False}, ValueError, "effect only with concurrency > 1; add that, or"),
        (plain, {"fan_in": "zip"}, TypeError, "map 'plain' has no option 'fan_in'; did you "),
        (plain, {"capacity": 3}, TypeError, "'plain' is a task; capacity is an option of an actor"),
        (
            plain,
            {"over": "stream", "executor": "gpu"},
            ValueError,
            "choose one of: thread, process",
        ),
        (plain_with_context, {"executor": "process"}, TypeError, "takes a context, which can't go"),
        (
            plain,
            {"over": "stream", "concurrency": 2, "redelivery_delay": 1.0},
            ValueError,
            "redelivery_delay of 'plain' lets other messages overtake; add ordered=False",
        ),
        (
            plain,
            {"over": "stream", "restart": "temporary", "max_attempts": 2},
            ValueError,
            "max_attempts of 'plain' has no effect with restart='temporary': the first failure",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    function: Any, options: Mapping[str, Any], error: type[Exception], text: str
) -> None:
    """F17, S13"""
    given: Any = {"over": "numbers", **options}
    with pytest.raises(error, match=text):
        both().map(function, **given)


def test_types_of_items_are_compared() -> None:
    wf = Workflow("types")

    @wf.task
    def words() -> list[str]:
        return []

    @wf.task
    def pair() -> tuple[str, int]:
        return "", 1

    @wf.task
    def count() -> int:
        return 1

    @wf.actor
    async def stream(ctx: trouper.ActorContext[None, None, None, str]) -> Any:
        yield ""

    wf.map(plain, over=words, name="a")
    wf.map(plain, over=pair, name="b")
    wf.map(plain, over=count, name="c")
    wf.map(plain, over=stream, name="d")

    @wf.task(depends_on="a")
    async def end(results: int) -> None: ...

    with pytest.raises(trouper.GraphError) as caught:
        wf.check()
    assert sorted(caught.value.problems) == [
        "'a' gives list[int], which is never int, that 'end' takes; change one of the two types, or"
        " convert in a node between them",
        "'count' gives int, which is never Iterable[int], that 'c' takes; change one of the two "
        "types, or convert in a node between them",
        "'stream' gives str, which is never int, that 'd' takes; change one of the two types, or "
        "convert in a node between them",
        "an item of 'words' gives str, which is never int, that 'a' takes; change one of the two "
        "types",
    ]


def test_it_is_drawn_with_its_concurrency() -> None:
    wf = both()
    wf.map(plain, over="numbers", concurrency=4)
    wf.map(plain, over="stream", name="one")
    text = wf.to_mermaid()
    assert 'n3["plain #215;4"]' in text
    assert 'n4("one")' in text
    assert "n0 --> n3" in text
