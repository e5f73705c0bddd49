"""Data frames handed into a task and out of it, by its own function in another's clothes.

Tasks whose annotations leave no room for a frame know nothing of this file.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, cast

from attrs import frozen

from ...actors._current import current_context
from .._shape import Shape
from ._handing import Rules, Step, Want, Wants, is_frame, step_in, step_out, want_of, wants_of

if TYPE_CHECKING:
    from ._dataframe import DataFrame

Function = Callable[..., Any]
Key = int | str
Steps = list[tuple[Key, Step, str]]
"""The place of a value, what is done to it, and what it is called if it is saved."""


def hand_over(
    function: Function, shape: Shape, kind: Literal["async", "sync", "stream"]
) -> Function:
    """Return a function that hands frames over as its annotations and the run say.

    It is the function itself if there is no room for a frame in its annotations.
    """
    plan = _plan(shape)
    if not plan.takes and plan.gives is None:
        return function
    make = {"async": _async, "sync": _sync, "stream": _stream}[kind]
    return wraps(_plain(function))(make(function, plan))


@frozen
class _Plan:
    """What one task wants of its values."""

    takes: bool
    """There is room for a frame in what it takes."""
    places: Sequence[tuple[str, Want | None]]
    """Of its parameters in order, with the context's."""
    rest: Want | None
    """Of `*args`."""
    names: Mapping[str, Want | None]
    others: Want | None
    """Of `**kwargs`."""
    gives: Wants | None

    def arguments(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> Steps:
        """Return what is to be done to the arguments of a call: mostly nothing, and soon said."""
        found: Steps = []
        for at, value in enumerate(args):
            if is_frame(value):
                name, want = self.places[at] if at < len(self.places) else ("argument", self.rest)
                if (step := step_in(want, value, _rules())) is not None:
                    found.append((at, step, name))
        for name, value in named.items():
            if is_frame(value):
                step = step_in(self.names.get(name, self.others), value, _rules())
                if step is not None:
                    found.append((name, step, name))
        return found

    def results(self, value: Any) -> Steps:
        """Return what is to be done to the members of a result that is a tuple, else to itself."""
        found: Steps = []
        for at, member in enumerate(_members(value)):
            if is_frame(member):
                step = step_out(self._given(at, value), member, _rules())
                if step is not None:
                    found.append((at, step, f"result-{at}" if _is_tuple(value) else "result"))
        return found

    def _given(self, at: int, value: object) -> Want | None:
        """Return what is wanted of a result, or of a member of one that is a tuple."""
        wants = self.gives
        if not isinstance(wants, tuple):
            return wants
        # One of a wrong length, or that is none, is refused later.
        return wants[at] if _is_tuple(value) and at < len(wants) else None


def _plan(shape: Shape) -> _Plan:
    wants = {each.name: want_of(each.annotation) for each in shape.parameters}
    kinds = {each.name: each.kind for each in shape.parameters}
    places = [
        (name, wants[name]) for name, kind in kinds.items() if kind in ("positional", "named")
    ]
    return _Plan(
        takes=any(wants.values()),
        places=[("ctx", None), *places] if shape.takes_ctx else places,
        rest=next((wants[name] for name, kind in kinds.items() if kind == "rest"), None),
        names={name: wants[name] for name, kind in kinds.items() if kind in ("named", "keyword")},
        others=next((wants[name] for name, kind in kinds.items() if kind == "keywords"), None),
        gives=wants_of(shape.returns),
    )


def _plain(function: Any) -> Any:
    """Return what has the name and the code, of a partial."""
    while not hasattr(function, "__name__") and hasattr(function, "func"):
        function = function.func
    return function


def _rules() -> Rules:
    context = current_context.get()
    run = None if context is None else context.run_context
    call: Any = getattr(context, "call", None)
    return Rules(
        preserve=run is not None and run.preserve_original_types,
        is_root=call is not None and call.parent is None,
    )


# -- the clothes ---------------------------------------------------------------------------------


def _async(function: Function, plan: _Plan) -> Function:
    async def handing(*args: Any, **named: Any) -> Any:
        if steps := plan.arguments(args, named):
            args, named = await _take(args, named, steps)
        value = await cast("Awaitable[Any]", function(*args, **named))
        steps = plan.results(value)
        return await _give(value, steps) if steps else value

    return handing


def _stream(function: Function, plan: _Plan) -> Function:
    async def handing(*args: Any, **named: Any) -> AsyncGenerator[Any, None]:
        args, named = await _take(args, named, plan.arguments(args, named))
        body: AsyncGenerator[Any, None] = function(*args, **named)
        try:
            value = await anext(body)
            while True:
                try:
                    yield await _give(value, plan.results(value))
                except BaseException as error:  # what happens at a yield goes into the body
                    value = await body.athrow(error)
                else:
                    value = await anext(body)
        except StopAsyncIteration:
            return
        finally:
            await body.aclose()

    return handing


def _sync(function: Function, plan: _Plan) -> Function:
    def handing(*args: Any, **named: Any) -> Any:
        if steps := plan.arguments(args, named):
            args, named = _put(args, named, steps, [_do(args, named, each) for each in steps])
        value = function(*args, **named)
        if isawaitable(value):
            return _give_later(plan, value)
        steps = plan.results(value)
        if not steps:
            return value
        return _put_result(value, steps, [_do(_members(value), {}, each) for each in steps])

    return handing


async def _give_later(plan: _Plan, value: Awaitable[Any]) -> Any:
    found = await value
    return await _give(found, plan.results(found))


async def _take(
    args: tuple[Any, ...], named: dict[str, Any], steps: Steps
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _put(args, named, steps, [await _ado(args, named, each) for each in steps])


async def _give(value: Any, steps: Steps) -> Any:
    return _put_result(value, steps, [await _ado(_members(value), {}, each) for each in steps])


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return type(value) is tuple


def _members(value: Any) -> tuple[Any, ...]:
    return value if _is_tuple(value) else (value,)


def _do(args: tuple[Any, ...], named: dict[str, Any], todo: tuple[Key, Step, str]) -> Any:
    key, step, name = todo
    value = args[key] if isinstance(key, int) else named[key]
    return _class().save(name, value) if step == "save" else value.read(step)


async def _ado(args: tuple[Any, ...], named: dict[str, Any], todo: tuple[Key, Step, str]) -> Any:
    key, step, name = todo
    value = args[key] if isinstance(key, int) else named[key]
    return await (_class().asave(name, value) if step == "save" else value.aread(step))


def _class() -> "type[DataFrame]":
    from ._dataframe import DataFrame  # slow, and few tasks need it

    return DataFrame


def _put(
    args: tuple[Any, ...], named: dict[str, Any], steps: Steps, made: list[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    changed = {key: value for (key, _, _), value in zip(steps, made, strict=True)}
    return (
        tuple(changed.get(at, value) for at, value in enumerate(args)),
        {name: changed.get(name, value) for name, value in named.items()},
    )


def _put_result(value: Any, steps: Steps, made: list[Any]) -> Any:
    members, _ = _put(_members(value), {}, steps, made)
    return members if _is_tuple(value) else members[0]
