"""Nurseries wrap what passes through them in groups; who reports it wants the thing itself."""

from typing import TypeGuard


def only_leaf(error: BaseException) -> BaseException:
    """Return the only exception in nested groups; the innermost group where there are several."""
    while _is_group(error) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)
