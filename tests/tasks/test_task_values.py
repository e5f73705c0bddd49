"""Arguments and results against annotations: strict, by reference, named in errors."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("values")
runner = trouper.with_runcontext(name="values")


class Point(msgspec.Struct):
    x: int
    y: float = 0.0


@env.task
async def many(
    n: int, *rest: int, word: str = "w", choice: Literal["a", "b"] = "a", **more: float
) -> list[Any]:
    return [n, rest, word, choice, more]


async def test_arguments_are_bound_as_python_does_it() -> None:
    run = await runner.run.aio(many, 1, 2, 3, word="x", choice="b", z=1.5)
    assert run.outputs() == ([1, (2, 3), "x", "b", {"z": 1.5}],)
    assert run.inputs() == {
        "n": 1,
        "rest": (2, 3),
        "word": "x",
        "choice": "b",
        "more": {"z": 1.5},
    }
    assert (await runner.run.aio(many, n=1)).inputs()["word"] == "w"


@pytest.mark.parametrize(
    ("args", "named", "words"),
    [
        (("1",), {}, "argument n of task 'many' takes int, not '1'"),
        ((1, 2, "3"), {}, "argument *rest of task 'many' takes int, not '3'"),
        ((1,), {"word": 3}, "argument word of task 'many' takes str, not 3"),
        ((1,), {"choice": "c"}, "argument choice of task 'many' takes Literal['a', 'b'], not 'c'"),
        ((1,), {"z": "y"}, "argument **more of task 'many' takes float, not 'y'"),
        ((), {}, "task 'many' can't be called so: missing a required argument: 'n'"),
        ((1,), {"n": 2}, "multiple values for argument 'n'"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_runs(
    args: tuple[Any, ...], named: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError) as caught:
        await runner.run.aio(many, *args, **named)
    assert words in str(caught.value)


@env.task
async def needs_one(*, key: int) -> int:
    return key


async def test_a_missing_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="missing a required"):
        await runner.run.aio(needs_one)
    with pytest.raises(TypeError, match=r"too many positional.*needs_one\(\*, key: int\)"):
        await runner.run.aio(needs_one, 1)


def identity(annotation: Any) -> Any:
    async def same(value: Any) -> Any:
        return value

    same.__annotations__ = {"value": annotation, "return": annotation}
    return trouper.TaskEnvironment("identity").task(name="same")(same)


async def pass_through(annotation: Any, value: Any) -> Any:
    (found,) = (await runner.run.aio(identity(annotation), value)).outputs()
    return found


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[int], [1, 2, 3]),
        (list[float], [1.5, 2.5]),
        (dict[str, list[int]], {"a": [1]}),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (Point, Point(1)),
        (list[Point], [Point(1), Point(2)]),
        (object, object()),
        (int | None, 3),
        (bytes, b"x"),
        (Point | None, Point(3)),
        ("Unknown", [1]),
    ],
)
async def test_values_go_by_reference(annotation: Any, value: Any) -> None:
    """F38: everything was serialised."""
    assert await pass_through(annotation, value) is value


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 3, 3.0),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (Point, {"x": 1, "y": 2}, Point(1, 2.0)),
        (list[Point], [{"x": 1}], [Point(1)]),
        (set[int], [1, 2], {1, 2}),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
    ],
)
async def test_values_are_converted_as_msgspec_does_it(
    annotation: Any, value: Any, expected: Any
) -> None:
    found = await pass_through(annotation, value)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(found, list):
        assert [type(each) for each in found] == [type(each) for each in expected]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, "3"),
        (str, 3),
        (list[int], [1, "2"]),
        (Point, {"x": "1"}),
        (Point, Point(x="1")),  # type: ignore[arg-type]  # what nobody checks when it is made
    ],
)
async def test_nothing_is_guessed(annotation: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="argument value of task 'same' takes"):
        await pass_through(annotation, value)


async def test_a_result_of_the_wrong_type_fails_the_task() -> None:
    @env.task(name="wrong_result")
    async def wrong_result() -> int:
        return "3"  # type: ignore[return-value]  # the refusal is what is tested

    @env.task(name="wrong_in_thread")
    def wrong_in_thread() -> list[int]:
        return [1, "2"]  # type: ignore[list-item]  # likewise

    @env.task(name="wrong_yield")
    async def wrong_yield() -> AsyncIterator[int]:
        yield 1
        yield "2"  # type: ignore[misc]  # likewise

    for task, words in (
        (wrong_result, "task 'wrong_result' returns int, not '3'"),
        (wrong_in_thread, "task 'wrong_in_thread' returns list[int], not [1, '2']"),
        (wrong_yield, "task 'wrong_yield' yields int, not '2'"),
    ):
        with pytest.raises(RuntimeUserError) as caught:
            await runner.run.aio(task)
        assert caught.value.code == "TypeError"
        assert words in str(caught.value.__cause__)


async def test_a_context_is_no_argument() -> None:
    @env.task(name="takes_context")
    async def takes_context(ctx: trouper.TaskContext, n: int) -> str:
        return f"{ctx.action.name} {n}"

    run = await runner.run.aio(takes_context, 3)
    assert run.outputs() == ("takes_context 3",)
    assert run.inputs() == {"n": 3}
