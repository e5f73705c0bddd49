"""How an execution has ended: decided from what happened in it, without any waiting."""

from collections.abc import Hashable, Sequence
from typing import Literal, TypeGuard

from attrs import frozen

from ..store._records import Ended

Status = Literal["completed", "failed", "cancelled"]


@frozen(kw_only=True)
class Outcome:
    """How one workflow ended within the execution."""

    workflow: Hashable
    """Which one it is."""
    status: Status
    error: BaseException | None = None
    node: str | None = None
    """Where it failed."""


@frozen(kw_only=True)
class Ending:
    """What is recorded of the end."""

    phase: Ended
    error: BaseException | None = None
    node: str | None = None
    """Where it failed; None: in the run's own code."""


class NothingRan(Exception):
    """A run of workflows was begun again, and none of them ran."""


def ending(
    raised: BaseException | None,
    outcomes: Sequence[Outcome],
    *,
    is_aborted: bool,
    before: str = "",
) -> Ending:
    """Return how an execution ended.

    Args:
        raised: what left the block; None: it ended by itself.
        outcomes: of the workflows that ran in it, in order; of one that ran again the last counts.
        is_aborted: an abort was asked for.
        before: the workflow that ran in the execution before; "": none did, or there was none.
    """
    if raised is not None:
        leaves = _leaves(raised)
        if not any(isinstance(each, Exception) for each in leaves):
            return Ending(phase="cancelled")  # Cancelled, Ctrl-C, an exit: nobody has failed
        return Ending(phase="failed", error=raised)
    last = {each.workflow: each for each in outcomes}.values()
    failed = next((each for each in last if each.status == "failed"), None)
    if failed is not None:
        return Ending(phase="failed", error=failed.error, node=failed.node)
    if before and not outcomes:
        # An empty attempt turns no failed run green (F21).
        problem = NothingRan(f"nothing has run in it; execute {before!r} inside of the block")
        return Ending(phase="cancelled", error=problem)
    is_cut = is_aborted or any(each.status == "cancelled" for each in last)
    return Ending(phase="cancelled" if is_cut else "completed")


def _leaves(error: BaseException) -> Sequence[BaseException]:
    if _is_group(error):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return (error,)


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)
