"""What a function in asyncio sees of the node that it is the body of."""

from collections.abc import Iterable
from contextvars import Context, copy_context
from typing import Any, NoReturn, TypeGuard

import attrs
from sniffio import current_async_library_cvar

from ...actors._actor_context import ActorContext
from ...actors._current import current_context
from ...actors._settled import OnSettled, Settled, check_on_settled
from ...actors._task_context import TaskContext
from ...channels._envelope import Envelope


@attrs.frozen(eq=False, weakref_slot=False)
class AsyncioContext(TaskContext[Any, Any, Any]):
    """A `TaskContext` for asyncio: what only looks works, what waits is trio's, and refused."""

    _of: TaskContext[Any, Any, Any] = attrs.field(default=TaskContext(), alias="of")
    message: Envelope[Any] | None = None
    """The envelope in hand; of a batch, the first."""
    messages: tuple[Envelope[Any], ...] = ()
    """All envelopes in hand."""

    @property
    def attempt(self) -> int:
        return self._of.attempt

    @property
    def upstreams(self) -> tuple[str, ...]:
        return self._of.upstreams

    @classmethod
    def of(cls, ctx: TaskContext[Any, Any, Any]) -> "AsyncioContext":
        """Return what a function in asyncio sees in place of a context."""
        if isinstance(ctx, AsyncioContext):
            return ctx
        messages = _messages_of(ctx)
        return cls(
            state=ctx.state,
            deps=ctx.deps,
            inputs=ctx.inputs,
            config=ctx.config,
            run_context=ctx.run_context,
            action=ctx.action,
            of=ctx,
            message=messages[0] if messages else None,
            messages=messages,
        )

    def on_settled(self, fn: OnSettled | None) -> None:
        """As `ActorContext.on_settled`; `fn` is called in asyncio, soon after, in the same order.

        Call it before the first `yield`: what was yielded may be sent later than it seems here.
        What it raises goes to the loop's exception handler.

        Raises:
            TypeError: `fn` is no function, or an async one.
            RuntimeError: this is the context of a task, which sends nothing.
        """
        check_on_settled(fn)
        if not _is_actors(self._of):
            raise RuntimeError("ctx.on_settled() is for actors; a task gives one value, at its end")
        self._of.on_settled(None if fn is None else _soon_here(fn))

    async def ask(self, x: Any, to: Any, **options: Any) -> NoReturn:
        """Is trio's.

        Raises:
            RuntimeError: always.
        """
        raise _is_trios("ctx.ask()", "ask in an actor before or behind this node")

    async def reply(self, y: Any, envelope: Envelope[Any] | None = None) -> NoReturn:
        """Is trio's.

        Raises:
            RuntimeError: always.
        """
        raise _is_trios("ctx.reply()", "return the reply")


def _soon_here(fn: OnSettled) -> OnSettled:
    import asyncio  # its loop runs here

    loop, context = asyncio.get_running_loop(), copy_context()

    def tell(settled: Settled) -> None:
        loop.call_soon_threadsafe(fn, settled, context=context)

    return tell


def _is_trios(what: str, instead: str) -> RuntimeError:
    return RuntimeError(f"{what} is trio's, and this runs in asyncio; {instead}")


def _messages_of(ctx: object) -> tuple[Envelope[Any], ...]:
    return ctx.messages if _is_actors(ctx) else ()


def _is_actors(ctx: object) -> TypeGuard[ActorContext[Any, Any, Any, Any]]:
    return isinstance(ctx, ActorContext)


def cross(args: Iterable[Any]) -> tuple[Context, list[Any]]:
    """Return the context variables for a task in asyncio, and the arguments as they are there.

    Contexts, as an argument and as `trouper.ctx()`, are replaced by what may be used there.
    """
    copied = copy_context()
    # `anyio.run(..., backend="trio")` leaves word of trio in the context of all that it runs.
    copied.run(current_async_library_cvar.set, "asyncio")
    here = current_context.get()
    there = None if here is None else AsyncioContext.of(here)
    if there is not None:
        copied.run(current_context.set, there)
    return copied, [there if each is here else _seen(each) for each in args]


def _seen(argument: Any) -> Any:
    return AsyncioContext.of(argument) if _is_context(argument) else argument


def _is_context(argument: object) -> TypeGuard[TaskContext[Any, Any, Any]]:
    return isinstance(argument, TaskContext)
