"""What can be asked of a node while the run goes on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._execution import Execution


class ControlDesk:
    """Takes what is asked of nodes, and tells actors of the ends of others."""

    def __init__(self, run: "Execution") -> None:
        self._run = run

    def watch(self, watcher: str, node: Any, on_down: Any) -> None: ...
    def unwatch(self, watcher: str, node: Any) -> None: ...
    def resume_all(self) -> None: ...
