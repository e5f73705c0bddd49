"""`trouper.asyncio_bridge`: what is written for asyncio, as a node of a graph or called in a body.

The function runs in the asyncio loop of the host's program, or where there is none, in one of the
run's own; what waits for it in trio is supervised, cancelled and restarted like any other.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cached_property, partial
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from attrs import frozen

from ...actors._actor_context import ActorContext
from .._names import infer_name
from .._shape import Shape
from .._signature import inspect_callable
from ._asyncio_bodies import call_body, each_body, source_body, yielding_once
from ._asyncio_context import cross
from ._asyncio_feed import AsyncioYields
from ._asyncio_of_run import current_asyncio
from ._asyncio_signature import body_signature, message_parameter, signature_of

if TYPE_CHECKING:
    from ._asyncio_job import Terms

P = ParamSpec("P")
T = TypeVar("T")

BUFFER = 256
"""Messages."""
SHUTDOWN = 5.0
"""Seconds."""


@frozen(kw_only=True)
class Settings:
    """The options of one bridge; None: not given."""

    batch: int | None
    buffer: int | None
    shutdown: float


class Bridged(ABC, Generic[P]):
    """What the two kinds of bridges have in common."""

    def __init__(self, fn: Callable[P, Any], shape: Shape, settings: Settings) -> None:
        functools.update_wrapper(cast("Any", self), fn, updated=())
        self.__name__ = infer_name(fn)
        self.__signature__ = signature_of(shape)
        self._fn: Callable[..., Any] = fn
        self._shape = shape
        self._settings = settings

    @cached_property
    def run(self) -> Callable[[ActorContext[Any, Any, Any, Any]], Awaitable[None]]:
        """The body of an actor.

        Raises:
            TypeError: it can't be one: it needs more than one message.
        """
        settings, shape = self._settings, self._shape
        item = message_parameter(self.__name__, shape)
        if item is None and settings.batch is not None:
            raise TypeError(
                f"batch of {self!r} has an effect only on a function that takes messages, and it "
                "takes none; leave it out"
            )
        run = self._body(has_input=item is not None)
        cast("Any", run).__signature__ = body_signature(shape, item, settings.batch)
        return run

    def __repr__(self) -> str:
        return f"asyncio_bridge({self.__name__})"

    @abstractmethod
    def _body(self, *, has_input: bool) -> Callable[..., Awaitable[None]]: ...

    def _terms(self) -> "Terms":
        from ._asyncio_job import Terms

        settings = self._settings
        return Terms(self.__name__, settings.shutdown, settings.buffer or BUFFER)


class AsyncioFunction(Bridged[P], Generic[P, T]):
    """An `async def` for asyncio: `await bridge(...)` in trio, a map's function, a task, an actor.

    As an actor it is awaited for each message. What it returns is sent on, and is the reply to a
    question; one that is annotated `-> None` sends nothing. One that takes no message runs once.
    """

    async def __call__(self, *args: P.args, **named: P.kwargs) -> T:
        side = current_asyncio(self.__name__).side()
        from ._asyncio_job import Job

        context, args_there = cross(args)
        call = partial(self._fn, *args_there, **named)
        value: T = await side.run(Job(side, call, context, self._terms()))
        return value

    def _body(self, *, has_input: bool) -> Callable[..., Awaitable[None]]:
        shape, settings = self._shape, self._settings
        sends = shape.returns not in (None, NoneType)
        if not has_input:
            once = yielding_once(self._fn, self.__name__, sends=sends)
            source = AsyncioGenerator[..., Any](once, shape, settings)
            return source_body(source, takes_ctx=shape.takes_ctx)
        return call_body(self, takes_ctx=shape.takes_ctx, batch=settings.batch, sends=sends)


class AsyncioGenerator(Bridged[P], Generic[P, T]):
    """An `async def` with `yield` for asyncio: `async with bridge(...) as xs` in trio, or an actor.

    As an actor it is a source: what it yields is sent. One that takes a message is called for each.
    """

    def __call__(self, *args: P.args, **named: P.kwargs) -> AsyncioYields[T]:
        """Return what it yields in asyncio, to be read in trio: `async with ... as xs`."""
        side = current_asyncio(self.__name__).side()
        from ._asyncio_job import Feed

        context, args_there = cross(args)
        generate = partial(self._fn, *args_there, **named)
        return AsyncioYields(side, Feed(side, generate, context, self._terms()))

    def _body(self, *, has_input: bool) -> Callable[..., Awaitable[None]]:
        takes_ctx = self._shape.takes_ctx
        if not has_input:
            return source_body(self, takes_ctx=takes_ctx)
        return each_body(self, takes_ctx=takes_ctx, batch=self._settings.batch)


@overload
def asyncio_bridge(
    fn: Callable[P, Awaitable[T]], /, *, batch: int | None = None, shutdown: float = SHUTDOWN
) -> AsyncioFunction[P, T]: ...
@overload
def asyncio_bridge(
    fn: Callable[P, AsyncIterator[T]],
    /,
    *,
    batch: int | None = None,
    buffer: int | None = None,
    shutdown: float = SHUTDOWN,
) -> AsyncioGenerator[P, T]: ...
def asyncio_bridge(
    fn: Callable[..., Any],
    /,
    *,
    batch: int | None = None,
    buffer: int | None = None,
    shutdown: float = SHUTDOWN,
) -> Any:
    """Return `fn`, which is written for asyncio, as what runs in trio: a node's body, or a call.

    It runs in the loop of the asyncio program that has opened the run; where none has, in a loop of
    the run's own, in a thread. A cancel crosses, both sides wait for the other's clean-up, errors
    arrive as they were raised, and it sees the context variables of whoever calls it.

    `wf.actor(asyncio_bridge(fn))`: an async generator without parameters is a source, a function of
    one parameter is called with each message, and what it gives is sent on. `wf.map` and `wf.task`
    take one too, and `await asyncio_bridge(fn)(...)` calls it in any body. A first parameter called
    `ctx` gets the node's context, as far as it need not wait.

    Args:
        batch: as an actor, call it with a list of this many messages at most.
        buffer: messages that a generator may be ahead of the graph (256).
        shutdown: seconds that its clean-up may take after a cancel; then it is abandoned.

    Raises:
        TypeError, ValueError: it is no async function, or an option is not legal.
    """
    shape = inspect_callable(fn)
    if shape.entry != "call" or not shape.is_async:
        raise TypeError(
            f"asyncio_bridge() takes an `async def` for asyncio, got {shape.label}; what blocks "
            "belongs in a sync task, or in `await trio.to_thread.run_sync(...)`"
        )
    _check_count("batch", batch)
    _check_count("buffer", buffer)
    if buffer is not None and not shape.is_generator:
        raise TypeError(
            f"buffer of {shape.label} has an effect only on an async generator; leave it out"
        )
    if not 0 <= shutdown < math.inf:
        raise ValueError(f"shutdown takes seconds >= 0, got {shutdown!r}")
    settings = Settings(batch=batch, buffer=buffer, shutdown=shutdown)
    if shape.is_generator:
        return AsyncioGenerator[..., Any](fn, shape, settings)
    return AsyncioFunction[..., Any](fn, shape, settings)


def _check_count(option: str, value: object) -> None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return
    raise ValueError(f"{option} takes an int >= 1, got {value!r}")


asyncio_bridge.__module__ = "trouper"
AsyncioFunction.__module__ = AsyncioGenerator.__module__ = "trouper"
