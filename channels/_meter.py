"""When a busy task must let others run.

An operation that need not wait is not always a cancel point. Instead a task works through *chunks*
of operations, looks at the clock once per chunk, and yields to others when its time slice is spent
(DESIGN section 3, "One documented departure from trio"). Lateness of others is bounded by one slice
plus one chunk of handlers for each busy task.
"""

from time import perf_counter
from typing import Protocol

import msgspec
import trio

MAX_CHUNK = 64
"""Operations. The most that run between two looks at the clock."""

DEFAULT_SLICE = 250e-6
"""Seconds. How long a task may run before it lets others run."""


async def let_others_run() -> None:
    """Yield at the end of a slice; a cancel point.

    trio runs what is due in batches, each in random order. A task whose time comes while a batch
    runs is in the next one, behind or before those who yield into it: so yield twice, and it has
    waited for one slice of each busy task, not two.
    """
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()


class Meter(Protocol):
    """Tells one task how much of its slice is left. Tests inject one that counts operations."""

    def restart(self) -> int:
        """Begin a new slice, after a wait or a yield; return the size of its first chunk, >= 1."""
        ...

    def grant(self, used: int) -> int:
        """Return the size of the next chunk, 1 to 64 operations; 0 when the slice is spent.

        Args:
            used: operations done since the last grant or restart.
        """
        ...

    def sibling(self) -> "Meter":
        """Return a meter of the same slice with chunks of its own, for the task's other end."""
        ...


class _Start(msgspec.Struct, gc=False):
    """When a slice began, for all of a task's meters: a wait at either end begins a new one."""

    at: float


class SliceMeter(msgspec.Struct, gc=False, eq=False):
    """Measures slices in seconds of the real clock, also when trio's clock is a mock.

    It holds numbers only, so the garbage collector need not know the two of each actor.
    """

    slice_s: float = DEFAULT_SLICE
    _start: _Start = msgspec.field(default_factory=lambda: _Start(perf_counter()))
    _chunk: int = 1
    _read_at: float = 0.0
    """When the clock was read last; before the slice began: not yet."""

    def __post_init__(self) -> None:
        if not self.slice_s > 0:
            raise ValueError(f"slice must be > 0 s, got {self.slice_s}; math.inf never yields")

    def sibling(self) -> "SliceMeter":
        return SliceMeter(self.slice_s, _start=self._start)

    def restart(self) -> int:
        self._start.at = self._read_at = perf_counter()
        return self._chunk

    def grant(self, used: int) -> int:
        now = perf_counter()
        started_at = self._start.at
        read_at = self._read_at
        took = now - (read_at if read_at > started_at else started_at)  # noqa: FURB136 - a call
        self._read_at = now
        left = self.slice_s - (now - started_at)
        # Chunks double, but never beyond what the last one says still fits into the slice.
        chunk = self._chunk * 2
        if chunk > MAX_CHUNK or left <= 0:
            chunk = MAX_CHUNK
        fitting = self.slice_s if left <= 0 else left
        if took * chunk > fitting * used:
            chunk = int(fitting * used / took) or 1
        self._chunk = chunk
        return chunk if left > 0 else 0


class OperationMeter:
    """Counts operations instead of time, so that a test's schedule is the same on every machine."""

    __slots__ = ("_chunk", "_left", "_operations")

    def __init__(self, operations: int, chunk: int = MAX_CHUNK, *, _left: list[int] | None = None):
        if operations < 1 or chunk < 1:
            raise ValueError(f"operations and chunk must be >= 1, got {operations} and {chunk}")
        self._operations = operations
        self._chunk = chunk
        self._left = [operations] if _left is None else _left

    def sibling(self) -> "OperationMeter":
        return OperationMeter(self._operations, self._chunk, _left=self._left)

    def restart(self) -> int:
        self._left[0] = self._operations
        return self._chunk_of_left()

    def grant(self, used: int) -> int:
        self._left[0] = max(0, self._left[0] - used)
        return self._chunk_of_left()

    def _chunk_of_left(self) -> int:
        return min(self._chunk, self._left[0])


class Pace:
    """The slices of many short operations of several tasks, of which one runs at a time.

    Each takes one from `left`; who finds nothing there calls `breathe`.
    """

    __slots__ = ("_granted", "_meter", "left")

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = SliceMeter() if meter is None else meter
        self.left = self._granted = self._meter.restart()
        """Operations until the clock is looked at."""

    async def breathe(self) -> None:
        """Look at the clock, and let others run at the end of a slice."""
        granted = self._meter.grant(self._granted)
        if granted:
            self.left = self._granted = granted
            return
        # A new slice begins before the wait: what runs meanwhile is in it.
        self.left = self._granted = self._meter.restart()
        await let_others_run()


for _public in (Meter, SliceMeter, OperationMeter):
    _public.__module__ = "trouper"
