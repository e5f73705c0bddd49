"""The general channel: many senders, many receivers, trio's and anyio's interfaces."""

from collections.abc import Callable
from typing import TypeVar

from ._channel_state import ChannelState
from ._meter import Meter, SliceMeter
from ._overflow import OverflowPolicy, check_capacity, check_overflow
from ._receive_channel import ReceiveChannel
from ._send_channel import SendChannel

T = TypeVar("T")


# A class, and named like a function, so that one can write open_channel[int](64); trio does so too.
class open_channel(tuple[SendChannel[T], ReceiveChannel[T]]):
    """Open a channel for messages between tasks of one process.

    A drop-in for `trio.open_memory_channel`, with one difference: an operation that need not wait
    is not always a cancel point. A task lets others run at the end of each time slice (250 µs).

    Args:
        max_buffer_size: messages that may wait in the channel; 0 hands over directly, `math.inf`
            never blocks.
        overflow: what happens to a message for which there is no room. "block": its sender waits.
            "drop_oldest" and "drop_newest": one is dropped. "latest": the channel keeps the newest
            one, whatever `max_buffer_size`. "fail": `send` raises `trouper.BufferOverflow`.
        meter: makes the meter of one channel end's time slices; every end and every clone has its
            own. `partial(OperationMeter, 1)` yields at every operation but the first of a slice.

    Returns:
        A pair: messages go in on the left, `SendChannel[T]`, and out on the right,
        `ReceiveChannel[T]`.

    Raises:
        TypeError: `max_buffer_size` is neither an int nor math.inf.
        ValueError: it is negative, or 0 with another overflow than "block"; or there is no such
            overflow.
    """

    def __new__(  # type: ignore[misc]  # as in trio: a pair of channels, not a subclass of one
        cls,
        max_buffer_size: float,
        *,
        overflow: OverflowPolicy = "block",
        meter: Callable[[], Meter] | None = None,
    ) -> tuple[SendChannel[T], ReceiveChannel[T]]:
        owner = "open_channel (max_buffer_size)"
        policy = check_overflow(overflow, owner=owner)
        capacity = check_capacity(max_buffer_size, overflow=policy, owner=owner)
        state: ChannelState[T] = ChannelState(capacity, policy)
        new_meter = SliceMeter if meter is None else meter
        return SendChannel(state, new_meter), ReceiveChannel(state, new_meter)

    def __init__(
        self,
        max_buffer_size: float,
        *,
        overflow: OverflowPolicy = "block",
        meter: Callable[[], Meter] | None = None,
    ) -> None: ...


open_channel.__module__ = "trouper"
