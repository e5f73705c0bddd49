"""What goes between a process and the one that it starts for a run: a job, orders, an answer.

Rule 1: tasks and workflows go by the place where they are found; values are pickled.
Rule 2: nothing of it is on a command line or in a file: other users must not read variables.
"""

import importlib
import io
import pickle
import sys
from collections.abc import Iterator, Mapping
from operator import attrgetter
from types import ModuleType
from typing import Any

from attrs import frozen

from ...actors._secret import Secret
from .._process import NotPicklable, why_not_picklable
from .._workflow import Workflow
from ._bound_task import BoundTask

HEAD = 8
"""Bytes before a message, which say how long it is."""


@frozen(kw_only=True)
class Job:
    """What the process of a run is given first."""

    path: list[str]
    argv: list[str]
    main: "Main | None"
    modules: tuple[tuple[str, str | None], ...]
    """Modules that the call needs, with their files: some can't be imported by name alone."""
    configuration: Any
    secrets: tuple[Secret, ...]
    """Of the configuration, to be masked there too."""
    mode: str | None
    parameters: dict[str, Any]
    call: bytes
    """Target, arguments and named arguments."""


@frozen
class Main:
    """The main file of the program."""

    file: str
    package: str | None


@frozen(kw_only=True)
class Answer:
    """How the run ended; made of what can be pickled for sure."""

    phase: str = "failed"
    outputs: bytes | None = None
    error: bytes | None = None
    cause: bytes | None = None
    """Of the error, as pickle loses it."""
    story: str = ""
    """The traceback, in words."""
    passes: bool = False
    """The error is one that no run takes, as SystemExit."""
    refusal: str = ""
    """What could not be sent, and why."""
    actions: Any = None
    results: bytes | None = None
    use: Any = None
    """Of the cache."""
    logs: tuple[Any, ...] = ()


def frame(message: Any) -> bytes:
    """Return a message as bytes, with its length."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(HEAD, "big") + body


class _Pickler(pickle.Pickler):
    """Knows tasks and workflows by their place."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.modules: dict[str, str | None] = {}

    def persistent_id(self, obj: Any, /) -> Any:
        if not isinstance(obj, (BoundTask, Workflow)):
            return None
        module, name = place_of(obj)
        self.modules[module] = getattr(sys.modules[module], "__file__", None)
        return module, name


class Reader(pickle.Unpickler):
    """The other way round; in whichever process, the main module has another name in the other."""

    def persistent_load(self, pid: Any, /) -> Any:
        module, name = pid
        return attrgetter(name)(importlib.import_module(module))

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        module = "__main__" if module_name == "__mp_main__" else module_name
        return super().find_class(module, global_name)


def pack_call(
    target: Any, args: tuple[Any, ...], named: Mapping[str, Any], label: str
) -> tuple[bytes, tuple[tuple[str, str | None], ...]]:
    """Return a call as bytes, and the modules that it needs.

    Raises:
        NotPicklable: something in it can't go to another process; with the fix.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump((target, args, dict(named)))
    except NotPicklable:
        raise
    except Exception as error:
        for key, value in [*enumerate(args, 1), *named.items()]:
            problem = why_not_picklable(value)
            if problem is not None:
                raise NotPicklable(
                    f"argument {key} of {label!r} can't go to another process ({problem}); hand "
                    "over plain data, or leave out isolate='process'"
                ) from error
        raise NotPicklable(f"{label!r} can't go to another process: {error}") from error
    return file.getvalue(), tuple(pickler.modules.items())


def place_of(thing: Any) -> tuple[str, str]:
    """Return module and name where a task or workflow is found.

    Raises:
        NotPicklable: nowhere; with the fix.
    """
    for module in _modules(thing):
        for name in (getattr(thing, "__qualname__", ""), *_names(module, thing)):
            if name and _found(module, name) is thing:
                _refuse_typed_in(module, thing)
                return module.__name__, name
    raise NotPicklable(
        f"{thing!r} can't be found by another process; give it a name at the top level of a "
        "module, or leave out isolate='process'"
    )


def _modules(thing: Any) -> Iterator[ModuleType]:
    own = sys.modules.get(getattr(thing, "__module__", None) or "")
    if own is not None:
        yield own
    if isinstance(thing, Workflow):  # it does not know where it was made
        yield from list(sys.modules.values())


def _names(module: ModuleType, thing: Any) -> list[str]:
    return [name for name, value in list(vars(module).items()) if value is thing]


def _found(module: ModuleType, name: str) -> Any:
    try:
        return attrgetter(name)(module)
    except AttributeError:
        return None


def _refuse_typed_in(module: ModuleType, thing: Any) -> None:
    if getattr(module, "__file__", None) is None:
        raise NotPicklable(
            f"{thing!r} was typed in, and another process can't find it; put it into a file, or "
            "leave out isolate='process'"
        )


def main_of_this() -> Main | None:
    """Return the main file of this process; None: it was typed in."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    return None if file is None else Main(file, getattr(main, "__package__", None))
