"""What of an error is cancellation, and what is not: a nursery may raise both in one group."""

from typing import TypeGuard

import trio


def split_cancelled(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the part of an error that is nothing but `Cancelled`, and the rest of it."""
    if _is_group(error):
        cancelled, rest = error.split(trio.Cancelled)
        return cancelled, rest
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)
