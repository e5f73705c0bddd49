"""What an actor sees besides: its messages, in and out."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic, cast

import attrs
from trio.lowlevel import checkpoint, wait_task_rescheduled
from typing_extensions import TypeVar

from ..channels._context import message_context
from ..channels._envelope import Envelope
from ..channels._generators import is_asked_by_loop, started
from ..channels._inbox import EndOfInput
from ..channels._outlet import NOTHING, Outlet
from . import _early
from ._ask import WhenRestarting, asks_of
from ._every import Every
from ._lease import NO_REPEAT
from ._mailbox import Mailbox
from ._settled import Follower, OnSettled, check_on_settled
from ._spawning import Spawned, spawner_of
from ._stopping import Stopping
from ._task_context import DepsT, InputT, StateT, TaskContext
from ._unconnected import NO_OUTLET, UNCONNECTED
from ._unknown_output import UnknownOutput
from ._watch import OnDown
from ._workers_leased import Leased
from ._workers_outputs import hand_of

OutputT = TypeVar("OutputT", default=Any)

_sent_in = message_context.get
_READY = (list, tuple)
"""What `send_many` takes as it is; anything else is read to its end first."""


@attrs.frozen(eq=False, weakref_slot=False)
class ActorContext(TaskContext[StateT, DepsT, InputT], Generic[StateT, DepsT, InputT, OutputT]):
    """A `TaskContext` with a default input and a default output.

    `async for message in ctx` and `await ctx.receive()` take messages one at a time; asking for the
    next one acknowledges the last. `await ctx.send(x)` and `yield x` send to every reader.
    """

    _mailbox: Mailbox = attrs.field(default=UNCONNECTED, alias="mailbox")
    _outlet: Outlet = attrs.field(default=NO_OUTLET, alias="outlet")
    _outputs: Mapping[str, Outlet] = attrs.field(factory=dict[str, Outlet], alias="outputs")
    stopping: Stopping = attrs.Factory(Stopping)
    """Set when the run drains."""

    # -- in ----------------------------------------------------------------------------------

    async def receive(self) -> InputT:
        """Return the next message; wait until there is one. Acknowledges the last one.

        If cancelled, no message is lost or skipped.

        Raises:
            EndOfInput: every upstream has ended. Let it leave `run()`: that is a normal end.
            trio.BusyResourceError: another task of this actor holds a message or waits for one.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        box = self._mailbox
        # The fast path: credit, and the task that holds the lease is the one that runs now.
        credit = box.credit
        if credit <= 0 or not box.coro.cr_running:
            park = box.enter_wait()
            payload = NOTHING
            if park is not None:
                try:
                    await wait_task_rescheduled(park)
                except BaseException:
                    box.cut_wait()
                    raise
                payload = box.leave_wait()
            return cast("InputT", await box.take_slow() if payload is NOTHING else payload)
        box.credit = credit - 1
        box.leased = envelope = box.buffer.popleft()
        if envelope.context is not box.bound:
            payload = box.hand_out(envelope)
            return cast("InputT", await box.take_slow() if payload is NOTHING else payload)
        return envelope.payload  # type: ignore[no-any-return]  # a cast here costs 30 ns

    async def receive_many(self, max: int = 64) -> list[InputT]:
        """Return 1 to `max` messages; wait for the first. They are acknowledged together.

        Raises:
            ValueError: `max` is below 1.
            EndOfInput, trio.BusyResourceError, NotImplementedError: as `receive`.
        """
        if max < 1:
            raise ValueError(f"receive_many() takes max >= 1, got {max}")
        return await self._mailbox.take_batch(max)

    def __aiter__(self) -> AsyncIterator[InputT]:
        box = self._mailbox
        box.refuse_if_unconnected()
        box.credit = 0
        if not is_asked_by_loop():
            return _Messages(self)
        # One for each loop: a loop that is cancelled inside of another must not end that one too.
        takes_turns = box.turns and box.transform is None
        return started(self._keyed_messages(box) if takes_turns else self._messages(box))

    async def _messages(self, box: Mailbox) -> AsyncGenerator[InputT, None]:
        yield cast("InputT", NOTHING)  # taken by `started`
        while True:
            park = box.enter_wait()
            if park is None:
                if box.has_usual_end():
                    return
                try:
                    payload = await box.take_slow()
                except EndOfInput:
                    return
            else:
                try:
                    await wait_task_rescheduled(park)
                except BaseException:
                    box.cut_wait()
                    raise
                payload = box.leave_wait()
                if payload is NOTHING:
                    continue
            yield payload
            while (credit := box.credit) > 0:
                box.credit = credit - 1
                box.leased = envelope = box.buffer.popleft()
                if envelope.context is box.bound:
                    yield envelope.payload
                    continue
                payload = box.hand_out(envelope)
                if payload is NOTHING:
                    break
                yield payload

    async def _keyed_messages(self, box: Mailbox) -> AsyncGenerator[InputT, None]:
        """Take turns among several lanes: what `Inbox.popleft` and `hand_out` do, without calls."""
        yield cast("InputT", NOTHING)  # taken by `started`
        while True:
            try:
                payload = await box.take_slow()
            except EndOfInput:
                return
            yield payload
            ready = box.ready
            # Where messages have deadlines, every one of them is looked at.
            while not box.timed and (credit := box.credit) > 0:
                box.credit = credit - 1
                lane = ready[0]
                buffer = lane.buffer
                envelope = buffer.popleft()
                if buffer:
                    ready.rotate(-1)
                else:
                    box.take_out(lane)
                if envelope.context is not box.current:
                    payload = box.hand_out(envelope)
                    if payload is NOTHING:
                        break
                    yield payload
                    continue
                box.leased = box.root = envelope
                box.emitted = 0
                yield cast("InputT", MappingProxyType({envelope.source: envelope.payload}))

    @property
    def message(self) -> Envelope[InputT] | None:
        """The envelope in hand (of a batch, the first); None if there is none."""
        return hand_of(self._mailbox).leased

    @property
    def messages(self) -> tuple[Envelope[Any], ...]:
        """The envelopes in hand: all that are left of a batch, else one, or none."""
        return tuple(hand_of(self._mailbox).envelopes_in_hand())

    def ack(self, envelope: Envelope[Any] | None = None) -> None:
        """Acknowledge the message in hand now, not when the next one is asked for.

        Args:
            envelope: one of a batch (see `messages`); None: all that is in hand.

        Raises:
            RuntimeError: nothing is in hand, or outputs wait for the acknowledgement.
            ValueError, TypeError: `envelope` is not in hand, or no envelope.
        """
        _early.ack(hand_of(self._mailbox), envelope)

    def reject(self, reason: str | Exception, envelope: Envelope[Any] | None = None) -> None:
        """Say that the message in hand can't be handled, without a crash: a failed attempt.

        It comes again, or is a dead letter after `max_attempts`; `reason` stands in its history.

        Raises:
            RuntimeError, ValueError, TypeError: as `ack`; or `reason` is no text or exception.
        """
        _early.reject(hand_of(self._mailbox), reason, envelope)

    def release(self, envelope: Envelope[Any] | None = None) -> None:
        """Give the message in hand back: it comes again, and that was no failed attempt.

        One that is given back more than `max_releases` times is a dead letter, `released`.

        Raises:
            RuntimeError, ValueError, TypeError: as `ack`.
        """
        _early.release(hand_of(self._mailbox), envelope)

    def leased(self) -> Leased[InputT]:
        """Return a lease for one block: `async with ctx.leased() as message`.

        Several tasks of one actor may each be in such a block. A normal end of it acknowledges the
        message, an exception rejects it, a cancellation releases it.

        Raises, when it is entered:
            EndOfInput: every upstream has ended, and no other block holds a message.
            trio.BusyResourceError: another task of this actor waits in `receive()`.
            NotImplementedError: as `receive`.
        """
        return Leased(self._mailbox)

    # -- out ---------------------------------------------------------------------------------

    async def send(self, x: OutputT, to: str | None = None) -> None:
        """Send a message to every reader of the default output, or of the output named `to`.

        Waits while a reader's edge is full (overflow "block"). If cancelled, nothing was sent.

        Raises:
            UnknownOutput: there is no output named `to`; the text lists those declared.
            BufferOverflow: an edge with overflow="fail" is full.
            EndOfOutput: the run drains and this was the last message, or nobody reads any more.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        outlet = self._outlet if to is None else self._output(to)
        # The fast path: one lane with room, and nothing special to do.
        lane = outlet.one
        if lane is None or (seq := lane.sent + 1) > lane.limit:
            if not outlet.put_first(x):
                await outlet.put(x)
            return
        lineage = outlet.lineage
        leased = lineage.leased
        if leased is lineage.root:
            origin = None if leased is None else lineage.next_origin()
        else:
            lineage.root = leased
            lineage.emitted = 1
            origin = leased.origin or (leased.source, leased.seq)  # type: ignore[union-attr]  # no root
        outlet.last = x
        lane.sent = seq
        lane.buffer.append(Envelope(x, lane.source, seq, 1, _sent_in(), origin))

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any = None,
        timeout: float | None = 30.0,
        restarting: WhenRestarting = "wait",
    ) -> Any:
        return await asks_of(self._asks).ask(
            x,
            to,
            reply_from=reply_from,
            timeout=timeout,
            restarting=restarting,
            asker=hand_of(self._mailbox),
        )

    async def send_many(self, xs: Iterable[OutputT], to: str | None = None) -> None:
        """Send messages in order; as fast as it gets. If cancelled, a prefix was sent.

        Raises: as `send`.
        """
        await self._output(to).put_many(xs if isinstance(xs, _READY) else tuple(xs))

    def _output(self, to: str | None) -> Outlet:
        if to is None or self._outlet is NO_OUTLET:
            return self._outlet
        if to not in self._outputs:
            raise UnknownOutput(self.action.name, to, self._outputs)
        return self._outputs[to]

    def on_settled(self, fn: OnSettled | None) -> None:
        """Call `fn(Settled)` for each output from now on, once all that comes from it is settled.

        So a source knows how far it may move its offset. `fn` is called once for each, in the task
        that settles the last of it, so it can't wait; what it raises is logged and counted. None
        ends it for further outputs.

        Raises:
            TypeError: `fn` is no function, or an async one.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        check_on_settled(fn)
        box = self._mailbox
        box.refuse_if_unconnected()
        box.follow(None if fn is None else Follower(box.name, fn, box.count_unheard))

    # -- other nodes -------------------------------------------------------------------------

    def watch(self, node: Any, on_down: OnDown | None = None) -> None:
        """Hear once, before the next message, when a node has ended for good; at once if it has.

        A watch belongs to this incarnation: say it again in `start` or at the top of `run`. A node
        that is restarted has not ended. An actor that receives nothing hears of it when it sends.

        Args:
            node: by name or object.
            on_down: called with a `Down`, in this actor's task; may be async. None: this actor
                fails with `WatchedDown` instead.

        Raises:
            ValueError: there is no such node, it is this one, or it is watched already with
                another `on_down`.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        self._mailbox.desk_of_run().watch(self.action.name, node, on_down)

    def unwatch(self, node: Any) -> None:
        """Watch a node no more; what has not been heard is not heard. Idempotent.

        Raises:
            ValueError, NotImplementedError: as `watch`.
        """
        self._mailbox.desk_of_run().unwatch(self.action.name, node)

    # -- children ----------------------------------------------------------------------------

    async def spawn(self, body: Any, *, name: str | None = None, **options: Any) -> Spawned:
        """Start a supervised child, which ends with this incarnation at the latest.

        Args:
            body: what `wf.add` takes; a class or function is called anew by each incarnation.
            name: within this actor; None: made from the body's own.
            options: as of a node, but those that speak of edges.

        Raises:
            SpawnRefused: the run drains, or there are `max_children` already.
            TypeError, ValueError: an option is not legal, or there is a child of that name.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        self._mailbox.refuse_if_unconnected()
        await checkpoint()
        return spawner_of(self.action.name).spawn(self.action.name, body, name, options)

    # -- time --------------------------------------------------------------------------------

    def every(self, seconds: float) -> Every:
        """Return ticks 0, 1, 2, ... at once and then every so many seconds on trio's clock.

        They neither drift nor pile up: a tick missed is left out. They end when the run drains.

        Raises:
            ValueError: `seconds` is not above 0 and finite.
        """
        return Every(seconds, self.stopping)


class GeneratorContext(ActorContext[StateT, DepsT, InputT, OutputT]):
    """The context of an async generator: it remembers a send, for a `yield` of the same object."""

    __slots__ = ()

    async def send(self, x: OutputT, to: str | None = None) -> None:
        box = self._mailbox
        # A send between, to whichever output, failed or not: the next yield repeats nothing older.
        box.repeat = NO_REPEAT
        await ActorContext.send(self, x, to)
        if to is None:
            box.repeat = (x, box.leased)

    async def send_many(self, xs: Iterable[OutputT], to: str | None = None) -> None:
        self._mailbox.repeat = NO_REPEAT
        await ActorContext.send_many(self, xs, to)


class _Messages(Generic[InputT]):
    """What `aiter(ctx)` gives: an iterator that goes on after a wait that was cancelled."""

    def __init__(self, ctx: ActorContext[Any, Any, InputT, Any]) -> None:
        self._ctx = ctx

    def __aiter__(self) -> "_Messages[InputT]":
        return self

    async def __anext__(self) -> InputT:
        try:
            return await self._ctx.receive()
        except EndOfInput:
            raise StopAsyncIteration from None


ActorContext.__module__ = "trouper"
