"""Whether what one node gives can be what another takes.

Rule 1: only an impossible pair is refused. If some value of the one type is a value of the
other, the edge may work, and the consumer's own check decides.
Rule 2: type arguments are not compared: an empty `list[int]` is a fine `list[str]`.
Rule 3: `float` also means `int`, and `complex` both, as PEP 484 has it.
Rule 4: `Any`, a protocol, a free type variable and whatever can't be judged fit everything.
"""

from collections.abc import Iterator
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    ForwardRef,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

from beartype.door import is_subhint

from ._annotations import show_type
from ._message_types import is_typed_dict

_WRAPPERS = (Annotated, ClassVar, Final, NotRequired, Required)
_NUMBERS: dict[object, tuple[object, ...]] = {float: (float, int), complex: (complex, float, int)}


def edge_problem(producer_type: object, consumer_type: object) -> str | None:
    """Return why no message of the one type can be of the other; None if one may be."""
    given, taken = list(_alternatives(producer_type)), list(_alternatives(consumer_type))
    if any(_overlap(one, other) for one in given for other in taken):
        return None
    return f"gives {show_type(producer_type)}, which is never {show_type(consumer_type)}"


def _overlap(one: Any, other: Any) -> bool:
    if one is Any or other is Any:
        return True
    try:
        return bool(is_subhint(one, other) or is_subhint(other, one))
    except Exception:  # beartype raises many kinds for hints that it can't judge (rule 4)
        return True


def _alternatives(hint: object) -> Iterator[object]:
    """Yield the types that `hint` is a union of, without what `edge_problem` doesn't compare."""
    origin, args = get_origin(hint), cast("tuple[object, ...]", get_args(hint))
    if origin in (Union, UnionType):
        for each in args:
            yield from _alternatives(each)
    elif origin is Literal:
        for value in args:
            yield Literal[value]
    elif origin in _WRAPPERS:
        yield from _alternatives(args[0])
    elif origin is not None:
        yield from _alternatives(origin)
    else:
        yield from _named_alternatives(hint)


def _named_alternatives(hint: object) -> Iterator[object]:
    """Yield the alternatives of a hint without type arguments."""
    if isinstance(hint, TypeVar):
        for each in hint.__constraints__ or (hint.__bound__ or Any,):
            yield from _alternatives(each)
    elif isinstance(hint, NewType):
        yield from _alternatives(hint.__supertype__)
    elif hasattr(hint, "__value__"):  # `type Name = ...` of Python 3.12
        yield from _alternatives(getattr(hint, "__value__", Any))
    elif isinstance(hint, str | ForwardRef) or getattr(hint, "_is_protocol", False):
        yield Any
    elif is_typed_dict(hint):
        yield dict
    else:
        yield from _NUMBERS.get(hint, (hint,))
