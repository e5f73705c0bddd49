"""`trouper.ctx()`: the context of the task that runs right now."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._task_context import TaskContext

current_context: "ContextVar[TaskContext[Any, Any, Any] | None]" = ContextVar(
    "current_context", default=None
)

elsewhere: "Callable[[], TaskContext[Any, Any, Any]] | None" = None
"""In a worker process, gives the context of the call that it does; anywhere else None."""


def ctx() -> "TaskContext[Any, Any, Any] | None":
    """Return the context of the running task, the very object of its `ctx` argument.

    Outside of a task it is None. Child tasks and worker threads that a task starts see its context.
    """
    context = current_context.get()
    return elsewhere() if context is None and elsewhere is not None else context


ctx.__module__ = "trouper"
