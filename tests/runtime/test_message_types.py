"""Message types as the annotations tell them."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Annotated, Any, Generic, TypedDict, TypeVar

from trouper.runtime._message_types import MessageTypes, expected_types, message_types
from trouper.runtime._signature import inspect_callable

S = TypeVar("S")
D = TypeVar("D")
I = TypeVar("I")  # noqa: E741  # the name in ActorContext
O = TypeVar("O")  # noqa: E741  # likewise


class ActorContext(Generic[S, D, I, O]): ...


class TaskContext(Generic[S, D, I]): ...


class Task(Generic[S, D, I, O]):
    __module__ = "trouper"


class Actor(Generic[S, D, I, O]):
    __module__ = "trouper"


class Fetch(Task[None, None, int, str]):
    async def execute(self, ctx: Any) -> Any: ...


class Reading(Actor[None, None, I, list[I]], Generic[I]):
    async def run(self, ctx: Any) -> Any:
        yield 1


class Numbers(Reading[int]): ...


class Other:
    """Another system's `Task`, such as asyncio's, tells nothing."""

    class Task(Generic[I]): ...

    class Mine(Task[int]):
        async def execute(self, ctx: Any) -> Any: ...


class MyContext(ActorContext[None, None, bytes, bool]): ...


def types(obj: object, **explicit: Any) -> tuple[object, object]:
    found = message_types(inspect_callable(obj), **explicit)
    return found.input, found.output


def test_a_plain_function_tells_by_its_parameter_and_its_result() -> None:
    async def process(n: int) -> str: ...  # type: ignore[empty-body]  # never called
    async def join(n: int, m: int) -> None: ...

    assert types(process) == (int, str)
    assert types(join) == (Any, type(None))
    assert types(lambda: 1) == (Any, Any)


def test_the_parameters_of_the_context_count() -> None:
    # Never called.
    async def task(ctx: TaskContext[None, None, int]) -> str: ...  # type: ignore[empty-body]

    async def actor(ctx: ActorContext[None, None, int, str]) -> None: ...

    async def derived(ctx: Annotated[MyContext, "extra"]) -> None: ...

    # Left out on purpose.
    async def short(ctx: TaskContext) -> None: ...  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]

    assert types(task) == (int, str)
    found = message_types(inspect_callable(actor, as_kind="actor"))
    assert found == MessageTypes(int, str)
    assert message_types(inspect_callable(derived, as_kind="actor")) == MessageTypes(bytes, bool)
    assert types(short) == (Any, type(None))


def test_an_actor_gives_what_it_yields_or_sends() -> None:
    async def both(ctx: ActorContext[None, None, int, str]) -> AsyncIterator[bytes]:
        yield b""

    async def generator(ctx: Any) -> AsyncGenerator[int, None]:
        yield 1

    assert types(both) == (int, str | bytes)
    assert types(generator) == (Any, int)


def test_the_generic_base_is_asked_last() -> None:
    assert types(Fetch) == (int, str)
    # A type variable as a value.
    assert types(Numbers) == (int, list[I])  # type: ignore[valid-type]  # pyright: ignore[reportGeneralTypeIssues]
    assert types(Reading[str])[0] == I
    assert types(Other.Mine) == (Any, Any)


def test_explicit_types_win() -> None:
    assert types(Fetch, output_type=Any) == (int, Any)
    assert types(Fetch, input_type=None, output_type=float) == (None, float)


class Keyed(TypedDict, total=False):
    a: int


def test_several_upstreams_are_typed_by_key() -> None:
    assert expected_types(int, ["a"]) == {"a": int}
    assert expected_types(int, []) == {}
    assert expected_types(Mapping[str, int], ["a", "b"]) == {"a": int, "b": int}
    assert expected_types(Keyed, ["a", "b"]) == {"a": int, "b": Any}
    assert expected_types(int, ["a", "b"]) == {"a": Any, "b": Any}
    assert expected_types(tuple[int, str], ["a", "b"]) == {"a": Any, "b": Any}
