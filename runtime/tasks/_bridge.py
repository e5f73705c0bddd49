"""Sync tasks: a worker thread, and the way back from it into the event loop.

Rule 1: a sync task that a sync task calls runs in the same thread, so threads are as many as async
tasks wait for sync ones, and no limiter stands between those that wait for each other.
Rule 2: what a thread calls in the event loop runs in the nursery of the trio task that waits for
the thread: a cancel reaches it, and it ends before the sync task does.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from functools import partial
from inspect import isawaitable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

import trio

from .._threads import call_in_thread

if TYPE_CHECKING:
    from ._action import Action
    from ._spec import Spec


class Bridge(Protocol):
    """How a worker thread calls what needs an event loop."""

    def call(self, async_fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Return `await async_fn(*args)`, called from a thread, which waits for it."""
        ...


class NurseryBridge:
    """Leads into the nursery of the task that waits for the thread."""

    def __init__(self, nursery: trio.Nursery, name: str) -> None:
        self._nursery = nursery
        self._name = name
        self._token = trio.lowlevel.current_trio_token()
        self._is_open = True

    def close(self) -> None:
        """Take no more calls: nobody waits for the thread any longer."""
        self._is_open = False

    def call(self, async_fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        here = copy_context()
        self._token.run_sync_soon(self._start, here, answers, async_fn, args)
        value, error = answers.get()
        if error is None:
            return value
        try:
            raise error
        finally:
            error = None  # it holds this frame

    def watch(self, on_cancel: Callable[[], None]) -> Callable[[], None]:
        """Have `on_cancel` called if the waiting task is cancelled, until what is returned is."""
        scope = trio.CancelScope()
        self._token.run_sync_soon(self._start_watch, scope, on_cancel)

        def stop() -> None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(scope.cancel)

        return stop

    def _start_watch(self, scope: trio.CancelScope, on_cancel: Callable[[], None]) -> None:
        if self._is_open:
            self._nursery.start_soon(self._watch, scope, on_cancel)
        elif not scope.cancel_called:  # the thread was abandoned, and begins something all the same
            on_cancel()

    async def _watch(self, scope: trio.CancelScope, on_cancel: Callable[[], None]) -> None:
        with scope:
            try:
                await trio.sleep_forever()
            finally:
                if not scope.cancel_called:
                    on_cancel()

    def _start(
        self,
        context: Context,
        answers: "SimpleQueue[tuple[Any, BaseException | None]]",
        async_fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
    ) -> None:
        if not self._is_open:
            answers.put((None, RuntimeError(f"{self._name} was abandoned: its run has gone on")))
            return
        context.run(self._nursery.start_soon, self._serve, answers, async_fn, args)

    async def _serve(
        self,
        answers: "SimpleQueue[tuple[Any, BaseException | None]]",
        async_fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
    ) -> None:
        try:
            value = await async_fn(*args)
        except BaseException as error:  # whatever it is, a cancel too: the thread has to go on
            answers.put((None, error))
        else:
            answers.put((value, None))


class PlainBridge:
    """Leads from any other thread of trio's, as that of a sync task of a graph."""

    def call(self, async_fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return trio.from_thread.run(async_fn, *args)


node_bridge: ContextVar[Bridge | None] = ContextVar("node_bridge", default=None)
"""Of the sync task of a graph whose thread this is."""


async def call_sync(
    spec: "Spec", action: "Action", own: Context, args: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """Return what a sync task returns, called in a worker thread.

    Args:
        own: its context variables.
    """

    def say(bridge: Bridge) -> None:
        action.bridge = bridge

    call = partial(own.run, partial(spec.function, *args, **named))
    # The end of a name tells more than its beginning.
    name = f"trouper {action.name[-80:]}"
    return await _call_bridged(call, say, name=name, budget=spec.settings.shutdown)


async def call_node(call: Callable[[], Any], *, name: str, budget: float) -> Any:
    """Return what the sync task of a graph returns; it may call tasks of environments."""
    return await _call_bridged(call, node_bridge.set, name=name, budget=budget)


async def _call_bridged(
    call: Callable[[], Any], say: Callable[[Bridge], object], *, name: str, budget: float
) -> Any:
    value: Any = None
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        bridge = NurseryBridge(nursery, name)
        say(bridge)
        try:
            value = await call_in_thread(call, name=name, budget=budget)
        except Exception as error:  # kept, because the nursery would wrap it
            failure = error
        finally:
            bridge.close()
    if failure is None:
        # A decorated task may look sync and still hand back an awaitable.
        return await value if isawaitable(value) else value
    try:
        raise failure
    finally:
        failure = None  # it holds this frame
