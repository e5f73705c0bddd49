"""An edge whose reader is on the host's side: its buffer is read from there, without a relay.

The lane belongs to the far side as every other does, and its sender does not know the difference. A
deque may be read from another thread, so that a message costs nothing more to cross. Whatever else
is to be done (to wake senders, to arm the lane, to settle) is done by jobs that the reader posts.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ...channels._block import Block
from ...channels._envelope import Envelope
from ...channels._inbox import EndOfInput
from ...channels._lane import Lane
from ...channels._tracking import settle_piece
from .._stream import Stream
from ._far import Far, FarSideEnded, ForkedAway

CROSSING = 1_024
"""Messages that may be under way to the host beside those that the edge holds."""
LOT = 256
"""Messages that are read between two looks at senders that wait for room, at most."""


class Crossing:
    """The way of one stream to the host, which calls `open` and `close` there, all else itself."""

    def __init__(self, stream: Stream, far: Far, wake: Callable[[], object]) -> None:
        """Prepare.

        Args:
            stream: not open yet.
            wake: has the reader look again; called on the far side, or once that has ended.
        """
        self.stream = stream
        self._far = far
        self._wake = wake
        self._lane: Lane | None = None
        self._is_pressed = False
        """Whether senders wait for room."""
        self.buffer: deque[Envelope[Any]] = deque()
        """What the reader pops from; only as often as `lot` has said."""
        self._is_over = False

    # -- the host's side ---------------------------------------------------------------------

    def lot(self) -> int:
        """Return how many messages may be read now; 0: none is here, and `wake` will be called.

        Raises:
            StopIteration: no more come, and all were read.
        """
        is_over = self._is_over  # first: what was placed before that is seen below
        assert self._lane is not None
        buffer = self._lane.buffer
        ready = len(buffer)
        if ready:
            self.buffer = buffer
            if self._is_pressed:
                self._post(self._release)
            return min(ready, LOT)
        if is_over:
            raise StopIteration
        self._post(self._look)
        return 0

    def settle(self, envelope: Envelope[Any]) -> None:
        """Tell whoever follows a message that it has been read."""
        self._post(partial(settle_piece, self, envelope, "acknowledged"))

    def open_late(self) -> None:
        """Begin to read what has nothing more: the far side has ended."""
        if self._lane is None:
            self._lane = self.stream.open_lane(self, CROSSING)
        self._is_over = True

    def take(self, n: int) -> list[Any]:
        """Return up to `n` messages of those that `lot` has told of; dropped ones are fewer."""
        found: list[Any] = []
        with suppress(IndexError):
            while len(found) < n:
                envelope = self.buffer.popleft()
                if envelope.context.tracking:
                    self.settle(envelope)
                found.append(envelope.payload)
        return found

    def end(self) -> EndOfInput:
        """Return the error of who asks for more than there is."""
        return EndOfInput("the node's output has ended, and everything was read", self)

    def close_soon(self) -> None:
        """Stop reading, though nobody waits for it, and nobody knows whether reading has begun."""
        with suppress(FarSideEnded, ForkedAway):
            self._far.post(self._close)

    def _post(self, job: Callable[[], object]) -> None:
        try:
            self._far.post(job)
        except FarSideEnded:
            self.far_has_ended()

    # -- the far side ------------------------------------------------------------------------

    async def open(self) -> None:
        """Begin to read."""
        self._far.when_ended.append(self.far_has_ended)
        self._lane = self.stream.open_lane(self, CROSSING)

    async def close(self) -> None:
        """Stop reading; the graph goes on without this reader."""
        self._close()

    def _close(self) -> None:
        self.forget()
        if self._lane is not None:
            self.stream.close_lane(self._lane)
            self.buffer.clear()  # a loop that goes on all the same finds nothing of it

    def forget(self) -> None:
        """Hear no more of the far side's end. Safe on either side, and once more."""
        with suppress(ValueError):
            self._far.when_ended.remove(self.far_has_ended)

    def far_has_ended(self) -> None:
        """Hear that nothing can come any more."""
        self._is_over = True
        self._wake()

    def _look(self) -> None:
        """Wake the reader that has read everything, or see to it that the next message does."""
        lane = self._lane
        assert lane is not None
        lane.note_depth()
        self._release()
        if lane.buffer:
            self._wake()
        elif lane.is_over():
            self.far_has_ended()
        else:
            lane.armed = True
            lane.limit = 0

    def _release(self) -> None:
        lane = self._lane
        assert lane is not None
        if self._is_pressed:
            self._is_pressed = not lane.release()

    # -- what the lane asks of its reader ----------------------------------------------------

    def notice(self, lane: Lane) -> None:
        if lane.ended:
            self._is_over = True
        self._wake()

    def press(self, lane: Lane) -> None:
        self._is_pressed = True

    def is_waiting(self) -> bool:
        return True  # asked at a capacity of 0, which no crossing has

    def offer(self, lane: Lane, block: Block) -> bool:
        return False
