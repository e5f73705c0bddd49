"""The code that a task runs, as a hash: its own, and that of all which it names.

Rule 1: compiled code counts, not text: comments, places and a file that is edited while this
process runs change nothing.
Rule 2: of what is installed only the name counts; of one's own code all that can be reached, and of
modules that are imported while it runs all there is.
Rule 3: values are as they are when the hash is first asked for.
"""

import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from ._canonical import Form, NotCacheable, kind_of, pack
from ._imports import code_of, find_module, imports_in

_INSTALLED = tuple(
    f"{sysconfig.get_path(key)}/" for key in ("stdlib", "platstdlib", "purelib", "platlib")
)
_PACKAGES = ("/site-packages/", "/dist-packages/")

_classes: WeakKeyDictionary[type, str] = WeakKeyDictionary()
"""What each class is known by."""

Unwrap = Callable[[Any], Any]
"""Gives the function of a task; None: it is none."""


def hash_code(function: Callable[..., Any], unwrap: Unwrap = lambda _: None) -> bytes:
    """Return the hash of a function and all that it can reach by name.

    Args:
        unwrap: knows what wraps a function beyond Python's own means.
    """
    walk = _Walk(unwrap)
    walk.visit(function)
    return walk.hash.digest()


def name_of(cls: type) -> str:
    """Return what a class is known by: its name, and the hash of its code if it is one's own."""
    known = _classes.get(cls)
    if known is None:
        known = f"{module_name(cls.__module__)}.{cls.__qualname__}"
        # While it is looked at, and refers to itself, the name alone stands for it.
        _classes[cls] = known
        if _is_own(cls.__module__):
            walk = _Walk(lambda _: None)
            walk.visit(cls)
            known = _classes[cls] = f"{known} {walk.hash.hexdigest()}"
    return known


def module_name(name: str) -> str:
    """Return a module's name; of the program's main file that by which it could be imported."""
    if name in ("__main__", "__mp_main__"):
        file = getattr(sys.modules.get(name), "__file__", None)
        return Path(file).stem if file else "__main__"
    return name


def _is_own(module: str | None) -> bool:
    """Return whether a module is one's own code: not installed, not Python's, not trouper's."""
    if module is None or module.partition(".")[0] in _NOT_OWN:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # typed in, or made by exec
        return module not in sys.builtin_module_names
    return _is_own_place(file)


def _is_own_place(file: str | None) -> bool:
    if file is None:
        return False
    place = str(Path(file).absolute())
    return not place.startswith(_INSTALLED) and not any(each in place for each in _PACKAGES)


_NOT_OWN = frozenset({"trouper", "builtins"})


class _Walk:
    """Visits what can be reached, each thing once, always in the same order."""

    def __init__(self, unwrap: Unwrap) -> None:
        self.hash = blake2b(digest_size=16)
        self._unwrap = unwrap
        self._seen: dict[int, tuple[int, Any]] = {}
        """By id: the place in the order of visits, and the thing, so that no other gets its id."""
        self._told: set[tuple[int, str]] = set()
        """Names of modules."""
        self._imported = set[str]()

    def _say(self, *parts: str) -> None:
        for part in parts:
            self.hash.update(part.encode("utf-8", "backslashreplace") + b"\0")

    def visit(self, thing: Any, names: frozenset[str] = frozenset()) -> None:
        """Hash a thing.

        Args:
            names: those in the code that refers to it; of a module only they count.
        """
        # By their types alone: a proxy may raise when it is asked what it is.
        if issubclass(kind_of(thing), types.ModuleType):
            self._module(thing, names)
        elif type(thing) in _PLAIN:
            self._value(thing)
        elif id(thing) in self._seen:
            self._say("again", str(self._seen[id(thing)][0]))
        else:
            self._seen[id(thing)] = len(self._seen), thing
            self._first(thing)

    def _first(self, thing: Any) -> None:
        inner = self._unwrap(thing)
        if inner is not None:
            self._say("task")
            self.visit(inner)
        elif kind_of(thing) is types.FunctionType:
            self._function(thing)
        elif issubclass(kind_of(thing), type):
            self._class(thing)
        else:
            self._other(thing)

    def _function(self, function: types.FunctionType) -> None:
        self._say("function", module_name(function.__module__ or ""), function.__qualname__)
        if not _is_own(function.__module__):
            return
        self._code(function.__code__)
        names = frozenset(_names(function.__code__))
        for name in sorted(names & function.__globals__.keys()):
            self._say("global", name)
            self.visit(function.__globals__[name], names)
        self._imports(function.__code__, str(function.__globals__.get("__package__") or ""))
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            self._say("closure", name)
            self.visit(_content(cell), names)
        self._say("defaults", *(function.__kwdefaults__ or {}))
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.visit(value, names)

    def _code(self, code: types.CodeType) -> None:
        self.hash.update(code.co_code)
        self._say("names", *code.co_names, "variables", *code.co_varnames, *code.co_freevars)
        self._say(str(code.co_flags), str(code.co_argcount), str(code.co_kwonlyargcount))
        self.hash.update(code.co_exceptiontable)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            else:
                self._value(constant)

    def _imports(self, code: types.CodeType, package: str) -> None:
        """Hash the modules of one's own that code imports while it runs."""
        for name in sorted(set(imports_in(code, package))):
            if name in self._imported:
                continue
            self._imported.add(name)
            spec = find_module(name)
            if spec is None or not _is_own_place(spec.origin):
                continue
            found = code_of(spec)
            if found is not None:
                self._say("imported", name)
                self._code(found)
                inner = name if spec.submodule_search_locations else name.rpartition(".")[0]
                self._imports(found, inner)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        self._say("module", module_name(module.__name__))
        if not _is_own(module.__name__):
            return
        for name in sorted(names & vars(module).keys()):
            if (id(module), name) not in self._told:
                self._told.add((id(module), name))
                self._say("of module", name)
                self.visit(vars(module)[name], names)

    def _class(self, cls: type) -> None:
        self._say("class", module_name(cls.__module__), cls.__qualname__)
        if not _is_own(cls.__module__):
            return
        for base in cls.__bases__:
            self.visit(base)
        for name, member in vars(cls).items():
            if name not in _MADE:
                self._say("member", name)
                self.visit(member)

    def _other(self, thing: Any) -> None:
        parts = _parts(thing)
        if parts is None:
            self._value(thing)
            return
        self._say("made of", type(thing).__qualname__, str(len(parts)))
        for part in parts:
            self.visit(part)

    def _value(self, value: Any) -> None:
        kind = kind_of(value)
        try:
            self.hash.update(pack(value, _FORM))
        except NotCacheable:
            # A lock, a logger, a client: what it is counts, not what is in it.
            self._say("some")
            self.visit(kind)


def _parts(thing: Any) -> Sequence[Any] | None:
    """Return what a thing refers to; None: it is a value."""
    if kind_of(thing) is functools.partial:
        return [thing.func, *thing.args, *thing.keywords, *thing.keywords.values()]
    if kind_of(thing) is attrs.Attribute:
        return [thing.name, thing.default, thing.converter, thing.validator]
    if type(thing) in (list, tuple):
        return list(thing)
    if type(thing) is dict:
        return [*thing, *thing.values()]
    kind = kind_of(thing)
    attributes = _REFERS.get(kind)
    if attributes is None and inspect.getattr_static(thing, "__wrapped__", None) is not None:
        attributes = ("__wrapped__",)
    return None if attributes is None else [getattr(thing, each) for each in attributes]


_REFERS: Mapping[type, tuple[str, ...]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.cached_property: ("func",),
    types.MethodType: ("__func__", "__self__"),
}
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_FORM = Form(name_of)

_MADE = frozenset(
    {
        *("__module__", "__doc__", "__dict__", "__weakref__", "__slots__", "__firstlineno__"),
        *("__annotations__", "__annotate_func__", "__annotations_cache__", "__static_attributes__"),
        *("__qualname__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__"),
    }
)
"""Members of a class that Python has made, or that change nothing."""


def _names(code: types.CodeType) -> Iterator[str]:
    """Return the names in code, and in the code that stands in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is bound later
        return None
