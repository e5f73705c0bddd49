"""What the graph reads of a bridge: parameters and types, as those of the function behind it."""

import inspect
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, cast, get_args, get_origin

from ...actors._actor_context import ActorContext
from .._annotations import check_hint
from .._shape import Parameter, ParameterKind, Shape

_KINDS: Mapping[ParameterKind, Any] = {
    "positional": inspect.Parameter.POSITIONAL_ONLY,
    "named": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "rest": inspect.Parameter.VAR_POSITIONAL,
    "keyword": inspect.Parameter.KEYWORD_ONLY,
    "keywords": inspect.Parameter.VAR_KEYWORD,
}


def signature_of(shape: Shape) -> inspect.Signature:
    """Return a function's signature, with annotations that need no names to be understood."""
    empty = inspect.Parameter.empty
    parameters = [
        inspect.Parameter(
            each.name,
            _KINDS[each.kind],
            default=empty if each.required or each.kind in ("rest", "keywords") else None,
            annotation=each.annotation,
        )
        for each in shape.parameters
    ]
    if shape.takes_ctx:
        has_no_names = bool(parameters) and shape.parameters[0].kind == "positional"
        kind = _KINDS["positional" if has_no_names else "named"]
        parameters.insert(0, inspect.Parameter("ctx", kind, annotation=shape.context))
    return inspect.Signature(parameters, return_annotation=shape.returns)


def message_parameter(name: str, shape: Shape) -> Parameter | None:
    """Return the parameter that takes a message; None: it takes none.

    Raises:
        TypeError: it needs more than one.
    """
    needed = [each for each in shape.parameters if each.required]
    if len(needed) > 1 or any(each.kind == "keyword" for each in needed):
        takes = ", ".join(repr(each.name) for each in needed)
        raise TypeError(
            f"asyncio_bridge({name}): as an actor it is called with one message, and it needs "
            f"{takes}; take one parameter, and give the others by functools.partial"
        )
    return needed[0] if needed else None


def body_signature(shape: Shape, item: Parameter | None, batch: int | None) -> inspect.Signature:
    """Return the signature of `run(ctx)`, whose context tells the message types."""
    taken = NoneType if item is None else item.annotation
    if batch is not None:
        args = get_args(taken)
        taken = args[0] if args and get_origin(taken) in (list, Sequence) else Any
    context = cast("Any", ActorContext)[Any, Any, _as_type(taken), _as_type(shape.returns)]
    parameter = inspect.Parameter("ctx", _KINDS["named"], annotation=context)
    return inspect.Signature([parameter], return_annotation=None)


def _as_type(hint: object) -> object:
    """Return a hint, or `Any` for what is no type: an annotation never stops a program."""
    try:
        check_hint(hint, "it")
    except TypeError:
        return Any
    return hint
