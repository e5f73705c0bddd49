"""What a user's object is, a task or an actor, and how it wants to be called.

Rule 1: any object with `execute(ctx)` is a task, any with an async `run(ctx)` an actor; nothing
has to be imported from trouper for that.
Rule 2: a function takes the context first if its first parameter is called `ctx` or annotated
with a context; its other parameters are plain and are filled from its inputs. The first
parameter of `execute` and `run` is always the context, whatever it is called.
Rule 3: a sync task body is legal; it runs in a worker thread (known fault F22).
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_origin

import attrs

from ._annotations import is_context, names_in_scope, resolve
from ._flavour import Flavour, flavour_of, result_type
from ._shape import Entry, Kind, Parameter, ParameterKind, Shape

Function = Callable[..., Any]

_KINDS: Mapping[object, ParameterKind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "named",
    inspect.Parameter.VAR_POSITIONAL: "rest",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "keywords",
}


@attrs.frozen(kw_only=True)
class _Callable:
    """What is called in the end, read once: the same for functions and methods."""

    label: str
    owner: type | None
    parameters: Sequence[inspect.Parameter]
    """Without `self`."""
    returns: object
    """The resolved return annotation."""
    flavour: Flavour
    scope: Mapping[str, object]
    """What the names in its annotations stand for."""


def inspect_callable(obj: object, *, as_kind: Kind | None = None) -> Shape:
    """Return what `obj` is: a function, an object, a class, or a partial of one of these.

    Args:
        as_kind: what the caller says it is. Decides for a class with both methods, and makes a
            plain coroutine function an actor.

    Raises:
        TypeError: it is neither, it is both, or it can't be made or called; with the fix.
    """
    target = _without_partials(obj)
    if inspect.isroutine(target):
        return _shape_of_function(cast("Function", obj), as_kind)
    cls = get_origin(target) or target  # a subscripted class, `Fetch[int]`, is its class
    is_factory = isinstance(cls, type)
    owner = cls if isinstance(cls, type) else type(target)
    entry = _entry(target, owner, is_factory, as_kind)
    if entry == "call":
        return _shape_of_function(cast("Function", obj), as_kind)
    if is_factory:
        _check_construction(cast("Function", obj), owner)
    return _shape_of_method(target, owner, entry, is_factory)


def _without_partials(obj: object) -> object:
    while isinstance(obj, functools.partial):
        obj = obj.func
    return obj


def _entry(target: object, owner: type, is_factory: bool, as_kind: Kind | None) -> Entry:
    """Return the method that makes `target` a task or an actor; `call` for a callable object."""
    executes = callable(getattr(target, "execute", None))
    if as_kind == "task" and not executes and not is_factory and _awaits(target):
        return "call"
    runs = _runs(target, owner, is_factory)
    if executes and runs and as_kind is None:
        raise TypeError(
            f"{owner.__name__} has both execute() and run(), so it could be a task or an actor; "
            f"say which with @wf.task or @wf.actor, or remove one of them"
        )
    if runs and as_kind != "task":
        return "run"
    if executes and as_kind != "actor":
        return "execute"
    if callable(target) and not (is_factory or executes or runs):
        return "call"
    raise TypeError(_what_is_missing(target, owner.__name__, as_kind))


def _runs(target: object, owner: type, is_factory: bool) -> bool:
    """Tell whether `target` has a run() that may wait; a plain helper of that name is no actor."""
    if not callable(getattr(target, "run", None)):
        return False
    flavour = _read_method(target, owner, "run", is_factory).flavour
    return flavour in ("stream", "coroutine", "awaitable")


def _awaits(target: object) -> bool:
    """Tell whether it is an object that can be called itself, and awaited."""
    return inspect.iscoroutinefunction(getattr(type(target), "__call__", None))  # noqa: B004  # not whether it can be called: how


def _what_is_missing(target: object, name: str, as_kind: Kind | None) -> str:
    run = "`async def run(self, ctx)` with a `yield`"
    if as_kind == "task":
        return f"{name} is no task: it has no execute(); add `async def execute(self, ctx)`"
    if callable(getattr(target, "run", None)):
        return f"{name} is no actor: its run() is a plain function; write {run}"
    if as_kind == "actor":
        return f"{name} is no actor: it has no run(); add {run}"
    return (
        f"{name} is neither a task nor an actor: it has no execute() and no run(); add "
        f"`async def execute(self, ctx)` for a task, or {run} for an actor"
    )


def _check_construction(factory: Function, owner: type) -> None:
    """Refuse a class that needs arguments, or is abstract, before a run finds out."""
    name = owner.__name__
    if inspect.isabstract(owner):
        missing = ", ".join(sorted(getattr(owner, "__abstractmethods__", ())))
        raise TypeError(f"{name} is abstract; define {missing} in a subclass and add that")
    needed = [p.name for p in _signature(factory, name).parameters.values() if _is_required(p)]
    if needed:
        raise TypeError(
            f"{name} needs {', '.join(needed)} to be made; pass an instance, {name}(...), or "
            f"functools.partial({name}, ...), which makes a fresh one for each incarnation"
        )


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variable


def _signature(function: Function, label: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # some functions written in C tell nothing
        raise TypeError(
            f"the parameters of {label} can't be read; wrap it in a function of your own"
        ) from None


def _shape_of_function(function: Function, as_kind: Kind | None) -> Shape:
    found = _read_function(function)
    if found.flavour == "stream" and as_kind == "task":
        raise TypeError(f"{found.label} yields, so it is an actor; use @wf.actor, or `return`")
    if found.flavour == "sync" and as_kind == "actor":
        raise TypeError(f"{found.label} is a plain function; an actor is written `async def`")
    kind = as_kind or ("actor" if found.flavour == "stream" else "task")
    return _shape(found, kind, "call", bool(found.parameters) and _is_ctx(found), False)


def _read_function(function: Function) -> _Callable:
    plain = cast("Function", _without_partials(function))
    # An object has no such name, unless it was made of a function by `functools.wraps`.
    name: str = getattr(plain, "__qualname__", type(plain).__qualname__)
    body = plain if inspect.isroutine(plain) else type(plain).__call__
    return _read(function, body, name.rpartition("<locals>.")[2], None)


def _read_method(target: object, owner: type, entry: str, is_factory: bool) -> _Callable:
    method = cast("Function", getattr(target, entry))
    found = _read(method, method, f"{owner.__name__}.{entry}", owner)
    static = inspect.getattr_static(owner, entry, None)
    if is_factory and not isinstance(static, (staticmethod, classmethod)):
        return attrs.evolve(found, parameters=found.parameters[1:])
    return found


def _read(function: Function, body: Function, label: str, owner: type | None) -> _Callable:
    signature, scope = _signature(function, label), names_in_scope(body, owner)
    returns = resolve(signature.return_annotation, scope)
    return _Callable(
        label=label,
        owner=owner,
        parameters=list(signature.parameters.values()),
        returns=returns,
        flavour=flavour_of(body, returns),
        scope=scope,
    )


def _is_ctx(found: _Callable) -> bool:
    first = found.parameters[0]
    if _KINDS[first.kind] not in ("positional", "named"):
        return False
    resolved = resolve(first.annotation, found.scope)
    return first.name == "ctx" or is_context(first.annotation, resolved)


def _shape_of_method(target: object, owner: type, entry: Entry, is_factory: bool) -> Shape:
    found = _read_method(target, owner, entry, is_factory)
    kinds = [_KINDS[each.kind] for each in found.parameters[:1]]
    if not kinds or kinds[0] in ("keyword", "keywords"):
        raise TypeError(f"{found.label} takes no context; write `async def {entry}(self, ctx)`")
    if entry == "execute" and found.flavour == "stream":
        raise TypeError(f"{found.label} yields, so it is an actor; call the method run()")
    kind: Kind = "task" if entry == "execute" else "actor"
    return _shape(found, kind, entry, True, is_factory)


def _shape(found: _Callable, kind: Kind, entry: Entry, takes_ctx: bool, factory: bool) -> Shape:
    if found.flavour == "generator":
        raise TypeError(f"{found.label} is a plain generator; write `async def` and `yield`")
    context: object = Any
    plain = list(found.parameters)
    if takes_ctx:
        context = resolve(plain[0].annotation, found.scope)
        # `*args` is the context and whatever follows it.
        plain = plain[_KINDS[plain[0].kind] != "rest" :]
    if any(each.name == "ctx" for each in plain):
        raise TypeError(f"{found.label} takes ctx, but not first; make it the first parameter")
    return Shape(
        kind=kind,
        entry=entry,
        is_factory=factory,
        is_async=found.flavour != "sync",
        is_generator=found.flavour == "stream",
        takes_ctx=takes_ctx,
        context=context,
        parameters=tuple(_parameter(each, found.scope) for each in plain),
        returns=result_type(found.flavour, found.returns),
        owner=found.owner,
        label=found.label,
    )


def _parameter(parameter: inspect.Parameter, scope: Mapping[str, object]) -> Parameter:
    return Parameter(
        name=parameter.name,
        annotation=resolve(parameter.annotation, scope),
        required=_is_required(parameter),
        kind=_KINDS[parameter.kind],
    )
