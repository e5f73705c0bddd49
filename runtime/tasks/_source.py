"""Where the code of a task or workflow is, for those who run it again."""

from functools import partial
from inspect import unwrap
from typing import Any


def source_of(target: Any) -> dict[str, str]:
    """Return the file that a function or class stands in; nothing if it stands in none."""
    while isinstance(target, partial):
        target = target.func
    code = getattr(unwrap(target), "__code__", None)
    file: str = "" if code is None else code.co_filename
    return {} if not file or file.startswith("<") else {"file": file}
