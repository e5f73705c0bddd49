"""What runs in a map: so many calls at a time, results in the order of the items or as they come.

Over a list, the first failure ends all calls at once. Over a stream, each call holds the message
that it is for: a failure rejects that one only, and in order those behind it are given back, so
that they come again after it. The value of a call is the reply to a question that was put to it.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from inspect import isawaitable
from typing import Any, cast

import attrs
import trio

from ..actors._actor_context import ActorContext
from ..actors._ask import answer_as_value
from ..actors._cancelled import stray_cancel
from ..actors._current import current_context
from ..actors._in_order import release_in_order, sort_returned
from ..actors._task_context import TaskContext
from ..channels._context import message_context
from ..channels._outlet import EndOfOutput
from ._node import MapSpec, Node
from ._process import call_in_process
from ._threads import call_in_thread

Call = Callable[[Any], Awaitable[Any]]
"""Calls the user's function for one item."""


def make_call(node: Node, context: TaskContext[Any, Any, Any]) -> Call:
    """Return what calls the node's function for one item."""
    spec = node.map
    assert spec is not None
    shape = spec.call
    function = _function(node, spec)

    async def call(item: Any) -> Any:
        args: tuple[Any, ...] = (item,)
        if shape.takes_ctx and shape.parameters:
            args = (context, item)
        elif shape.takes_ctx:
            own = attrs.evolve(cast("Any", context), inputs=item)
            current_context.set(own)
            args = (own,)
        if shape.is_async:
            return await function(*args)
        if node.options.executor == "process":
            return await call_in_process(function, args, {}, name=node.name)
        budget = spec.budget
        value = await call_in_thread(lambda: function(*args), name=node.name, budget=budget)
        return await value if isawaitable(value) else value

    return call


def _function(node: Node, spec: MapSpec) -> Callable[..., Any]:
    if spec.call.entry == "call":
        return node.obj  # type: ignore[no-any-return]  # the shape says so
    target = node.obj() if spec.call.is_factory else node.obj
    return getattr(target, spec.call.entry)  # type: ignore[no-any-return]  # likewise


# -- over a list -----------------------------------------------------------------------------


async def map_list(node: Node, context: TaskContext[Any, Any, Any]) -> list[Any]:
    """Return the results for all items of the input."""
    assert node.map is not None
    items = _items(node, context.inputs)
    return await _Round(make_call(node, context), items, node.map.ordered).run(node.map.concurrency)


def _items(node: Node, value: Any) -> Iterator[Any]:
    kind: type[Any] = type(cast("object", value))
    if issubclass(kind, Iterable) and not issubclass(kind, str | bytes | Mapping):
        return iter(value)
    raise TypeError(
        f"{node.name!r} maps over the result of {node.upstreams[0].key!r}, which is a "
        f"{kind.__name__}; let that give a list"
    )


class _Round:
    """One walk over a list."""

    def __init__(self, call: Call, items: Iterator[Any], ordered: bool) -> None:
        self._call = call
        self._items = enumerate(items)
        self._ordered = ordered
        self._results: dict[int, Any] = {}
        self._failure: Exception | None = None
        self._scope = trio.CancelScope()

    async def run(self, concurrency: int) -> list[Any]:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for _ in range(concurrency):
                    nursery.start_soon(self._work)
        if self._failure is not None:
            raise self._failure
        places = sorted(self._results) if self._ordered else self._results
        return [self._results[place] for place in places]

    async def _work(self) -> None:
        try:
            for place, item in self._items:
                self._results[place] = await self._call(item)
                # A function that never waits must not keep others from running.
                await trio.lowlevel.checkpoint()
        except BaseException as error:
            failure = error if isinstance(error, Exception) else stray_cancel(error)
            if failure is None:
                raise
            self._failure = self._failure or failure
            self._scope.cancel()


# -- over a stream ---------------------------------------------------------------------------


class Turns:
    """Lets results out in the order in which their messages were taken."""

    def __init__(self) -> None:
        self._taken = 0
        self._next = 1
        self._gone: set[int] = set()
        """Messages that are done before their turn came."""
        self._broken: float = math.inf
        """The first message that has failed; those behind it are not to overtake it."""
        self._moved = trio.lowlevel.ParkingLot()

    def take(self) -> int:
        """Return the number of a message that was just taken."""
        # After a failure nothing is taken, so that whatever was given back is here again.
        self._broken = math.inf
        self._taken += 1
        return self._taken

    async def wait(self, number: int) -> bool:
        """Wait for the turn of a message; False: one before it has failed, and comes first."""
        while number != self._next and number < self._broken:
            await self._moved.park()
        return number < self._broken

    def fail(self, number: int) -> None:
        self._broken = min(self._broken, number)

    def done(self, number: int) -> None:
        """Let the next one go on."""
        self._gone.add(number)
        while self._next in self._gone:
            self._gone.remove(self._next)
            self._next += 1
        self._moved.unpark_all()


def stream_body(node: Node) -> Callable[[ActorContext[Any, Any, Any, Any]], Awaitable[None]]:
    """Return the body of a map over a stream; of one incarnation there may be several."""
    spec = node.map
    assert spec is not None
    if not spec.ordered or spec.concurrency == 1:

        async def body(ctx: ActorContext[Any, Any, Any, Any]) -> None:
            call = make_call(node, ctx)
            while True:
                result = await call(await ctx.receive())
                if message_context.get().tracking:
                    answer_as_value(message_context.get(), result, node.name)
                await ctx.send(result)

        return body
    turns = Turns()
    is_timed = node.options.timeout is not None

    async def body_in_order(ctx: ActorContext[Any, Any, Any, Any]) -> None:
        call = make_call(node, ctx)
        sort_returned(ctx)
        while True:
            item = await ctx.receive()
            number = turns.take()
            try:
                result = await call(item)
                if message_context.get().tracking:
                    answer_as_value(message_context.get(), result, node.name)
                if await turns.wait(number):
                    await ctx.send(result)
                else:
                    release_in_order(ctx)
            except EndOfOutput:
                raise
            except BaseException as error:
                # What is cancelled because its deadline has passed is given up: no failure.
                if is_timed or isinstance(error, Exception) or stray_cancel(error):
                    turns.fail(number)
                raise
            finally:
                turns.done(number)

    return body_in_order
