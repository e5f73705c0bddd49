"""What becomes of a data frame on its way into a task, and out of it: decided here, done elsewhere.

Rule 1: an annotation that names a kind of frame decides: the task gets, and gives, what it says.
Rule 2: where none does, the run's `preserve_original_types` decides: True, the native frame; False,
a `trouper.io.DataFrame`.
Rule 3: what a run itself gives back is never a native frame, unless `preserve_original_types`.
"""

from collections.abc import Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from attrs import frozen

from ._kinds import Kind, is_reference, kind_of_class

Form = Literal["native", "reference", "either"]


@frozen
class Want:
    """What a task wants of one value, if that is a data frame."""

    form: Form
    kind: Kind | None = None
    """Of a native one; None: whatever it is."""


EITHER = Want("either")
Wants = Want | tuple[Want | None, ...]
"""Of a tuple: of each of its members."""


def want_of(hint: Any) -> Want | None:
    """Return what an annotation says of data frames; None: there is no room, or for several."""
    if hint is Any or hint is object:
        return EITHER
    if is_reference(hint):
        return Want("reference")
    kind = kind_of_class(hint)
    if kind is not None:
        return Want("native", kind)
    if get_origin(hint) in (Union, UnionType):
        found = {
            want for each in get_args(hint) if each is not NoneType and (want := want_of(each))
        }
        return EITHER if EITHER in found else found.pop() if len(found) == 1 else None
    return None


def wants_of(hint: Any) -> Wants | None:
    """Return the same for what a task returns, of which tuples are several outputs."""
    parts: Sequence[Any] = get_args(hint)
    if get_origin(hint) is tuple and ... not in parts:
        each = tuple(want_of(part) for part in parts)
        return each if any(each) else None
    return want_of(hint)


def with_room(hint: Any) -> Any:
    """Return an annotation of a result that also lets references to frames pass, by rule 3."""
    if get_origin(hint) is tuple:
        return tuple[tuple(with_room(each) for each in get_args(hint))]  # type: ignore[misc]  # made up here
    want = want_of(hint)
    if want is None or want.form != "native":
        return hint
    from ._dataframe import DataFrame  # slow, and few tasks need it

    return hint | DataFrame


def is_frame(value: object) -> bool:
    """Return whether a value is a data frame, native or by reference."""
    return frame_kind(value) is not None


def frame_kind(value: object) -> Kind | Literal["reference"] | None:
    """Return what a value is, if it is a data frame."""
    return _kind_of_type(cast("Any", type(value)))


@lru_cache(maxsize=1024)
def _kind_of_type(cls: type[Any]) -> Kind | Literal["reference"] | None:
    if is_reference(cls):
        return "reference"
    return next((found for each in cls.__mro__ if (found := kind_of_class(each))), None)


@frozen
class Rules:
    """What holds for one call."""

    preserve: bool
    """The run's `preserve_original_types`."""
    is_root: bool
    """It is the run's own task: what it gives back is the run's output."""


Step = Kind | Literal["save"]
"""Read it as a native frame of that kind; or save it, and hand on its address."""


def step_in(want: Want | None, value: object, rules: Rules) -> Step | None:
    """Return what is done to an argument; None: it is handed on as it is."""
    kind = frame_kind(value)
    if kind is None or want is None:
        return None
    form = want.form
    if form == "either":
        form = "native" if rules.preserve else "reference"
    if kind == "reference":
        return None if form == "reference" else want.kind or cast("Any", value).kind
    return "save" if form == "reference" else None


def step_out(want: Want | None, value: object, rules: Rules) -> Step | None:
    """Return what is done to a result, or to a member of one."""
    if rules.is_root and not rules.preserve:
        return "save" if frame_kind(value) not in (None, "reference") else None
    return step_in(want, value, rules)
