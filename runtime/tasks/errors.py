"""What a run of tasks raises: `trouper.errors`.

Rule 1: a task's own exception is never lost: it is the `__cause__`, with its traceback.
Rule 2: it is wrapped once, where it left the task that raised it. On its way through the tasks
that called that one it stays the same object.
"""

from typing import TYPE_CHECKING, Any

from ...actors._failure import FailureSummary

if TYPE_CHECKING:
    from ._run import TaskRun


class RuntimeUserError(RuntimeError):
    """A task failed, and is not tried again."""

    kind = "user"
    """Who has to mend it."""

    def __init__(self, message: str, *, code: str = "", action: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).__name__
        """Name of the class of the exception that the task raised."""
        self.action = action
        """Name of the action that failed."""
        self.run: TaskRun | None = None
        """The run, once it has ended by this error."""
        self.summary: FailureSummary | None = None
        """The failure as text and numbers."""

    def __reduce__(self) -> Any:
        return _restore, (type(self), str(self), self.code, self.action)


class TaskTimeout(RuntimeUserError):
    """An attempt of a task took longer than its `timeout=` allows."""


class NonRecoverableError(Exception):
    """Raise it in a task, or a subclass, when trying again is of no use: `retries` stops there."""


class EnvVarsConflict(RuntimeError):
    """Two runs can't be in one process, because one of them has `env_vars`."""


class ProcessLost(Exception):
    """Too many processes have died in an action for a recovered run to try it again."""


def _restore(cls: type[RuntimeUserError], message: str, code: str, action: str) -> RuntimeUserError:
    return cls(message, code=code, action=action)


for _public in (RuntimeUserError, TaskTimeout, NonRecoverableError, EnvVarsConflict, ProcessLost):
    _public.__module__ = "trouper.errors"
