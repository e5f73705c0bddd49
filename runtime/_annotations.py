"""Reading annotations without ever failing on one.

Rule: what can't be resolved is `Any`. An annotation is a promise, and nothing that we do not
understand may stop a program that would run.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from types import NoneType, SimpleNamespace
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

CONTEXTS = frozenset({"TaskContext", "ActorContext"})
# Names, not classes: a user may hold another system's context, or import ours for typing only.
_LAST_NAME = re.compile(r"[\w.]*?(\w+)\s*(?:\[|$)")


def resolve(annotation: object, names: Mapping[str, object]) -> object:
    """Return the type that `annotation` stands for, or `Any` for one that can't be known."""
    if annotation is inspect.Parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        hints = get_type_hints(holder, dict(names), {}, include_extras=True)
    except Exception:  # it runs the user's text: NameError, SyntaxError, whatever stands in it
        return Any if isinstance(annotation, str) else annotation
    return hints["it"]


def names_in_scope(function: Callable[..., Any], owner: type | None) -> Mapping[str, object]:
    """Return the names that the annotations of `function` may use: globals, closure, class."""
    plain = inspect.unwrap(inspect.unwrap(getattr(function, "__func__", function)))
    scope = dict[str, object](getattr(plain, "__globals__", {}))
    code, cells = getattr(plain, "__code__", None), getattr(plain, "__closure__", None)
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=True):
        try:
            scope[name] = cell.cell_contents
        except ValueError:  # a name that is bound later than this decorator runs
            continue
    if owner is not None:
        scope |= {**vars(owner), owner.__name__: owner}
    return scope


def is_context(annotation: object, resolved: object) -> bool:
    """Tell whether a parameter is the context: by the class's name, also in a string."""
    named = _LAST_NAME.match(annotation.strip()) if isinstance(annotation, str) else None
    if named is not None and named[1] in CONTEXTS:
        return True
    bare = _without_extras(resolved)
    cls = get_origin(bare) or bare
    return isinstance(cls, type) and any(base.__name__ in CONTEXTS for base in cls.__mro__)


def base_arguments(
    hint: object, names: frozenset[str], module: str = ""
) -> tuple[object, ...] | None:
    """Return what a hint's base called one of `names` is subscripted with; None without one.

    `class Reader(Actor[S, D, In, Out])` gives `(S, D, In, Out)`; a plain base gives `()`.

    Args:
        module: the base must live in it or below ("" allows any).
    """
    bare = _without_extras(hint)
    cls = get_origin(bare) or bare
    if not isinstance(cls, type):
        return None
    args = cast("tuple[object, ...]", get_args(bare))
    if cls.__name__ in names and f"{cls.__module__}.".startswith(module):
        return args
    variables: tuple[object, ...] = getattr(cls, "__parameters__", ())
    known = dict(zip(variables, args, strict=False))
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        found = base_arguments(base, names, module)
        if found is not None:
            return tuple(
                known.get(each, each) if isinstance(each, TypeVar) else each for each in found
            )
    return None


def _without_extras(hint: object) -> object:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def show_type(hint: object) -> str:
    """Return a type as a user would write it: `int`, `list[int]`, `Alert | None`."""
    if hint is None or hint is NoneType:
        return "None"
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__qualname__.rpartition("<locals>.")[2]
    return repr(hint).replace("typing.", "").replace("collections.abc.", "")


def check_hint(hint: object, what: str) -> None:
    """Refuse what is no type, and nothing that stands for types.

    Args:
        what: whose type it is, for the error.

    Raises:
        TypeError: with what it takes.
    """
    if hint is None or isinstance(hint, type) or get_origin(hint) is not None:
        return
    if type(hint).__module__ in ("typing", "typing_extensions", "types"):
        return  # Any, a TypeVar, a NewType, ...
    raise TypeError(f"{what} takes a type, such as int or list[str], got {hint!r}")
