"""Code that was typed in: in a notebook or at a prompt it stands in no file."""

import inspect
import sys
from collections.abc import Iterator
from hashlib import blake2b
from types import CodeType
from typing import Any, TypeGuard


def is_session() -> bool:
    """Tell whether somebody types: at Python's prompt (also after `-i`), IPython's, a notebook."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or _shell() is not None


def _shell() -> Any:
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def typed_code() -> bytes:
    """Return what was typed: the cells of a notebook, else each function and class of `__main__`.

    Of what Python has not kept the text, a hash of the code stands there instead.
    """
    shell = _shell()
    if shell is not None:
        cells = [str(cell).rstrip() for cell in shell.user_ns.get("In", ()) if str(cell).strip()]
        return "".join(f"# cell {at}\n{cell}\n\n" for at, cell in enumerate(cells, 1)).encode()
    return "\n\n".join(_definitions()).encode()


def _definitions() -> Iterator[str]:
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        plain = inspect.unwrap(value) if callable(value) else value
        if not inspect.isfunction(plain) and not inspect.isclass(plain):
            continue
        if getattr(plain, "__module__", None) != "__main__":
            continue
        try:
            yield inspect.getsource(plain)
        except (OSError, TypeError):
            yield f"# {name}: its text was not kept; the hash of its code is {_hash_of(plain)}\n"


def _hash_of(plain: Any) -> str:
    hashed = blake2b(digest_size=10)
    _feed_code(hashed, plain)
    if inspect.isclass(plain):
        for _, member in inspect.getmembers_static(plain):
            _feed_code(hashed, member)
    return hashed.hexdigest()


def _feed_code(hashed: Any, function: Any) -> None:
    code = getattr(function, "__code__", None)
    if code is not None:
        _feed(hashed, code)


def _feed(hashed: Any, code: CodeType) -> None:
    hashed.update(code.co_code)
    hashed.update(repr((code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _feed(hashed, constant)
        else:
            # The order of a set is another one in each process.
            plain = sorted(map(repr, constant)) if _is_set(constant) else constant
            hashed.update(repr(plain).encode())


def _is_set(value: object) -> TypeGuard[frozenset[object]]:
    return isinstance(value, frozenset)
