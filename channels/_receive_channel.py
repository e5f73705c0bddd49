"""The side of a channel that messages come out of."""

from collections.abc import Callable
from typing import Self, TypeVar

import anyio.abc
import trio

from ._channel_end import ChannelEnd
from ._channel_errors import EndOfChannel, ended, nothing_there, receive_closed
from ._channel_state import ChannelState
from ._meter import Meter
from ._wait_line import Waiter

T_co = TypeVar("T_co", covariant=True)


class ReceiveChannel(
    ChannelEnd, trio.abc.ReceiveChannel[T_co], anyio.abc.ObjectReceiveStream[T_co]
):
    """Gives each message to one receiver; any number of tasks may share it, or `clone()` it.

    A task that waits to receive keeps its place: the next message is given to it, not to a later
    receiver. `receive`, `receive_many` and `async for` are cancel points when they wait, when they
    fail, and at the end of each time slice; in between they need not be.
    """

    def __init__(self, channel: ChannelState[T_co], new_meter: Callable[[], Meter]) -> None:
        super().__init__(channel, new_meter)
        self._channel: ChannelState[T_co] = channel
        channel.open_receivers += 1

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> T_co:
        """Return the oldest message; wait until there is one.

        If cancelled, no message was taken.

        Raises:
            trouper.EndOfChannel: every send channel is closed and the buffer is empty.
            trouper.ClosedResourceError: you closed this channel end, maybe during the wait.
        """
        channel = self._channel
        data = channel.data
        if data and self._credit > 0 and not channel.waiting_senders:
            self._credit -= 1
            channel.received += 1
            return data.popleft()
        return await self._receive_slowly()

    @trio.lowlevel.enable_ki_protection
    def receive_nowait(self) -> T_co:
        """Return the oldest message; never wait, never yield.

        Raises:
            trouper.WouldBlock: there is none now.
            trouper.EndOfChannel: every send channel is closed and the buffer is empty.
            trouper.ClosedResourceError: you closed this channel end.
        """
        if self._has_message():
            return self._channel.take()
        if self._channel.open_senders:
            raise nothing_there()
        raise ended()

    @trio.lowlevel.enable_ki_protection
    async def receive_many(self, max_items: int) -> list[T_co]:
        """Return the oldest messages, at most `max_items`; wait until there is at least one.

        If cancelled, no message was taken.

        Raises:
            ValueError: `max_items` is less than 1.
            trouper.EndOfChannel, trouper.ClosedResourceError: as `receive`.
        """
        if max_items < 1:
            raise ValueError(f"max_items must be >= 1, got {max_items}; receive_many waits for one")
        taken = [await self.receive()]
        # A close may have come between the wake-up of that receive and now.
        if not self._closed:
            taken += self._channel.take_many(max_items - 1)
            self._credit -= len(taken) - 1
        return taken

    def __aiter__(self) -> Self:
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> T_co:
        # The same as `receive`; one more coroutine between them would cost half as much again.
        channel = self._channel
        data = channel.data
        if data and self._credit > 0 and not channel.waiting_senders:
            self._credit -= 1
            channel.received += 1
            return data.popleft()
        try:
            return await self._receive_slowly()
        except EndOfChannel:
            raise StopAsyncIteration from None

    @trio.lowlevel.enable_ki_protection
    def clone(self) -> "ReceiveChannel[T_co]":
        """Return another handle of this channel; a message still goes to one receiver only.

        Raises:
            trouper.ClosedResourceError: you closed this channel end.
        """
        if self._closed:
            raise receive_closed()
        return ReceiveChannel(self._channel, self._new_meter)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close this handle, not its clones; no cancel point, and no harm when done twice.

        Tasks that wait in this handle get `trouper.ClosedResourceError`. If it is the last one,
        senders get `trouper.BrokenResourceError`, and what is buffered is dropped as "closed".
        """
        if not self._closed:
            self._closed = True
            self._credit = 0
            self._channel.receivers.fail_all(receive_closed, end=self)
            self._channel.close_receiver()

    def __repr__(self) -> str:
        return f"<trouper.ReceiveChannel at {id(self):#x}, using buffer at {id(self._channel):#x}>"

    async def _receive_slowly(self) -> T_co:
        channel = self._channel
        while not self._closed:
            if channel.data or channel.waiting_senders:
                if self._credit > 0:
                    self._credit -= 1
                    return channel.take()
                channel.arriving += 1
                try:
                    await self._renew_credit()
                finally:
                    channel.arriving -= 1
            elif channel.open_senders:
                return await self._wait_for_message()
            else:
                break
        # An error may be caught in a loop: it has to let others run too.
        await trio.lowlevel.checkpoint()
        raise receive_closed() if self._closed else ended()

    async def _wait_for_message(self) -> T_co:
        channel = self._channel
        channel.limit = 0
        waiter, self._spare = self._spare or Waiter(channel.receivers), None
        channel.receivers.join(waiter, self)
        await trio.lowlevel.wait_task_rescheduled(waiter.abort)
        channel.arriving -= 1
        value: T_co = waiter.value
        del waiter.value
        self._spare = waiter
        self._begin_slice()
        return value

    def _has_message(self) -> bool:
        if self._closed:
            raise receive_closed()
        return bool(self._channel.data or self._channel.waiting_senders)


ReceiveChannel.__module__ = "trouper"
