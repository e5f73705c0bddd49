"""When a busy end lets others run."""

import math

import pytest
import trio

from harness.edges import connect, drain, open_edge, open_outlet, take
from trouper import Meter, OperationMeter, SliceMeter
from trouper.channels import _meter
from trouper.channels._inbox import Inbox
from trouper.channels._meter import Pace


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SliceMeter(0), "slice must be > 0 s, got 0; math.inf never yields"),
        (lambda: SliceMeter(math.nan), "slice must be > 0 s, got nan"),
        (lambda: OperationMeter(0), "must be >= 1, got 0 and 64"),
        (lambda: OperationMeter(1, 0), "must be >= 1, got 1 and 0"),
    ],
)
def test_bad_slices_are_refused(make: object, text: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=text):
        make()


class Clock:
    """Stands for perf_counter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(_meter, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_chunks_double_while_operations_cost_nothing(clock: Clock) -> None:
    meter = SliceMeter(250e-6)
    assert meter.restart() == 1
    chunks, used = [], 1
    for _ in range(8):
        used = meter.grant(used)
        chunks.append(used)
    assert chunks == [2, 4, 8, 16, 32, 64, 64, 64]


def test_a_chunk_is_no_longer_than_what_is_left_of_the_slice(clock: Clock) -> None:
    meter = SliceMeter(1.0)
    used = meter.restart()
    for _ in range(5):
        clock.now += 0.001 * used
        used = meter.grant(used)
    assert used == 32
    clock.now += 0.32  # ten times slower, all of a sudden
    # 0.351 of 1.0 are gone, and 10 ms each: 64 fit, but not a millisecond later.
    assert meter.grant(32) == 64
    clock.now += 0.60
    assert meter.grant(60) == 4
    clock.now += 0.049
    assert meter.grant(4) == 0


def test_the_first_chunk_of_a_slice_is_what_the_last_one_says_fits(clock: Clock) -> None:
    meter = SliceMeter(1.0)
    meter.restart()
    clock.now += 2.0
    assert meter.grant(20) == 0
    assert meter.restart() == 10
    clock.now += 5.0
    assert meter.grant(1) == 0
    assert meter.restart() == 1


def test_a_slice_without_end_never_yields(clock: Clock) -> None:
    meter = SliceMeter(math.inf)
    used = meter.restart()
    for _ in range(100):
        clock.now += 1e6
        used = meter.grant(used)
        assert used >= 1


def test_a_slice_that_the_clock_is_too_coarse_for_starts_small(clock: Clock) -> None:
    """The sibling began a new slice after this end's last look, and it is spent at once."""
    meter = SliceMeter(0.5)
    sibling = meter.sibling()
    for _ in range(3):
        assert meter.grant(10) > 0
    clock.now += 1.0
    sibling.restart()
    assert sibling.restart() == 1
    assert meter.grant(5) > 0
    clock.now += 0.5
    assert meter.grant(5) == 0


async def test_a_pace_reads_the_clock_after_a_chunk_and_waits_after_a_slice() -> None:
    pace = Pace(OperationMeter(5, chunk=3))
    seen: list[int] = []

    async def other() -> None:
        while True:
            seen.append(pace.left)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        assert pace.left == 3
        pace.left = 0
        await pace.breathe()
        assert (pace.left, seen) == (2, [])
        pace.left = 0
        await pace.breathe()  # the slice is spent; who runs meanwhile has a new one
        assert set(seen) == {3}
        nursery.cancel_scope.cancel()


def test_siblings_share_the_slice_and_not_the_chunk(clock: Clock) -> None:
    meter = SliceMeter(1.0)
    other = meter.sibling()
    for used in (1, 2, 4, 8):
        meter.grant(used)
    assert other.grant(1) == 2
    clock.now += 0.9
    assert meter.grant(9) == 1
    other.restart()
    clock.now += 0.2
    # Since the other end's restart only 0.2 have gone.
    assert meter.grant(2) > 0
    clock.now += 0.9
    assert (meter.grant(9), other.grant(1)) == (0, 0)


def test_operations_are_counted_together() -> None:
    meter = OperationMeter(10, chunk=4)
    other = meter.sibling()
    assert (meter.restart(), meter.grant(4), other.grant(3)) == (4, 4, 3)
    assert (meter.grant(3), other.grant(1)) == (0, 0)
    assert (other.restart(), meter.grant(0)) == (4, 4)


class Passes:
    """Counts how often others get to run: a task that does nothing else."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.count = 0
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.count += 1


@pytest.mark.parametrize("operations", [1, 5, 20, 64])
async def test_a_reader_yields_exactly_when_its_operations_are_spent(operations: int) -> None:
    outlet, _, inbox = open_edge(math.inf, meter=OperationMeter(operations))
    await outlet.put_many(range(200))
    async with trio.open_nursery() as nursery:
        passes = Passes(nursery)
        await trio.lowlevel.checkpoint()
        start, changed, before = passes.count, list[int](), passes.count
        inbox.meter.restart()
        for number in range(200):
            await take(inbox)
            if passes.count != before:
                changed.append(number)
                before = passes.count
        nursery.cancel_scope.cancel()
    spent = list(range(operations, 200, operations))
    # Trio shuffles: a yield of two checkpoints lets the other one run once to three times.
    assert set(changed) <= set(spent)
    assert len(changed) >= len(spent) - 1
    assert passes.count - start <= 3 * len(spent) + 1


class Counting:
    """A meter that notes every yield: it grants `size` operations at a time, then none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used: list[int] = []
        self.restarts = 0

    def restart(self) -> int:
        self.restarts += 1
        return self.size

    def grant(self, used: int) -> int:
        self.used.append(used)
        return 0

    def sibling(self) -> Meter:
        return self


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_a_sender_asks_once_a_chunk_and_tells_how_many_it_sent(size: int) -> None:
    meter = Counting(size)
    outlet = open_outlet("a", meter)
    lane = connect(outlet, Inbox("r"), math.inf)
    sent = 0
    while sent < 3 * size:
        # As the fast path of an actor's send does.
        room = lane.limit - lane.sent
        if room > 0:
            lane.buffer.extend([lane.buffer[0]] * room)
            lane.sent += room
            sent += room
        else:
            await outlet.put("x")
            sent += 1
    assert meter.used == [1, size, size]
    assert meter.restarts == 3


@pytest.mark.parametrize("size", [1, 3])
async def test_a_reader_asks_once_a_chunk_and_tells_how_many_it_took(size: int) -> None:
    meter = Counting(size)
    outlet = open_outlet()
    inbox = Inbox("r", meter)
    connect(outlet, inbox)
    await outlet.put_many(range(12))
    outlet.end()
    assert len(await drain(inbox)) == 12
    assert meter.used == [0, *[size] * (12 // size - 1)]


async def test_an_output_that_nobody_reads_lets_others_run_too() -> None:
    outlet = open_outlet("a", OperationMeter(10))
    with trio.move_on_after(0) as scope:
        for number in range(100):
            await outlet.put(number)
    assert scope.cancelled_caught
    assert 8 <= outlet.last <= 10
    assert outlet.lineage.next_origin() is None
