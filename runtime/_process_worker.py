"""What runs in a worker process: one call, from bytes to bytes.

Imports next to nothing of trouper, so that a worker starts quickly; what `trouper.ctx()` needs only
when it is called. Whatever happens, an answer goes back: a result or a failure that can't be
pickled is told in words.
"""

import importlib
import importlib.util
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

from ..actors import _current


class Answer(NamedTuple):
    """How a call ended."""

    kind: Literal["result", "raised", "untold", "unsendable", "unreadable"]
    """`untold`: it raised what can't be pickled; `unsendable`: it returned such a thing;
    `unreadable`: the call itself could not be unpickled."""
    body: bytes
    """The pickled result or exception."""
    text: str = ""
    """What went wrong, and where."""


def pack(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], seen: bytes = b""
) -> bytes:
    """Return what `work` takes. Raises what pickle raises.

    Args:
        seen: of the task, as `pack_context` gives it; empty: it is none.
    """
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    name = "" if module is None else module.__name__
    call = pickle.dumps((function, args, named), pickle.HIGHEST_PROTOCOL)
    return pickle.dumps((name, file, seen, call), pickle.HIGHEST_PROTOCOL)


def be_ready() -> None:
    """Do nothing: the first call of a worker, which is there once it returns."""
    # Ctrl-C goes to the whole group of processes; what becomes of a call its parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(packed: bytes) -> Answer:
    """Do what `pack` has packed."""
    try:
        name, file, seen, call = pickle.loads(packed)
        import_module_of(name, file)
        function, args, named = pickle.loads(call)
    except Exception as error:
        return Answer("unreadable", b"", _in_words(error))
    _current.elsewhere = _context_of(seen) if seen else None
    try:
        result = function(*args, **named)
    except BaseException as error:  # SystemExit too: what it means, the parent knows
        return _raised(error)
    finally:
        _current.elsewhere = None
    try:
        return Answer("result", pickle.dumps(result, pickle.HIGHEST_PROTOCOL))
    except Exception as error:
        return Answer("unsendable", b"", f"{type(result).__name__} ({_in_words(error)})")


def _context_of(seen: bytes) -> Callable[[], Any]:
    @cache
    def read() -> Any:
        from ._process_context import read_context

        return read_context(seen)

    return read


def import_module_of(name: str, file: str | None) -> None:
    """Import the function's module, also one that was run as a file under a name of its own."""
    if not name or name in sys.modules:
        return
    try:
        importlib.import_module(name)
    except ImportError:
        if file is None:
            raise
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def _raised(error: BaseException) -> Answer:
    text = "".join(traceback.format_exception(error))
    error.__traceback__ = None
    try:
        body = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        pickle.loads(body)  # an exception with arguments of its own may fail only here
    except Exception:
        return Answer("untold", b"", text)
    return Answer("raised", body, text)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
