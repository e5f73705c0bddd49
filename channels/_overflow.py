"""How many messages may wait, and what happens to one more.

A `capacity` is an int >= 0 or `math.inf`; 0 is a rendezvous: a message goes from hand to hand.
`latest` keeps one message whatever the capacity.
"""

import math
from typing import Final, Literal, TypeGuard, get_args

from ._channel_errors import WouldBlock

OverflowPolicy = Literal["block", "drop_oldest", "drop_newest", "latest", "fail"]
"""What to do with a message for which there is no room: wait for room, make room, drop, fail."""

OVERFLOW: Final[tuple[OverflowPolicy, ...]] = get_args(OverflowPolicy)


class BufferOverflow(WouldBlock):
    """A message was refused: there is no room for it, and `overflow` is "fail".

    The refused message is still the sender's; nothing was dropped.
    """

    def __init__(self, owner: str, capacity: float) -> None:
        super().__init__(owner, capacity)
        self.owner = owner
        self.capacity = capacity

    def __str__(self) -> str:
        return (
            f"{self.owner} is full with {self.capacity} messages and overflow='fail': send again "
            "later, allow more with a larger capacity, or choose another overflow than 'fail'"
        )


BufferOverflow.__module__ = "trouper"


def is_overflow(overflow: object) -> TypeGuard[OverflowPolicy]:
    return isinstance(overflow, str) and overflow in OVERFLOW


def check_overflow(overflow: object, *, owner: str) -> OverflowPolicy:
    """Return `overflow` if it is a legal name.

    Raises:
        ValueError: it is not; the text lists those that are.
    """
    if is_overflow(overflow):
        return overflow
    legal = ", ".join(OVERFLOW)
    raise ValueError(f"overflow of {owner} can't be {overflow!r}; choose one of: {legal}")


def check_capacity(capacity: object, *, overflow: str, owner: str) -> int | float:
    """Return how many messages `owner` really keeps: `capacity`, or 1 if `overflow` is "latest".

    Raises:
        TypeError: `capacity` is neither an int nor math.inf.
        ValueError: it is negative, or 0 with an overflow that needs a buffer.
    """
    # True is an int for Python, and a slip in every call that we can think of.
    if isinstance(capacity, bool) or not (isinstance(capacity, int) or capacity == math.inf):
        raise TypeError(
            f"capacity of {owner} must be an int or math.inf, got {capacity!r} "
            f"({type(capacity).__name__}); write 64, not 64.0"
        )
    assert isinstance(capacity, int | float)
    if capacity < 0:
        raise ValueError(
            f"capacity of {owner} must be >= 0, got {capacity}; 0 hands over directly, "
            "math.inf never blocks"
        )
    if overflow == "latest":
        return 1
    if capacity == 0 and overflow != "block":
        raise ValueError(
            f"capacity of {owner} is 0, so there is no buffer for overflow={overflow!r} to keep; "
            "use a capacity >= 1, or overflow='block' to hand over directly"
        )
    return capacity
