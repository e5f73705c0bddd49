"""`ctx.spawn`: what an actor asks of its run when it wants a child."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class ChildFailed(RuntimeError):
    """A child of `ctx.spawn` has failed for good."""


class SpawnRefused(RuntimeError):
    """No child may be started now: the run drains, or there are `max_children`."""


class Spawned(Protocol):
    """A child of an actor: it ends with the incarnation that has spawned it."""

    @property
    def name(self) -> str:
        """What status and logs call it: `parent/name`."""
        ...

    @property
    def state(self) -> str:
        """`waiting`, `starting`, `running`, `restarting`, `done`, `failed` or `cancelled`."""
        ...

    async def send(self, x: Any) -> None:
        """Send it a message; wait while its mailbox is full.

        Raises:
            NodeEnded: it takes nothing more. `x` was not accepted.
            TypeError: `x` is not of its input type, or it is a task.
        """
        ...

    async def stop(self) -> None:
        """End it, and wait until it has ended; what it has not handled is dead-lettered. May be
        called again."""
        ...

    async def wait(self) -> Any:
        """Wait until it has ended for good; return its result, or the last value it sent.

        Raises:
            ChildFailed: it has failed.
        """
        ...


class Spawner(Protocol):
    """The run, as `ctx.spawn` sees it."""

    def spawn(
        self, parent: str, body: Any, name: str | None, options: Mapping[str, Any]
    ) -> Spawned:
        """Start a child of the node `parent`."""
        ...


current_spawner: ContextVar[Spawner | None] = ContextVar("current_spawner", default=None)
"""Of the run that the running task belongs to."""


def spawner_of(node: str) -> Spawner:
    """Return the spawner of the run of this task."""
    spawner = current_spawner.get()
    if spawner is None:
        raise RuntimeError(
            f"ctx.spawn of {node!r} was called outside of its run; call it in a task of that actor"
        )
    return spawner


Spawned.__module__ = ChildFailed.__module__ = SpawnRefused.__module__ = "trouper"
