"""What both sides of a channel share, and every decision about it. Nothing here waits.

Rule 1: a receiver waits only while the buffer is empty and no sender waits.
Rule 2: a sender waits only while the buffer is full.
Rule 3: sent == received + dropped + buffered, so `sent` needs no counter of its own.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from ._channel_errors import broken, ended
from ._overflow import BufferOverflow, OverflowPolicy
from ._wait_line import WaitLine

T = TypeVar("T")


class ChannelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A channel at one instant; the first seven fields are those of trio's memory channels."""

    current_buffer_used: int
    max_buffer_size: int | float
    """What the channel really keeps: 1 when `overflow` is "latest"."""
    open_send_channels: int
    open_receive_channels: int
    tasks_waiting_send: int
    tasks_waiting_receive: int
    peak_buffer_used: int
    """The most messages that ever were in the buffer at once."""
    sent: int
    """Messages accepted. Always `received + sum(dropped.values()) + current_buffer_used`."""
    received: int
    """Messages taken, and those handed to a waiting receiver."""
    dropped: Mapping[str, int]
    """Messages lost, by reason: the name of the overflow policy, or "closed" for those that were
    in the buffer when the last receive channel was closed."""
    blocked_s: float
    """Seconds on trio's clock that tasks waited to send, summed; the waits going on included."""
    starved_s: float
    """Seconds on trio's clock that tasks waited to receive, summed in the same way."""


ChannelStatistics.__module__ = "trouper"


class ChannelState(Generic[T]):
    """The buffer, the two lines of waiting tasks, and the counts."""

    __slots__ = (
        "_capacity",
        "_dropped",
        "_peak",
        "arriving",
        "data",
        "limit",
        "open_receivers",
        "open_senders",
        "overflow",
        "received",
        "receivers",
        "senders",
        "waiting_senders",
    )

    def __init__(self, capacity: float, overflow: OverflowPolicy) -> None:
        self._capacity = capacity
        self.overflow = overflow
        self.data: deque[T] = deque()
        self.limit = 0
        """While the buffer is shorter than this, a message may be appended without a further look:
        the channel is open, no receiver waits, and the peak is not passed. May be too small."""
        self.senders: WaitLine[T] = WaitLine()
        self.receivers: WaitLine[T] = WaitLine()
        self.waiting_senders = self.senders.waiters
        self.open_senders = self.open_receivers = 0
        self.received = 0
        self.arriving = 0
        """Receivers that go on as soon as trio lets them: woken by a message, or at a slice's end.
        Before a sender drops a message it lets them run; else it would, within one slice, drop what
        they only had no chance to take."""
        self._dropped: dict[str, int] = {}
        self._peak = 0

    def has_room(self) -> bool:
        return len(self.data) < self._capacity or bool(self.receivers.waiters)

    def put(self, value: T) -> bool:
        """Place `value`, or drop one as the overflow says; return False if it has to wait.

        Raises:
            BufferOverflow: there is no room and `overflow` is "fail".
        """
        if self.receivers.waiters:
            self.received += 1
            self.arriving += 1
            waiter = self.receivers.pop_first()
            waiter.value = value
            waiter.wake()
        elif len(self.data) < self._capacity:
            self.data.append(value)
        else:
            return self._put_into_full(value)
        self._renew_limit()
        return True

    def put_many(self, batch: Sequence[T], start: int) -> int:
        """Append messages from `start` on while there is plain room; return how many."""
        if self.receivers.waiters or not self.open_receivers:
            return 0
        room = min(self._capacity - len(self.data), len(batch) - start)
        self.data.extend(islice(batch, start, start + int(room)))
        self._renew_limit()
        return int(room)

    def take(self) -> T:
        """Take the oldest message; one must be buffered, or a sender waiting."""
        self.received += 1
        if not self.waiting_senders:
            return self.data.popleft()
        waiter = self.senders.pop_first()
        self.data.append(waiter.value)
        del waiter.value
        waiter.wake()
        return self.data.popleft()

    def take_many(self, count: int) -> list[T]:
        """Take the oldest `count` messages, or fewer if there are fewer."""
        taken: list[T] = []
        while len(taken) < count and (self.data or self.waiting_senders):
            taken.append(self.take())
        return taken

    def close_sender(self) -> None:
        self.open_senders -= 1
        if not self.open_senders:
            self.receivers.fail_all(ended)

    def close_receiver(self) -> None:
        self.open_receivers -= 1
        if not self.open_receivers:
            self.limit = 0
            self.senders.fail_all(broken)
            if self.data:
                self._drop("closed", len(self.data))
                self.data.clear()

    def statistics(self) -> ChannelStatistics:
        return ChannelStatistics(
            current_buffer_used=len(self.data),
            max_buffer_size=self._capacity,
            open_send_channels=self.open_senders,
            open_receive_channels=self.open_receivers,
            tasks_waiting_send=len(self.senders.waiters),
            tasks_waiting_receive=len(self.receivers.waiters),
            peak_buffer_used=self._peak,
            sent=self.received + sum(self._dropped.values()) + len(self.data),
            received=self.received,
            dropped=self._dropped.copy(),
            blocked_s=self.senders.waited_s(),
            starved_s=self.receivers.waited_s(),
        )

    def _put_into_full(self, value: T) -> bool:
        if self.overflow == "block":
            return False
        if self.overflow == "fail":
            raise BufferOverflow("this channel", self._capacity)
        if self.overflow != "drop_newest":
            oldest = self.data.popleft()
            self.data.append(value)
            # Let go of it last: its finalizer may be code that uses this channel.
            self._drop(self.overflow, 1)
            del oldest
        else:
            self._drop(self.overflow, 1)
        return True

    def _drop(self, reason: str, count: int) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _renew_limit(self) -> None:
        if len(self.data) > self._peak:
            self._peak = len(self.data)
        self.limit = 0 if self.receivers.waiters else self._peak
