"""`trouper.map`: one call for each item, in parallel, lazily, the results in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any

import trio

from ...actors._pool import Pool
from ._action import Action
from ._bound_task import BoundTask, StreamTask, take_task
from ._bridge import Bridge
from ._calls import caller
from ._feed import Feed, Reader
from ._in_thread import bridge_below

CONCURRENCY = 64


class TaskMap(Reader[Any]):
    """The results of `trouper.map`: read them by `async for`, in a sync task by `for`."""

    def __init__(self, plan: "Plan", owner: Action, bridge: Bridge | None) -> None:
        super().__init__(f"{owner.name}/map", bridge)
        self._plan = plan
        self._owner = owner

    def _make_feed(self) -> Feed:
        return MapFeed(self._plan, self._owner)


class Plan:
    """What a map is to do."""

    def __init__(
        self,
        task: BoundTask[Any],
        call: Any,
        iterables: tuple[Iterable[Any], ...],
        concurrency: int,
        return_exceptions: bool,
    ) -> None:
        self.name = task.name
        # In async code a sync task is awaited too.
        self.call = call
        self.iterables = iterables
        self.concurrency = concurrency
        self.return_exceptions = return_exceptions


class _Slot:
    """The place of one item's result."""

    __slots__ = ("error", "is_done", "value")

    def __init__(self) -> None:
        self.is_done = False
        self.value: Any = None
        self.error: Exception | None = None


def map(
    task: Any,
    /,
    *iterables: Iterable[Any],
    concurrency: int | None = None,
    return_exceptions: bool = True,
) -> TaskMap:
    """Call a task once for each item; the results come in the order of the items.

    Items are taken from the iterables when they are needed, so these may be endless: at most three
    times `concurrency` ahead of the reader.

    Args:
        task: an async or sync task, or a `functools.partial` of one.
        iterables: one for each further argument, as with Python's own `map`.
        concurrency: calls at once; None: 64.
        return_exceptions: put a failure in the place of the result, and go on; False: raise the
            first one in order, and cancel the rest.

    Raises:
        TypeError, ValueError: an argument is not legal.
        RuntimeError: outside of any run.
    """
    found = take_task(task)
    if found is None or isinstance(found[0], StreamTask):
        raise TypeError(
            f"trouper.map takes an async or sync task, or a partial of one, not {task!r}"
        )
    if not iterables:
        raise TypeError(f"trouper.map({found[0].name}) needs an iterable for each argument")
    most = _check_concurrency(concurrency)
    owner = caller()
    if owner is None:
        raise RuntimeError(
            f"trouper.map({found[0].name}, ...) was called outside of any run; call it in a task"
        )
    bridge = None if trio.lowlevel.in_trio_task() else bridge_below(owner)
    return TaskMap(Plan(found[0], task, iterables, most, return_exceptions), owner, bridge)


def _check_concurrency(concurrency: object) -> int:
    if concurrency is None:
        return CONCURRENCY
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise ValueError(f"concurrency must be an int >= 1 or None, got {concurrency!r}")
    return concurrency


class MapFeed(Feed):
    """Calls, a bounded number at once, and hands on their results in order."""

    def __init__(self, plan: Plan, owner: Action) -> None:
        super().__init__(owner, plan.concurrency)
        self._plan = plan
        self._pace = owner.calls.pace
        self._running = 0
        self._window: deque[_Slot] = deque()
        self._changed = trio.Event()

    async def work(self) -> None:
        failure: Exception | None = None
        items = zip(*self._plan.iterables, strict=False)
        async with trio.open_nursery() as nursery:
            pool = Pool(nursery, copy_context(), self._pace)
            try:
                await self._work(pool, items)
            except Exception as error:  # kept: the nursery would wrap it
                failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _work(self, pool: Pool, items: Iterator[tuple[Any, ...]]) -> None:
        window, is_over = self._window, False
        while True:
            while not is_over and self._has_room():
                args = next(items, None)
                if args is None:
                    is_over = True
                else:
                    self._start(pool, args)
            if not window:
                return
            ready = self._take_ready()
            if ready:
                await self.send.send_many(ready)
            else:
                self._changed = trio.Event()
                await self._changed.wait()

    def _has_room(self) -> bool:
        most = self._plan.concurrency
        return self._running < most and len(self._window) < 2 * most

    def _start(self, pool: Pool, args: tuple[Any, ...]) -> None:
        slot = _Slot()
        self._window.append(slot)
        self._running += 1
        pool.start(partial(self._one, slot, args), self._plan.name)

    async def _one(self, slot: _Slot, args: tuple[Any, ...]) -> None:
        try:
            slot.value = await self._plan.call(*args)
        except Exception as error:
            slot.error = error
        slot.is_done = True
        self._running -= 1
        self._changed.set()

    def _take_ready(self) -> list[Any]:
        """Take the results that are next in order."""
        ready: list[Any] = []
        window = self._window
        while window and window[0].is_done:
            error = window[0].error
            if error is not None and not self._plan.return_exceptions:
                # What came before it goes first.
                if not ready:
                    raise error
                break
            slot = window.popleft()
            ready.append(slot.value if error is None else error)
        return ready


TaskMap.__module__ = map.__module__ = "trouper"
