"""What of an error is cancellation, and what is not: a nursery may raise both in one group."""

import math
from typing import TypeGuard

import trio


def split_cancelled(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the part of an error that is nothing but `Cancelled`, and the rest of it."""
    if _is_group(error):
        cancelled, rest = error.split(trio.Cancelled)
        return cancelled, rest
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)


def is_cancelled() -> bool:
    """Return whether this task is being cancelled."""
    deadline: float = trio.current_effective_deadline()
    return deadline == -math.inf


def stray_cancel(error: BaseException) -> RuntimeError | None:
    """Return the failure of a body that raised `Cancelled` though nobody cancels it; None: not so.

    Passed on, it would cancel all of the run without a word, as in any nursery.
    """
    if is_cancelled() or split_cancelled(error)[1] is not None:
        return None
    failure = RuntimeError(
        "it raised trio.Cancelled although nothing is cancelled; let a Cancelled pass where it "
        "comes, and raise none that was kept from another scope"
    )
    failure.__cause__ = error
    return failure


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)
