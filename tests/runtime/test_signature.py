"""What a user's object is, and how it wants to be called."""

import abc
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Generic, Literal, TypeVar

import attrs
import pytest

from trouper.runtime._shape import Parameter, Shape
from trouper.runtime._signature import inspect_callable

T = TypeVar("T")


class TaskContext(Generic[T]):
    """Another system's, or ours: known by name."""


class MyContext(TaskContext[int]): ...


class Fetch:
    async def execute(self, ctx: TaskContext[int]) -> str:
        return ""


class SyncFetch:
    def execute(self, anything: Any, /) -> str:
        return ""


class Monitor:
    async def run(self, ctx: Any) -> AsyncIterator[int]:
        yield 1


class Sender:
    async def run(self, ctx: Any) -> None: ...


class Handing:
    """Hands over another's iterator."""

    def run(self, ctx: Any) -> AsyncIterator[int]:
        return Monitor().run(ctx)


class Both(Fetch, Monitor): ...


class Helper(Fetch):
    def run(self) -> None:
        """A helper of that name, which is no actor."""


class Needy(Fetch):
    def __init__(self, url: str, *more: str, retries: int = 3) -> None: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    async def execute(self, ctx: Any) -> None: ...


class Boxed(Generic[T]):
    async def execute(self, ctx: Any) -> None: ...


class Static:
    @staticmethod
    async def execute(ctx: Any) -> None: ...


class ByClass:
    @classmethod
    async def execute(cls, ctx: Any) -> None: ...


class Starred:
    async def execute(self, *args: Any) -> None: ...


class Calls:
    async def __call__(self, n: int) -> int:
        return n


class CallsSync:
    def __call__(self, n: int) -> int:
        return n


@pytest.mark.parametrize("obj", [Fetch, Fetch(), functools.partial(Fetch)])
def test_any_object_with_execute_is_a_task(obj: object) -> None:
    shape = inspect_callable(obj)
    assert attrs.evolve(shape, is_factory=False) == Shape(
        kind="task",
        entry="execute",
        is_factory=False,
        is_async=True,
        is_generator=False,
        takes_ctx=True,
        context=TaskContext[int],
        parameters=(),
        returns=str,
        owner=Fetch,
        label="Fetch.execute",
    )
    assert shape.is_factory is not isinstance(obj, Fetch)


@pytest.mark.parametrize("obj", [Monitor, Monitor(), Handing, Handing()])
def test_any_object_with_an_async_generator_run_is_an_actor(obj: object) -> None:
    shape = inspect_callable(obj)
    assert (shape.kind, shape.entry, shape.is_generator) == ("actor", "run", True)
    assert shape.returns is int


def test_a_coroutine_run_is_an_actor_too() -> None:
    shape = inspect_callable(Sender())
    assert (shape.kind, shape.entry, shape.is_generator) == ("actor", "run", False)


def test_a_sync_body_is_legal() -> None:
    """F22"""

    def load(path: str) -> bytes:
        return b""

    for obj in (SyncFetch(), SyncFetch, load, CallsSync()):
        assert inspect_callable(obj).is_async is False
    assert inspect_callable(SyncFetch).takes_ctx is True


def test_a_subscripted_class_is_its_class() -> None:
    assert inspect_callable(Boxed[int]).owner is Boxed
    assert inspect_callable(Boxed[int]).is_factory is True


@pytest.mark.parametrize("cls", [Static, ByClass, Starred])
def test_self_is_no_parameter_however_the_method_is_written(cls: type) -> None:
    for obj in (cls, cls()):
        shape = inspect_callable(obj)
        assert shape.takes_ctx is True
        assert [each.name for each in shape.parameters if each.kind != "rest"] == []


def test_a_callable_object_is_a_function() -> None:
    shape = inspect_callable(Calls())
    assert (shape.kind, shape.entry, shape.is_async) == ("task", "call", True)
    assert (shape.takes_ctx, shape.label) == (False, "Calls")
    assert [each.annotation for each in shape.parameters] == [int]


def test_a_function_takes_the_context_by_the_name_or_the_annotation_of_its_first() -> None:
    # As users write it.
    async def named(ctx): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
    async def annotated(c: TaskContext[int]) -> None: ...
    # Left out on purpose.
    async def bare(c: TaskContext) -> None: ...  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]
    async def derived(c: MyContext) -> None: ...
    async def in_text(c: int) -> None: ...

    in_text.__annotations__["c"] = "elsewhere.ActorContext[int, Nope]"

    async def plain(context: int) -> None: ...
    async def by_keyword(*, n: int) -> None: ...
    async def without() -> None: ...

    taken = [named, annotated, bare, derived, in_text, plain, by_keyword, without]
    assert [inspect_callable(each).takes_ctx for each in taken] == [True] * 5 + [False] * 3
    assert inspect_callable(annotated).context == TaskContext[int]
    assert inspect_callable(in_text).context is Any


def test_plain_parameters_tell_name_type_kind_and_whether_they_are_needed() -> None:
    async def process(a: int, /, b: "str", *rest: int, c: int = 1, **more: float) -> bool:
        return True

    def expected(name: str, hint: object, required: bool, kind: Any) -> Parameter:
        return Parameter(name=name, annotation=hint, required=required, kind=kind)

    shape = inspect_callable(process)
    assert shape.parameters == (
        expected("a", int, True, "positional"),
        expected("b", str, True, "named"),
        expected("rest", int, False, "rest"),
        expected("c", int, False, "keyword"),
        expected("more", float, False, "keywords"),
    )
    assert (shape.returns, shape.label) == (bool, "process")
    bound = inspect_callable(functools.partial(process, 1, c=2))
    assert [each.name for each in bound.parameters] == ["b", "rest", "c", "more"]


def test_a_function_that_hands_over_what_another_makes_counts_as_that_one() -> None:
    def one(n: int) -> Awaitable[int]:
        return Calls()(n)

    def two(n: int) -> Coroutine[Any, Any, str]: ...  # type: ignore[empty-body]  # never called
    def three(n: int) -> Any: ...

    three.__annotations__["return"] = Awaitable

    def stream() -> AsyncIterator[int]:
        return Monitor().run(None)

    shapes = [inspect_callable(each) for each in (one, two, three)]
    assert [(each.is_async, each.returns) for each in shapes] == [
        (True, int),
        (True, str),
        (True, Any),
    ]
    assert inspect_callable(stream).kind == "actor"


def test_the_caller_may_say_which_it_is() -> None:
    async def relay(ctx: Any) -> None: ...

    assert inspect_callable(relay).kind == "task"
    assert inspect_callable(relay, as_kind="actor").kind == "actor"
    assert inspect_callable(Both, as_kind="actor").entry == "run"
    assert inspect_callable(Both, as_kind="task").entry == "execute"
    assert inspect_callable(Helper).kind == "task"


def test_an_unannotated_generator_yields_anything() -> None:
    async def ticks():  # type: ignore[no-untyped-def]  # noqa: ANN202, RUF100  # as users write it
        yield 1

    # A user's wrong annotation.
    async def odd() -> int:  # type: ignore[misc]  # pyright: ignore[reportReturnType]
        yield 1  # pyright: ignore[reportReturnType]  # likewise

    assert inspect_callable(ticks).returns is Any
    assert inspect_callable(odd).returns is Any


def _yields() -> Iterator[int]:
    yield 1


async def _late(n: int, ctx: Any) -> None: ...


class _NoContext:
    async def execute(self) -> None: ...


class _KeywordContext:
    async def execute(self, *, ctx: Any) -> None: ...


class _YieldingTask:
    async def execute(self, ctx: Any) -> AsyncIterator[int]:
        yield 1


class _SyncRun:
    def run(self, ctx: Any) -> Iterator[int]:
        yield 1


class _SyncGeneratorTask:
    def execute(self, ctx: Any) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("obj", "as_kind", "problem"),
    [
        (Both, None, r"Both has both execute\(\) and run\(\).* say which with @wf.task or @wf.ac"),
        (object(), None, r"object is neither a task nor an actor: .* add `async def execute\(self"),
        (3, None, "int is neither"),
        (int, None, "int is neither"),
        (Calls, None, "Calls is neither"),
        (Calls, "task", r"Calls is no task: it has no execute\(\); add"),
        (Monitor, "task", "Monitor is no task"),
        (Fetch, "actor", r"Fetch is no actor: it has no run\(\); add `async def run"),
        (_SyncRun, None, r"_SyncRun is no actor: its run\(\) is a plain function; write `async"),
        (Abstract, None, "Abstract is abstract; define execute in a subclass"),
        (Needy, None, r"Needy needs url to be made; pass an instance, Needy\(...\), or functools"),
        (_NoContext, None, r"_NoContext.execute takes no context; write `async def execute\(self"),
        (_NoContext(), None, "takes no context"),
        (_KeywordContext, None, "takes no context"),
        (_YieldingTask, None, r"_YieldingTask.execute yields, so it is an actor; call .* run\(\)"),
        (_SyncGeneratorTask, None, "_SyncGeneratorTask.execute is a plain generator; write `async"),
        (_yields, None, "_yields is a plain generator; write `async def` and `yield`"),
        (_late, None, "_late takes ctx, but not first; make it the first parameter"),
        (Monitor().run, "task", "Monitor.run yields, so it is an actor; use @wf.actor, or `retu"),
        (len, "actor", "len is a plain function; an actor is written `async def`"),
        (max, None, "the parameters of max can't be read; wrap it in a func"),
    ],
)
def test_what_can_not_run_is_refused_with_the_fix(
    obj: object, as_kind: Literal["task", "actor"] | None, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        inspect_callable(obj, as_kind=as_kind)


def test_a_partial_that_gives_what_a_class_needs_makes_a_fresh_one() -> None:
    shape = inspect_callable(functools.partial(Needy, "http://x"))
    assert (shape.is_factory, shape.owner) == (True, Needy)


def test_annotations_see_the_closure_and_the_class() -> None:
    class Local: ...

    def make() -> Callable[..., object]:
        async def inner(x: "Local") -> "Later":
            return Later(Local)

        found = inspect_callable(inner)
        assert found.returns is Any  # Later is bound only below: nothing is known yet

        class Later:
            def __init__(self, cls: type) -> None: ...

        return inner

    assert [each.annotation for each in inspect_callable(make()).parameters] == [Local]

    class Nested:
        class Item: ...

        async def execute(self, ctx: Any) -> "Item":
            return self.Item()

    assert inspect_callable(Nested).returns is Nested.Item
