"""What nodes take fits what their upstreams give, or is named with both ends and the fix."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NotRequired, TypedDict

from harness.graphs import actor, check, flow, only, task, work
from trouper.actors._actor_context import ActorContext


class Row(TypedDict):
    a: int
    b: str


class Part(TypedDict):
    a: int
    b: NotRequired[str]


class Postponed(TypedDict):
    a: "int"
    c: "NotRequired[int]"


class Keyed(TypedDict):
    t: int


Outside = TypedDict("Outside", {"a": int, "@run": int})

Gives = Callable[..., Any]


async def gives_int(ctx: Any) -> int: ...  # type: ignore[empty-body]  # never called


async def gives_str(ctx: Any) -> str: ...  # type: ignore[empty-body]  # never called


async def ints(ctx: Any) -> AsyncIterator[int]:
    yield 1


async def strs(ctx: Any) -> AsyncIterator[str]:
    yield ""


def takes(type_: Any, base: Gives = work) -> Gives:
    """Return a task, or an actor like `flow`, whose context has an input type."""

    async def body(ctx: Any) -> Any: ...

    async def stream(ctx: Any) -> Any:
        yield

    function: Gives = body if base is work else stream
    function.__annotations__["ctx"] = ActorContext[Any, Any, type_, Any]
    return function


def test_impossible_types_are_named_with_both_ends() -> None:
    async def b(n: str) -> None: ...

    change = "change one of the two types, or convert in a node between them"
    expected = f"'a' gives int, which is never str, that 'b' takes; {change}"
    assert only(task("a", obj=gives_int), task("b", "a", b)) == expected
    assert only(task("a", obj=gives_int), task("b", "a", takes(str))) == expected
    assert only(actor("a", obj=ints), actor("b", "a", takes(str, flow))) == expected
    assert check(task("a", obj=gives_str), task("b", "a", b)) == []


def test_a_stream_gives_a_batch_task_its_last_value_or_all() -> None:
    source = actor("a", obj=ints)
    assert check(source, task("b", "a", takes(int))) == []
    assert check(source, task("b", "a", takes(list[int]), collect="all")) == []
    assert only(source, task("b", "a", takes(list[int]))) == (
        "'a' gives int, which is never list[int], that 'b' takes; "
        "give 'b' collect='all' for the list of all values"
    )
    assert only(source, task("b", "a", takes(int), collect="all")) == (
        "'a' gives list[int], which is never int, that 'b' takes; "
        "leave out collect='all' for the last value alone"
    )
    assert "; change one" in only(source, task("b", "a", takes(str), collect="all"))


def test_a_named_output_has_a_type_of_its_own() -> None:
    source = actor("a", obj=ints, outputs={"x": str})
    assert check(source, actor("b", "a.x", takes(str, flow))) == []
    assert only(source, actor("b", "a.x", takes(int, flow))).startswith("'a.x' gives str, which")


def test_each_upstream_is_checked_against_its_key() -> None:
    nodes = actor("a", obj=strs), actor("b", obj=strs)
    assert only(*nodes, actor("c", ["a", "b"], takes(Row, flow))).startswith(
        "'a' gives str, which is never int"
    )
    problems = check(*nodes, actor("c", ["a", "b"], takes(Mapping[str, int], flow)))
    assert [each.partition(",")[0] for each in problems] == ["'a' gives str", "'b' gives str"]


def test_batch_values_beside_streams_are_no_messages() -> None:
    nodes = task("t", obj=gives_str), actor("a", obj=ints)
    assert check(*nodes, actor("c", ["t", "a"], takes(Mapping[str, int], flow))) == []
    batch = task("c", ["t", "a"], takes(Mapping[str, int]))
    assert only(*nodes, batch).startswith("'t' gives str, which is never int")
    alone = actor("c", "t", takes(int, flow))
    assert only(*nodes[:1], alone).startswith("'t' gives str, which is never int")
    keyed = actor("b", ["t", "a"], takes(Keyed, flow))
    assert only(*nodes, keyed).startswith("'t' gives str, which is never int")


def test_several_upstreams_come_as_a_mapping() -> None:
    assert only(task("a"), task("b"), task("c", ["a", "b"], takes(int))) == (
        "'c' takes int, but its 2 upstreams come as a mapping keyed by their names; "
        "take Mapping[str, ...] or a TypedDict"
    )


def test_every_key_that_is_required_is_given_by_somebody() -> None:
    """F5"""
    nodes = task("a"), task("d")
    assert only(*nodes, task("c", ["a", "d"], takes(Row))) == (
        "the input Row of 'c' has the key 'b', but no upstream of 'c' is called so; known: 'a', 'd'"
    )
    assert check(*nodes, task("c", ["a", "d"], takes(Part))) == []
    assert check(*nodes, task("c", ["a", "d"], takes(Postponed))) == []
    assert check(actor("a"), actor("d"), actor("c", ["a", "d"], takes(Outside, flow))) == []


def test_parameters_that_can_not_be_filled_are_a_problem() -> None:
    async def two(x: int, y: int) -> None: ...

    problem = only(task("a"), task("b", "a", two))
    assert problem.startswith("'b' can't be called: two(x: int, y: int) can't be filled from its")
    assert check(task("x"), task("y"), task("b", ["x", "y"], two)) == []


def test_the_type_of_variable_parameters_is_that_of_each_value() -> None:
    async def total(**values: int) -> None: ...

    assert check(task("a", obj=gives_int), task("b"), task("c", ["a", "b"], total)) == []
    problem = only(task("a", obj=gives_str), task("b"), task("c", ["a", "b"], total))
    assert problem.startswith("'a' gives str, which is never int, that 'c' takes")


def test_an_actor_with_streams_takes_the_context_alone_or_nothing() -> None:
    async def plain(n: int) -> AsyncIterator[int]:
        yield n

    async def nothing() -> AsyncIterator[int]:
        yield 1

    assert only(actor("a"), actor("b", "a", plain)) == (
        "'b' takes 'n', but an actor with streams gets the context alone; take `ctx` and read "
        "await ctx.receive() instead"
    )
    assert check(actor("a"), actor("b", "a", nothing)) == []
    assert check(task("a", obj=gives_int), actor("b", "a", plain)) == []
    assert only(task("a", obj=gives_str), actor("b", "a", plain)).startswith("'a' gives str")
    assert "needs an input but has no upstream" in only(actor("b", obj=plain))


def test_the_run_method_of_an_actor_takes_the_context_alone() -> None:
    class Wants:
        async def run(self, ctx: Any, n: int, size: int = 0) -> AsyncIterator[int]:
            yield n

    class Open:
        async def run(self, *args: Any, **kwargs: Any) -> AsyncIterator[int]:
            yield 1

    class Sized:
        async def run(self, ctx: Any, size: int = 0) -> AsyncIterator[int]:
            yield size

    assert only(task("a"), actor("b", "a", Wants)) == (
        "'b' takes 'n', but the run() of an actor gets the context alone; take `ctx` and read "
        "ctx.inputs instead"
    )
    assert "'b' takes 'n', 'size', but" in only(actor("a"), actor("b", "a", Wants))
    assert check(actor("a"), actor("b", "a", Open)) == []
    assert check(task("a", obj=gives_str), actor("b", "a", Sized)) == []


def test_only_a_known_type_can_be_validated() -> None:
    """F17"""
    assert only(actor("a", validate=True)) == (
        "validate has no effect on 'a', because its input type is not known; annotate it, "
        "`ctx: trouper.ActorContext[State, Deps, Input, Output]`"
    )
    loose = actor("c", ["a", "b"], takes(Mapping[str, Any], flow), validate=True)
    assert "validate has no effect on 'c'" in only(actor("a"), actor("b"), loose)
    assert check(actor("a", obj=takes(int, flow), validate=True)) == []
    assert check(actor("a"), actor("b", "a", takes(int, flow), validate=True)) == []
