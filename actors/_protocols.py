"""What an object needs to take part: nothing of trouper's has to be imported for it.

`execute` may be a plain method too (it runs in a worker thread), and `run` may be a coroutine
method that only sends; these protocols name the usual forms, for type checkers.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, runtime_checkable

from typing_extensions import TypeVar

ContextT_contra = TypeVar("ContextT_contra", contravariant=True, default=Any)
OutputT_co = TypeVar("OutputT_co", covariant=True, default=Any)


@runtime_checkable
class Runnable(Protocol[ContextT_contra, OutputT_co]):
    """A batch task: one call, one result."""

    def execute(self, ctx: ContextT_contra, /) -> Awaitable[OutputT_co]:
        """Return the task's output; usually written `async def execute(self, ctx)`."""
        ...


@runtime_checkable
class Streamable(Protocol[ContextT_contra, OutputT_co]):
    """An actor: messages in, messages out, for as long as it runs."""

    def run(self, ctx: ContextT_contra, /) -> AsyncIterator[OutputT_co]:
        """Yield messages; usually written `async def run(self, ctx)` with a `yield`."""
        ...


Runnable.__module__ = Streamable.__module__ = "trouper"
