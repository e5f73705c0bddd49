"""What a node may be called, and what it is called when nobody said.

Rule 1: an explicit name is kept as it is; only a class name is shortened (known fault F16).
Rule 2: names are plain words, because they end up in file names, addresses and terminals.
"""

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, get_origin

_LEGAL = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SUFFIXES = ("Task", "Actor")
# Before a capital that starts a word: `HTTPFetch` -> `HTTP_Fetch`, `loadV2Data` -> `load_V2_Data`.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHOWN = 20
"""At most so many known names stand in an error, if they are the user's own."""


def check_name(name: object, what: str = "node") -> str:
    """Return `name` if it is legal, else say what is wrong with it.

    Args:
        what: the kind of thing that is named, for the error: "node", "workflow", "run".
    """
    if not isinstance(name, str):
        raise TypeError(f"a {what} name is a str, got {name!r}")
    if _LEGAL.fullmatch(name):
        return name
    raise ValueError(f"{name[:140]!r} is no {what} name: {_what_is_wrong(name)}")


def _what_is_wrong(name: str) -> str:
    if not name:
        return "it is empty; give it at least one letter"
    if len(name) > 128:
        return f"it has {len(name)} characters; use at most 128"
    if name.startswith("@"):
        return "a leading '@' is reserved ('@run' is what comes from outside); leave it out"
    if "." in name:
        return f"dots address outputs, as in 'monitor.alerts'; write {name.replace('.', '_')!r}"
    return f"use letters a-z, digits, '_' and '-' only; {_without_others(name)!r} would do"


def _without_others(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "node_1"


def infer_name(obj: object) -> str:
    """Return the name of a node made from `obj`.

    A class gives its name in snake_case without a `Task` or `Actor` at the end (`HTTPFetchActor`
    -> `http_fetch`), an instance its class's, a function its own unchanged, a
    `functools.partial`, and what `functools.wraps` has made, that of what it wraps.
    """
    obj = _innermost(obj)
    target = get_origin(obj) or obj
    if inspect.isroutine(target):
        name = target.__name__
    else:
        name = _class_name_to_node_name(target if isinstance(target, type) else type(target))
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"{_shown(obj)} gives no usable name ({name!r}); pass name=")
    return name


def _innermost(obj: Any) -> Any:
    """Return what partials wrap, and objects that say so as `functools.wraps` does."""
    while True:
        if isinstance(obj, functools.partial):
            obj = obj.func
        elif inspect.isroutine(obj) or isinstance(obj, type) or not hasattr(obj, "__wrapped__"):
            return obj
        else:
            obj = obj.__wrapped__


def _class_name_to_node_name(cls: type) -> str:
    name = cls.__name__
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    return _WORD_START.sub("_", name).lower().strip("_")


def _shown(obj: object) -> str:
    return obj.__qualname__ if isinstance(obj, type) or inspect.isroutine(obj) else repr(obj)


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an option that there is not: `**options` would let a misspelt one pass.

    Raises:
        TypeError: names it, and the nearest one that there is, or else all.
    """
    names = list(known)
    for option in given:
        if option not in names:
            hint = suggest(option, names, most=len(names))
            raise TypeError(f"{owner} has no option {option!r};{hint}")


def parameters_of(fn: Callable[..., object]) -> list[str]:
    """Return what a function takes by name, besides what it only takes to refuse it."""
    parameters = inspect.signature(fn).parameters.values()
    return [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]


def suggest(name: str, known: Iterable[str], *, most: int = _SHOWN) -> str:
    """Return " did you mean 'fetch'?", or else what is known, to put after an error's `;`.

    Args:
        most: at most so many known ones are shown.
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" did you mean {close[0]!r}?"
    if not names:
        return " there are none yet"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f" known: {', '.join(repr(each) for each in names[:most])}{more}"
