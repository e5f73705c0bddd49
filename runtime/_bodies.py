"""From a user's object to what one incarnation runs."""

import copy
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import MappingProxyType
from typing import Any

from ..actors._child import Behaviour
from ..actors._mailbox import InvalidMessage
from ._arguments import Arguments, plan_arguments
from ._convert_message import convert_message
from ._message_types import expected_types
from ._node import Node
from ._threads import call_in_thread


def arguments_of(node: Node) -> Arguments | None:
    """Return how to fill plain parameters; None for a body that takes nothing but the context."""
    if not node.shape.parameters:
        return None
    return plan_arguments(node.shape, [upstream.key for upstream in node.upstreams])


def task_call(node: Node) -> Callable[[Any], Awaitable[Any]]:
    """Return the coroutine function that runs a task once, given its context."""
    plan = arguments_of(node)
    shape, shutdown = node.shape, node.options.shutdown

    async def call(context: Any) -> Any:
        function = _entry(node)
        args, named = ((), {}) if plan is None else plan.bind(context.inputs)
        if shape.takes_ctx:
            args = (context, *args)
        if shape.is_async:
            return await function(*args, **named)
        value = await call_in_thread(
            lambda: function(*args, **named), name=node.name, budget=shutdown
        )
        # A decorated task may look sync and still hand back an awaitable.
        return await value if isawaitable(value) else value

    return call


def _entry(node: Node) -> Callable[..., Any]:
    """Return what is called for one incarnation: factories make a fresh object."""
    target = node.obj() if node.shape.is_factory else node.obj
    if node.shape.entry == "call":
        return node.obj  # type: ignore[no-any-return]
    return getattr(target, node.shape.entry)  # type: ignore[no-any-return]


def behaviour_factory(node: Node, inputs: Callable[[], Any]) -> Callable[[], Behaviour]:
    """Return what makes an actor's behaviour anew for each incarnation.

    Args:
        inputs: gives the values of the batch upstreams, for plain parameters.
    """
    plan = arguments_of(node)

    def make() -> Behaviour:
        if node.shape.entry == "call":
            return Behaviour(_with_arguments(node, node.obj, plan, inputs))
        target = node.obj() if node.shape.is_factory else node.obj
        return Behaviour(
            target.run,
            start=getattr(target, "start", None),
            stop=getattr(target, "stop", None),
            restarted=None if node.shape.is_factory else getattr(target, "restarted", None),
        )

    return make


def _with_arguments(
    node: Node, function: Callable[..., Any], plan: Arguments | None, inputs: Callable[[], Any]
) -> Callable[[Any], Any]:
    if plan is None and node.shape.takes_ctx:
        return function

    def run(context: Any) -> Any:
        args, named = ((), {}) if plan is None else plan.bind(inputs())
        return function(*((context,) if node.shape.takes_ctx else ()), *args, **named)

    return run


def transform_of(node: Node) -> Callable[[Any, str], Any] | None:
    """Return what is done to each (payload, source) before it is handed out; None: nothing."""
    validate, copies = node.options.validate, node.options.copy
    if not validate and not copies:
        return None
    types = expected_types(node.types.input, [upstream.key for upstream in node.upstreams])

    def check(payload: Any, source: str) -> Any:
        if source.endswith("@join"):
            return {key: check(value, key) for key, value in payload.items()}
        return convert_message(payload, types.get(source, Any), node=node.name)

    def transform(payload: Any, source: str) -> Any:
        if validate:
            try:
                payload = check(payload, source)
            except TypeError as problem:
                raise InvalidMessage(str(problem)) from problem
        return _copied(payload, source) if copies else payload

    return transform


def _copied(payload: Any, source: str) -> Any:
    try:
        if isinstance(payload, MappingProxyType):  # of a join; it can't be copied as it is
            return MappingProxyType({key: copy.deepcopy(part) for key, part in payload.items()})
        return copy.deepcopy(payload)
    except Exception as problem:
        raise InvalidMessage(
            f"a {type(payload).__name__} of {source!r} can't be copied ({problem!r}); leave out "
            "copy=True, or give its class a __deepcopy__"
        ) from problem
