"""Base classes for those who like them: they carry the types, nothing else is needed of them."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Generic

from ._actor_context import ActorContext, OutputT
from ._task_context import DepsT, InputT, StateT, TaskContext


class Task(Generic[StateT, DepsT, InputT, OutputT]):
    """A batch task: one call, one result. `class Fetch(Task[State, Deps, None, list[str]])`."""

    @abstractmethod
    async def execute(self, ctx: TaskContext[StateT, DepsT, InputT]) -> OutputT:
        """Return the task's output."""
        raise NotImplementedError


class Actor(Generic[StateT, DepsT, InputT, OutputT]):
    """A streaming actor: messages in, messages out. `class Parse(Actor[State, Deps, str, Row])`."""

    @abstractmethod
    def run(self, ctx: ActorContext[StateT, DepsT, InputT, OutputT]) -> AsyncIterator[OutputT]:
        """Yield messages; write it `async def run(self, ctx)` with a `yield`."""
        raise NotImplementedError


Task.__module__ = Actor.__module__ = "trouper"
