"""From a user's object to what one incarnation runs."""

import copy
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import Any, cast

from ..actors._child import Behaviour, Hook
from ..actors._mailbox import InvalidMessage
from ._convert_message import convert_message
from ._map_bodies import map_list, stream_body
from ._message_types import expected_types
from ._node import Node
from ._process import call_in_process
from .tasks._bridge import call_node


def call_task(node: Node, context: Any) -> Awaitable[Any]:
    """Return what runs a task once, given its context."""
    sole = node.sole_argument
    if sole is not None:
        argument = context.inputs if sole == "inputs" else context
        return node.obj(argument)  # type: ignore[no-any-return]  # the shape says so
    if node.map is not None:
        return map_list(node, context)
    shape, function = node.shape, _entry(node)
    args: tuple[Any, ...] = (context,) if shape.takes_ctx else ()
    named: dict[str, Any] = {}
    if shape.parameters:
        filled, named = node.arguments.bind(context.inputs)
        args += filled
    if shape.is_async:
        return function(*args, **named)  # type: ignore[no-any-return]  # the shape says so
    if node.options.executor == "process":
        return call_in_process(function, args, named, name=node.name)
    call = partial(function, *args, **named)
    return call_node(call, name=node.name, budget=node.options.shutdown)


def _entry(node: Node) -> Callable[..., Any]:
    """Return what is called for one incarnation: factories make a fresh object."""
    target = node.obj() if node.shape.is_factory else node.obj
    if node.shape.entry == "call":
        return node.obj  # type: ignore[no-any-return]  # the shape says so
    return getattr(target, node.shape.entry)  # type: ignore[no-any-return]  # likewise


def make_behaviour(node: Node) -> Behaviour:
    """Return an actor's behaviour, made anew for each incarnation."""
    if node.map is not None:
        return Behaviour(stream_body(node))
    if node.shape.entry == "call":
        return Behaviour(_with_arguments(node))
    target = node.obj() if node.shape.is_factory else node.obj
    return Behaviour(
        target.run,
        start=_hook(target, "start"),
        stop=_hook(target, "stop"),
        restarted=None if node.shape.is_factory else _hook(target, "restarted"),
    )


def _hook(target: Any, name: str) -> Hook | None:
    """Return a hook if there is one; a value or a plain method of that name is none."""
    found = getattr(target, name, None)
    return cast("Hook", found) if iscoroutinefunction(found) else None


def _with_arguments(node: Node) -> Callable[[Any], Any]:
    function, shape = node.obj, node.shape
    if shape.takes_ctx and not shape.parameters:
        return function  # type: ignore[no-any-return]  # the shape says so

    def run(context: Any) -> Any:
        args, named = node.arguments.bind(context.inputs) if shape.parameters else ((), {})
        return function(*((context,) if shape.takes_ctx else ()), *args, **named)

    return run


def transform_of(node: Node) -> Callable[[Any, str], Any] | None:
    """Return what is done to each (payload, source) before it is handed out; None: nothing."""
    validate, copies = node.options.validate, node.options.copy
    if not validate and not copies:
        return None
    types = expected_types(node.types.input, [upstream.key for upstream in node.upstreams])

    def check(payload: Any, source: str) -> Any:
        if source.endswith("@join"):
            return MappingProxyType({key: check(value, key) for key, value in payload.items()})
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
        return _deep_copy(payload)
    except Exception as problem:
        kind = type(cast("object", payload)).__name__
        raise InvalidMessage(
            f"a {kind} of {source!r} can't be copied ({problem!r}); leave out "
            "copy=True, or give its class a __deepcopy__"
        ) from problem


def _deep_copy(payload: Any) -> Any:
    if isinstance(payload, MappingProxyType):
        # Of a fan-in, or of several when it was sent on; it can't be copied as it is.
        parts = cast("Mapping[str, Any]", payload)
        return MappingProxyType({key: _deep_copy(part) for key, part in parts.items()})
    return copy.deepcopy(payload)
