"""The receiving end of several lanes: one task waits for whichever has a message first."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import trio
from trio.lowlevel import current_task, reschedule, wait_task_rescheduled

from ._block import Block
from ._channel_errors import ClosedResourceError
from ._envelope import Envelope
from ._fan_in import Join
from ._lane import Lane
from ._meter import Meter, SliceMeter, let_others_run
from ._parking import GO, ParkingBay
from ._tracking import Outcome


class EndOfInput(trio.EndOfChannel):
    """Every sender into an inbox has ended, and it is empty.

    Attributes:
        inbox: the inbox that ended. An actor that lets the end of its own inbox out of `run()` has
            ended normally; the end of any other channel is a failure.
    """

    def __init__(self, message: str, inbox: object) -> None:
        super().__init__(message)
        self.inbox = inbox


_NONE_READY: Any = ()
"""Stands for an empty deque, which costs 0.7 KiB."""


class Heads(Protocol):
    """What the next message is popped from."""

    def popleft(self) -> Envelope[Any]: ...


class Inbox(ParkingBay):
    """Lanes joined round robin: FIFO within a lane, no order between lanes.

    A reader works through *credit*: so many messages may be popped before the next look at the
    clock, at waiting senders and at ends. Whoever needs that look at once sets `credit` to 0.
    """

    __slots__ = (
        "_granted",
        "_pressed",
        "_waiting",
        "block",
        "buffer",
        "closed",
        "credit",
        "join",
        "lanes",
        "meter",
        "most",
        "name",
        "nudged",
        "on_idle",
        "only",
        "ready",
        "turns",
    )

    def __init__(self, name: str, meter: Meter | None = None, join: Join | None = None) -> None:
        super().__init__()
        self.name = name
        self.join = join
        self.lanes: tuple[Lane, ...] = ()
        self.only: Lane | None = None
        """The lane, when there is just one: most inboxes, and the shorter way."""
        self.meter: Meter = SliceMeter() if meter is None else meter
        self.block: Block | None = None
        """Messages handed over in bulk, for the task that waits in `receive_many`."""
        self.most = 0
        """How long a block that task takes; 0: none waits there."""
        self.credit = 0
        self._granted = 0
        self.buffer: Heads = self
        """What the next message is popped from, with credit: the only lane's buffer, or this."""
        self.ready: deque[Lane] = _NONE_READY
        """With several lanes: those that hold messages, in the order of their turns."""
        self.on_idle: Callable[[], None] | None = None
        """Told before a wait for input: where a cycle finds out that it has run dry."""
        self.nudged = False
        """Whether the task that waits, or will, is to come back without a message."""
        self.turns = False
        """Whether even a single lane goes through `ready`: its messages are handed out keyed."""
        self._pressed: dict[Lane, None] = {}
        """Lanes whose senders wait for room."""
        self._waiting = False
        self.closed = False

    def add_lane(self, lane: Lane) -> None:
        """Join one more lane. It may be added while tasks wait."""
        self.credit = 0
        if self.only is not None:
            self._take_turns(self.only)
        self.lanes = (*self.lanes, lane)
        self.only = lane if len(self.lanes) == 1 and self.join is None and not self.turns else None

    def _take_turns(self, first: Lane) -> None:
        """From here on a lane stands in `ready` exactly while it holds messages."""
        first.armed = not first.buffer and not first.ended
        first.limit = 0
        if first.buffer:
            self._queue(first)

    def _queue(self, lane: Lane) -> None:
        if self.ready is _NONE_READY:
            self.ready = deque()
        self.ready.append(lane)

    # -- what lanes say ----------------------------------------------------------------------

    def notice(self, lane: Lane) -> None:
        if self.only is None and self.join is None and lane.buffer:
            self._queue(lane)
        task = self.parked
        if task is not None:  # as `wake`, without a call
            self.parked = None
            self._waited += self._now() - self._since
            reschedule(task, GO)

    def press(self, lane: Lane) -> None:
        self._pressed[lane] = None
        # From now on each message taken makes room for it at once: no credit runs ahead of that.
        self._granted -= self.credit
        self.credit = 0

    def is_waiting(self) -> bool:
        return self._waiting

    def offer(self, lane: Lane, block: Block) -> bool:
        if self.parked is None or self.only is not lane or len(block.payloads) > self.most:
            return False
        self.block = block
        # Rescheduled, that task can't be cancelled before it has taken the block.
        self.wake()
        return True

    # -- what the reading task does ----------------------------------------------------------

    def has_message(self) -> bool:
        if self.only is not None:
            return bool(self.only.buffer)
        return bool(self.ready) if self.join is None else self.join.has_message(self.lanes)

    def at_end(self) -> bool:
        """Return whether no message is here and none can come."""
        if self.join is not None:
            return self.join.at_end(self.lanes)
        only = self.only
        if only is not None:
            return (only.ended or only.weak) and not only.buffer
        return not self.ready and all(lane.ended or lane.weak for lane in self.lanes)

    async def wait(self) -> None:
        """Wait until a message can be popped; there is `credit` then. Takes nothing.

        Without credit it was `nudge` that ended the wait.

        Raises:
            EndOfInput: every lane has ended and is empty.
            ClosedResourceError: this inbox was closed.
        """
        used = self._granted - self.credit
        self.credit = self._granted = 0
        only = self.only
        if self.has_message() if only is None else only.buffer:
            chunk = self.meter.grant(used)
            if not chunk:
                await self._let_others_run()
                if not self.has_message():
                    return await self.wait()
                chunk = self.meter.restart()
        else:
            while self.block is None and not (self.has_message() if only is None else only.buffer):
                if self.nudged:
                    self.nudged = False
                    return
                self._prepare_to_park()
                try:
                    await wait_task_rescheduled(self.enter(current_task()))
                finally:
                    self._waiting = False
                only = self.only
            chunk = self.meter.restart()
        self._grant(chunk)
        if self._pressed:
            self._release(about_to_pop=True)

    def nudge(self) -> None:
        """End the wait that goes on, or else the next one, though there may be no message."""
        self.nudged = True
        if self.parked is not None:
            self.wake()

    def pop(self) -> Envelope[Any]:
        """Take the next message; only with credit."""
        self.credit -= 1
        return self.buffer.popleft()

    def popleft(self) -> Envelope[Any]:
        """Take the head of the lane whose turn it is; that lane goes to the back of the queue."""
        if self.join is not None:
            return self.join.take(self.name, self.lanes)
        ready = self.ready
        lane = ready[0]
        envelope = lane.buffer.popleft()
        if lane.buffer:
            ready.rotate(-1)
        else:
            self.take_out(lane)
        return envelope

    def take_out(self, lane: Lane) -> None:
        """Take the first of the ready lanes out of the turns: it is empty now."""
        self.ready.popleft()
        if not lane.ended:
            lane.armed = True
            lane.limit = 0

    def close(self, fate: Outcome = "dropped") -> None:
        """Close the receiving end: what is left in the lanes is dropped and counted.

        Args:
            fate: see `Lane.leave`.
        """
        self.closed = True
        self.credit = 0
        self.ready = _NONE_READY
        if self.join is not None:
            self.join.close(self.lanes, fate)
        for lane in self.lanes:
            lane.leave(fate=fate)
        self._pressed.clear()
        if self.parked is not None:
            self.wake()

    # -- inner parts -------------------------------------------------------------------------

    async def _let_others_run(self) -> None:
        # To a capacity of 0 this is a task that waits: nothing is handed over at any other time.
        self._waiting = True
        if self._pressed:
            self._release()
        try:
            await let_others_run()
        finally:
            self._waiting = False

    def _prepare_to_park(self) -> None:
        if self.closed:
            raise ClosedResourceError(f"{self.name!r} was closed on this side: stop reading it")
        if self.on_idle is not None:
            self.on_idle()
        only = self.only
        if only is not None and not (only.ended or only.weak):
            if not only.armed:
                only.armed = True
                only.limit = 0
        elif self.at_end():
            raise EndOfInput(f"the input of {self.name!r} has ended", self)
        else:
            for lane in self.lanes:
                if not (lane.armed or lane.ended or lane.buffer):
                    lane.armed = True
                    lane.limit = 0
        # Set before the senders look: capacity 0 hands over only to a task that waits.
        self._waiting = True
        if self._pressed:
            self._release()

    def _release(self, *, about_to_pop: bool = False) -> None:
        """Wake senders that have room again.

        Args:
            about_to_pop: the next message is taken before anybody else runs, which makes room.
        """
        next_one = self.only or (self.ready[0] if self.ready else None)
        for lane in tuple(self._pressed):
            makes_room = about_to_pop and lane is next_one and lane.capacity > 0
            if lane.release(makes_room=makes_room):
                del self._pressed[lane]

    def _grant(self, chunk: int) -> None:
        only = self.only
        if only is not None:
            self.buffer = only.buffer
            depth = len(only.buffer)
            if depth > only.peak:
                only.peak = depth
        else:
            self.buffer = self
            depth = 1 if self.join is not None else self._depth(chunk)
        self.credit = self._granted = min(chunk, depth)

    def _depth(self, enough: int) -> int:
        depth = 0
        for lane in self.ready:
            queued = len(lane.buffer)
            if queued > lane.peak:
                lane.peak = queued
            depth += queued
            if depth >= enough:
                break
        return depth


EndOfInput.__module__ = "trouper"
