"""What is known of one task: read from its function once, when it is declared."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Literal, cast

from attrs import define

from .._names import check_name, infer_name
from .._signature import inspect_callable
from ..cache._policy import check_policy
from ..io._hand_over import hand_over
from ..io._handing import with_room
from ._binding import Binder, make_binder
from ._check import Check, make_check
from ._task_options import Settings

TaskKind = Literal["async", "sync", "stream"]


@define(eq=False, kw_only=True)
class Spec:
    """One task."""

    name: str
    environment: str
    function: Callable[..., Any]
    kind: TaskKind
    is_coroutine: bool
    """Calling it runs nothing yet."""
    takes_ctx: bool
    binder: Binder
    check_result: Check | None
    returns: Any
    """The annotation of its result."""
    settings: Settings
    is_simple: bool
    """Nothing is to be done but to run its coroutine, once. Most calls are of such tasks."""
    is_served: bool
    """There is more to its calls than its body: a cache, a queue."""
    code: bytes | None = None
    """The hash of its code, once it was asked for."""


def make_spec(function: Any, name: str | None, settings: Settings, environment: str = "") -> Spec:
    """Return what is known of a task.

    Raises:
        TypeError, ValueError: it is none; with the fix.
    """
    _refuse_lambda(function)
    shape = inspect_callable(function)
    if shape.is_factory or shape.entry != "call":
        raise TypeError(
            f"{shape.label} is no function; @env.task takes functions, wf.add() takes objects"
        )
    known = infer_name(function) if name is None else check_name(name, "task")
    kind: TaskKind = "stream" if shape.is_generator else "async" if shape.is_async else "sync"
    _check_effects(known, kind, settings)
    verb = "yields" if kind == "stream" else "returns"
    function = hand_over(function, shape, kind)
    is_coroutine = inspect.iscoroutinefunction(function)
    once = settings.policy is None and settings.timeout is None
    binder = make_binder(known, function, shape)
    if settings.cache is not None:
        check_policy(known, settings.cache, binder.signature.parameters)
    return Spec(
        name=known,
        environment=environment,
        function=function,
        kind=kind,
        is_coroutine=is_coroutine,
        is_simple=is_coroutine and once and not shape.takes_ctx,
        takes_ctx=shape.takes_ctx,
        binder=binder,
        check_result=make_check(with_room(shape.returns), owner=f"task {known!r}", verb=verb),
        returns=shape.returns,
        settings=settings,
        is_served=settings.cache is not None
        or settings.queue is not None
        or settings.interruptible,
    )


def _check_effects(name: str, kind: TaskKind, settings: Settings) -> None:
    if kind == "stream" and settings.queue is not None:
        raise ValueError(
            f"queue has no effect on task {name!r}, which yields: it goes on only as its reader "
            "does, in that one's place; give the queue to the task that reads it"
        )
    if kind == "stream" and settings.cache is not None:
        raise ValueError(
            f"cache has no effect on task {name!r}, which yields: what it has yielded is gone "
            "before it is known how it ends; cache='disable' it, and cache the task that reads it"
        )
    if kind == "stream" and (settings.policy is not None or settings.timeout is not None):
        option = "timeout" if settings.policy is None else "retries"
        raise ValueError(
            f"{option} has no effect on task {name!r}, which yields: what it has yielded is gone; "
            "leave it out, and try again where the stream is read"
        )


def _refuse_lambda(function: Any) -> None:
    plain = function
    while isinstance(plain, partial):
        plain = cast("Any", plain).func
    if getattr(plain, "__name__", "") == "<lambda>":
        raise TypeError("a lambda can't be a task: nobody could find it by name; write a def")


def make_body(
    spec: Spec, args: tuple[Any, ...], named: dict[str, Any], run: Callable[..., Any]
) -> Coroutine[Any, Any, Any]:
    """Return the coroutine of an async task.

    Args:
        run: that of the context variables in which its function is called.
    """
    if spec.is_coroutine:
        body: Coroutine[Any, Any, Any] = spec.function(*args, **named)
        return body
    return _await(run(partial(spec.function, *args, **named)))


async def _await(body: Awaitable[Any]) -> Any:
    return await body
