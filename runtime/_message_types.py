"""Which messages a node takes and gives, as its annotations tell.

Rule: what is said closest to the body counts first: an explicit type, then the function's own
annotations, then the parameters of its context, then those of its `Task` or `Actor` base.
`Any` says nothing, so the next one is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin

import attrs
from msgspec import UNSET, UnsetType

from ._annotations import CONTEXTS, base_arguments
from ._shape import Shape

_BASES = frozenset({"Task", "Actor"})
_INPUT, _OUTPUT = 2, 3
"""Places in `ActorContext[State, Deps, In, Out]`, and in `Task[...]` and `Actor[...]` alike."""


@attrs.frozen
class MessageTypes:
    """`Any` where nothing is known."""

    input: object
    """What `ctx.inputs` is, or what `receive()` gives."""
    output: object
    """What the node returns, yields or sends to its default output."""


def message_types(
    shape: Shape,
    *,
    input_type: object | UnsetType = UNSET,
    output_type: object | UnsetType = UNSET,
) -> MessageTypes:
    """Return the message types of a node; explicit types win, `Any` included."""
    context = base_arguments(shape.context, CONTEXTS) or ()
    base = base_arguments(shape.owner, _BASES, "trouper.") or ()
    found_input = _first_known(_single(shape), _at(context, _INPUT), _at(base, _INPUT))
    own = _join(_own_output(shape), _at(context, _OUTPUT))
    found_output = _first_known(own, _at(base, _OUTPUT))
    return MessageTypes(
        found_input if isinstance(input_type, UnsetType) else input_type,
        found_output if isinstance(output_type, UnsetType) else output_type,
    )


def _single(shape: Shape) -> object:
    """Return the type of the only plain parameter: then it is the whole input."""
    return shape.parameters[0].annotation if len(shape.parameters) == 1 else Any


def _own_output(shape: Shape) -> object:
    # What a coroutine actor returns goes nowhere: it sends.
    return shape.returns if shape.kind == "task" or shape.is_generator else Any


def _at(args: Sequence[object], place: int) -> object:
    return args[place] if len(args) > place else Any


def _first_known(*hints: object) -> object:
    return next((each for each in hints if each is not Any), Any)


def _join(yielded: object, sent: object) -> object:
    """Return the union of both: an actor may send one type and yield another."""
    if yielded is Any or sent is Any:
        return _first_known(yielded, sent)
    return Union[yielded, sent]  # noqa: UP007 - hints that are no types have no `|`


def expected_types(input_type: object, upstreams: Sequence[str]) -> Mapping[str, object]:
    """Return what each upstream's messages have to be, for a node that takes the context.

    One upstream gives the bare input. Several come as a mapping keyed by upstream name: a
    `TypedDict` tells the type of each key, `Mapping[str, T]` one for all. Another input type
    stands for the whole mapping, which `edge_problem(Mapping, input_type)` checks.
    """
    if len(upstreams) <= 1:
        return dict.fromkeys(upstreams, input_type)
    fields = getattr(input_type, "__annotations__", {}) if is_typed_dict(input_type) else {}
    args = get_args(input_type)
    value = args[1] if len(args) == 2 and _is_mapping(get_origin(input_type)) else Any
    return {each: fields.get(each, value) for each in upstreams}


def is_typed_dict(hint: object) -> bool:
    """Tell typing's and typing_extensions' alike."""
    if not isinstance(hint, type) or not hasattr(hint, "__required_keys__"):
        return False
    return issubclass(hint, dict)


def _is_mapping(origin: object) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)
