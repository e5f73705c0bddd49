"""An edge: the bounded, typed lane from one sender into one inbox.

The sender's fast path is one comparison, `sent < limit`: up to that position there is room whatever
the reader does. Every rare case (reader waiting, buffer full, lane closed, time slice spent) lowers
`limit`, so that the one comparison covers it.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ._block import Block
from ._envelope import Envelope, MessageContext, Origin
from ._meter import MAX_CHUNK
from ._overflow import BufferOverflow, OverflowPolicy
from ._parking import ParkingBay
from ._tracking import Outcome, settle_piece

DropHook = Callable[["Lane", Envelope[Any], str], None]


class Reader(Protocol):
    """What a lane asks of the inbox at its end."""

    def notice(self, lane: "Lane") -> None:
        """Hear that an armed lane has a message or has ended."""
        ...

    def press(self, lane: "Lane") -> None:
        """Hear that a sender waits for room."""
        ...

    def is_waiting(self) -> bool:
        """Return whether a task waits for a message: capacity 0 hands over only to one."""
        ...

    def offer(self, lane: "Lane", block: Block) -> bool:
        """Take a whole block for a task that waits for one; False: it must go into the buffer."""
        ...


NOTHING_YET: Any = ()
"""Stands for a buffer until the first message: an empty deque costs 0.7 KiB."""


NOBODY = ParkingBay()
"""Where no sender has ever waited."""


class Lane:
    """One edge: a single outlet sends, a single inbox reads. FIFO."""

    __slots__ = (
        "armed",
        "behind_first",
        "blocked",
        "buffer",
        "capacity",
        "chunk",
        "dropped",
        "ended",
        "fate",
        "handed",
        "limit",
        "on_drop",
        "overflow",
        "peak",
        "reader",
        "reader_gone",
        "sent",
        "source",
        "target",
        "weak",
    )

    def __init__(
        self,
        source: str,
        target: str,
        reader: Reader,
        *,
        capacity: float = 64,
        overflow: OverflowPolicy = "block",
        on_drop: DropHook | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.reader = reader
        self.capacity = 1 if overflow == "latest" else capacity
        self.overflow: OverflowPolicy = overflow
        is_short = overflow == "block" and 1 <= capacity <= MAX_CHUNK
        self.behind_first = int(capacity) - 1 if is_short else -1
        """Of a lane that never drops, and whose sender has to wait after a chunk at most: how many
        messages fit behind the first. -1 for any other lane."""
        self.on_drop = on_drop
        self.buffer: deque[Envelope[Any]] = NOTHING_YET
        self.limit = 0
        self.chunk = 1
        """Sends that may follow one another before the sender looks at the clock again."""
        self.sent = 0
        self.peak = 0
        self.dropped: Mapping[str, int] = {}
        self.armed = True
        """The reader wants to hear of the next message. Only an empty, open lane is armed."""
        self.ended = False
        self.handed = 0
        """Messages of a block that the reader has been given but has not taken up yet."""
        self.reader_gone = False
        self.fate: Outcome = "dropped"
        """What a reader that is gone has made of the messages that it did not take."""
        self.weak = False
        """Whether its reader's input may end without it (an inlet of a node with upstreams)."""
        self.blocked = NOBODY
        """Where senders wait for room; one of its own from the first wait on."""

    # -- the sender's side -------------------------------------------------------------------

    def is_over(self) -> bool:
        """Return whether no further message can reach the reader."""
        return self.ended or self.reader_gone

    def is_full(self) -> bool:
        """Return whether a sender has to wait."""
        if self.overflow != "block" or self.is_over():
            return False
        if self.capacity == 0:
            return bool(self.buffer) or not self.reader.is_waiting()
        return len(self.buffer) + self.handed >= self.capacity

    def has_room(self) -> bool:
        """Return whether a message can be placed at once, and at no other's cost."""
        return not (self.is_over() or self.is_full() or self.would_drop())

    def would_drop(self) -> bool:
        """Return whether the next message costs one, or is refused."""
        return self.overflow != "block" and len(self.buffer) >= self.capacity

    @property
    def queued(self) -> int:
        return len(self.buffer) + self.handed

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    async def wait_room(self) -> None:
        """Wait until the reader has made room, or the stream is over. Look again afterwards."""
        self.note_depth()
        self.reader.press(self)
        if self.blocked is NOBODY:
            self.blocked = ParkingBay()
        await self.blocked.park()

    def check_room(self) -> None:
        """Refuse a message before any lane of its broadcast has it.

        Raises:
            BufferOverflow: the policy is `fail` and the buffer is full.
        """
        if self.overflow == "fail" and self.would_drop() and not self.is_over():
            raise BufferOverflow(f"edge {self.name}", self.capacity)

    def place(
        self, payload: Any, context: MessageContext, origin: Origin | None, resent: bool
    ) -> None:
        """Append one message, or drop one as the overflow policy says. Never waits.

        It is the first of `chunk` sends; the others, as far as they fit, may take the fast path.
        """
        self.sent += 1
        envelope = Envelope(payload, self.source, self.sent, 1, context, origin, resent)
        if not self.armed:  # armed: empty and open
            over = self.is_over()
            if (over or self.would_drop()) and not self._drop_one(envelope, over):
                return
        if self.buffer is NOTHING_YET:
            self.buffer = deque()
        self.buffer.append(envelope)
        self._after_placing()

    def place_many(self, block: Block) -> None:
        """Append messages for which there is room (overflow "block" only)."""
        n = len(block.payloads)
        self.sent += n
        if self.armed and not self.buffer and self.reader.offer(self, block):
            self.armed = False
            self.handed = n
        else:
            if self.buffer is NOTHING_YET:
                self.buffer = deque()
            self.buffer.extend(block.envelopes())
        self._after_placing()

    def _after_placing(self) -> None:
        if self.armed:
            self.armed = False
            self.reader.notice(self)
        room = self.capacity - len(self.buffer) - self.handed
        more = self.chunk - 1
        self.limit = self.sent + (more if more < room else int(room))

    def _drop_one(self, envelope: Envelope[Any], over: bool) -> bool:
        """Make room by the policy; return False if it is the new message that was dropped."""
        if over or self.overflow == "drop_newest":
            self.drop(envelope, "reader_ended" if over else "drop_newest")
            return False
        try:
            oldest = self.buffer.popleft()
        except IndexError:  # a reader in another thread has just taken it
            return True
        self.drop(oldest, self.overflow)
        return True

    def drop(self, envelope: Envelope[Any], reason: str) -> None:
        """Count a message that nobody will handle, and show it to whoever keeps such messages."""
        if envelope.context.tracking:
            outcome = self.fate if reason == "reader_ended" else "dropped"
            settle_piece(self.reader, envelope, outcome, f"{self.target}: {reason}")
        counts = dict(self.dropped)
        counts[reason] = counts.get(reason, 0) + 1
        self.dropped = counts
        if self.on_drop is not None:
            self.on_drop(self, envelope, reason)

    def end(self) -> None:
        """End the stream: the reader takes what is buffered, then sees the end. Idempotent.

        Whoever waits for room is refused: the reader may see the end before that message.
        """
        if not self.ended:
            self.ended = True
            self.limit = 0
            self.blocked.wake()
            if self.armed:
                self.armed = False
                self.reader.notice(self)

    # -- the reader's side -------------------------------------------------------------------

    def note_depth(self) -> None:
        """Let the peak know how many messages are queued now."""
        depth = self.queued
        if depth > self.peak:
            self.peak = depth

    def release(self, *, makes_room: bool = False) -> bool:
        """Wake the waiting senders if there is room again; return whether none waits any more."""
        if self.blocked.parked is not None and (makes_room or not self.is_full()):
            self.blocked.wake()
        return self.blocked.parked is None

    def leave(self, *, fate: Outcome = "dropped") -> Sequence[Envelope[Any]]:
        """Close the reader's side: what is buffered, and what comes, is dropped and counted.

        Args:
            fate: "abandoned" if the reader would have taken more, had it not been stopped.
        """
        self.fate = fate
        left = tuple(self.buffer)
        self.reader_gone = True
        self.armed = False
        self.limit = 0
        self.buffer = NOTHING_YET
        for envelope in left:
            self.drop(envelope, "reader_ended")
        self.blocked.wake()
        return left
