"""`trouper.ctx()`: the context of the task that runs right now."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._task_context import TaskContext

current_context: "ContextVar[TaskContext[Any, Any, Any] | None]" = ContextVar(
    "current_context", default=None
)


def ctx() -> "TaskContext[Any, Any, Any] | None":
    """Return the context of the running task, the very object of its `ctx` argument.

    Outside of a task it is None. Child tasks and worker threads that a task starts see its context.
    """
    return current_context.get()


ctx.__module__ = "trouper"
