"""The side of a channel that messages go into."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import anyio.abc
import trio

from ._channel_end import ChannelEnd
from ._channel_errors import broken, mark_placed, no_room, send_closed
from ._channel_state import ChannelState
from ._meter import Meter
from ._wait_line import Waiter

T_contra = TypeVar("T_contra", contravariant=True)


class SendChannel(ChannelEnd, trio.abc.SendChannel[T_contra], anyio.abc.ObjectSendStream[T_contra]):
    """Sends messages; any number of tasks may share it, or `clone()` it.

    A task that waits to send keeps its place: the next room is given to it, not to a later sender.
    `send` and `send_many` are cancel points when they wait, when they fail, and at the end of each
    time slice; in between they need not be.
    """

    def __init__(self, channel: ChannelState[T_contra], new_meter: Callable[[], Meter]) -> None:
        super().__init__(channel, new_meter)
        self._channel: ChannelState[T_contra] = channel
        channel.open_senders += 1

    @trio.lowlevel.enable_ki_protection
    # Trio takes a SendType, anyio a T_contra: one `send` serves both.
    async def send(self, value: T_contra) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Place `value` in the channel; wait until there is room.

        If cancelled, `value` was not placed. With an overflow other than "block" this never waits
        for room; but before a message is lost, receivers that were woken and did not run yet, run.

        Raises:
            trouper.ClosedResourceError: you closed this channel end, maybe during the wait.
            trouper.BrokenResourceError: every receive channel is closed, maybe since the wait.
            trouper.BufferOverflow: there is no room, and `overflow` is "fail".
        """
        channel = self._channel
        if self._credit > 0 and len(channel.data) < channel.limit:
            self._credit -= 1
            channel.data.append(value)
        else:
            await self._send_slowly(value)

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, value: T_contra) -> None:
        """Place `value`, or drop a message as `overflow` says; never wait, never yield.

        Raises:
            trouper.WouldBlock: there is no room, and `overflow` is "block".
            trouper.BufferOverflow: there is no room, and `overflow` is "fail"; a WouldBlock too.
            trouper.ClosedResourceError: you closed this channel end.
            trouper.BrokenResourceError: every receive channel is closed.
        """
        self._check_open()
        if not self._channel.put(value):
            raise no_room()

    async def send_many(self, items: Iterable[T_contra]) -> None:
        """Place all `items` in order; wait for room as often as needed.

        `items` is read to its end first, so it must be finite. Other senders may come in between.
        If this fails or is cancelled, the messages placed so far stay in the channel, the others
        don't go there, and `trouper.placed_before(error)` says how many were placed.

        Raises: what `send` raises; of an empty `items`, only for a channel that can't send.
        """
        # Reading `items` is the caller's code, so Ctrl-C may break into it, but not into the rest.
        await self._send_batch(list(items))

    @trio.lowlevel.enable_ki_protection
    def clone(self) -> "SendChannel[T_contra]":
        """Return another handle of this channel; receivers see the end when all are closed.

        Raises:
            trouper.ClosedResourceError: you closed this channel end.
        """
        if self._closed:
            raise send_closed()
        return SendChannel(self._channel, self._new_meter)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close this handle, not its clones; no cancel point, and no harm when done twice.

        Tasks that wait in this handle get `trouper.ClosedResourceError`. If it is the last one,
        receivers get what is buffered and then `trouper.EndOfChannel`.
        """
        if not self._closed:
            self._closed = True
            self._credit = 0
            self._channel.senders.fail_all(send_closed, end=self)
            self._channel.close_sender()

    def __repr__(self) -> str:
        return f"<trouper.SendChannel at {id(self):#x}, using buffer at {id(self._channel):#x}>"

    @trio.lowlevel.enable_ki_protection
    async def _send_batch(self, batch: Sequence[T_contra]) -> None:
        placed = 0
        try:
            if not batch:
                self._check_open()
            while placed < len(batch):
                await self.send(batch[placed])
                placed += 1
                # A close may have come between the wake-up of that send and now.
                if not self._closed:
                    count = self._channel.put_many(batch, placed)
                    self._credit -= count
                    placed += count
        except BaseException as error:
            mark_placed(error, placed, len(batch))
            raise

    async def _send_slowly(self, value: T_contra) -> None:
        channel = self._channel
        yielded = False
        while not self._closed and channel.open_receivers:
            full = not channel.has_room()
            if full and channel.overflow == "block":
                await self._wait_for_room(value)
                return
            if full and (channel.arriving or (channel.overflow == "fail" and not yielded)):
                yielded = True
                await self._let_others_run()
            elif self._credit > 0:
                self._credit -= 1
                channel.put(value)
                return
            else:
                await self._renew_credit()
        # An error may be caught in a loop: it has to let others run too.
        await trio.lowlevel.checkpoint()
        raise self._refusal()

    async def _wait_for_room(self, value: T_contra) -> None:
        line = self._channel.senders
        waiter, self._spare = self._spare or Waiter(line), None
        waiter.value = value
        line.join(waiter, self)
        await trio.lowlevel.wait_task_rescheduled(waiter.abort)
        self._spare = waiter
        self._begin_slice()

    def _check_open(self) -> None:
        if self._closed or not self._channel.open_receivers:
            raise self._refusal()

    def _refusal(self) -> Exception:
        return send_closed() if self._closed else broken()


SendChannel.__module__ = "trouper"
