"""Another bound for an edge that is in use: how many messages may wait, and what one more does.

What was accepted stays, but for what the new policy itself would have dropped.
"""

from ._lane import Lane
from ._meter import MAX_CHUNK
from ._overflow import OverflowPolicy


def rebound(lane: Lane, capacity: float, overflow: OverflowPolicy) -> None:
    """Let a lane have another bound from now on; whoever waits for room looks again."""
    lane.capacity = 1 if overflow == "latest" else capacity
    lane.overflow = overflow
    is_short = overflow == "block" and 1 <= capacity <= MAX_CHUNK
    lane.behind_first = int(capacity) - 1 if is_short else -1
    lane.limit = 0
    if overflow in ("drop_oldest", "drop_newest", "latest") and len(lane.buffer) > lane.capacity:
        # The reader has been told how many messages it may take without looking.
        lane.reader.press(lane)
        while len(lane.buffer) > lane.capacity:
            is_newest = overflow == "drop_newest"
            lane.drop(lane.buffer.pop() if is_newest else lane.buffer.popleft(), overflow)
    lane.release()
