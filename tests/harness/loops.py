"""What a loop takes, one message at a time: `aiter` gives another iterator than loops have."""

from collections.abc import AsyncIterable
from typing import TypeVar

T = TypeVar("T")


async def in_loop(messages: AsyncIterable[T]) -> T:
    """Return the first message of a loop that is left at once.

    Raises:
        StopAsyncIteration: the loop has had none.
    """
    async for message in messages:
        return message
    raise StopAsyncIteration
