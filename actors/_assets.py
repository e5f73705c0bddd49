"""What contexts need of a workspace to keep and find assets. The runtime puts it there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._run_context import RunContext
    from ._task_context import TaskContext

KEY = "assets"
"""Where `RunContext.kept` has it."""


class Assets(Protocol):
    """The assets of one execution; `context` is that of the task that asks, None: no task does."""

    @property
    def logs(self) -> Mapping[str, Any]:
        """Those that were asked for."""
        ...

    def artifact(self, context: "TaskContext[Any, Any, Any] | None") -> Any: ...
    def log(self, name: str, context: "TaskContext[Any, Any, Any] | None") -> Any: ...
    def data_assets(self, context: "TaskContext[Any, Any, Any] | None") -> Any: ...
    def checkpoint(
        self, name: str, data: Any, context: "TaskContext[Any, Any, Any] | None"
    ) -> Any: ...
    def checkpoints(self, name: str) -> Any: ...
    def restore(
        self, name: str | None, default: Any, context: "TaskContext[Any, Any, Any] | None"
    ) -> Any: ...
    def find_asset(
        self, name: str, kinds: Sequence[str], context: "TaskContext[Any, Any, Any] | None"
    ) -> Any: ...
    def set_active_task(self, task: str, context: "TaskContext[Any, Any, Any] | None") -> None: ...


def assets_of(run: "RunContext | None") -> Assets | None:
    """Return the assets of a run; None: it lies in no workspace."""
    return None if run is None else run.kept.get(KEY)
