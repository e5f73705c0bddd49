"""A map over a stream under any pace and any failures: nothing lost, nothing doubled, in order."""

from collections import Counter

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts

PACES = st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=25)


@settings(max_examples=120)
@given(
    paces=PACES,
    failing=st.dictionaries(st.integers(0, 24), st.integers(1, 3), max_size=5),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
    shutdown=st.sampled_from([0.5, 5.0, 100.0]),
    capacity=st.integers(0, 3),
)
def test_results_are_those_of_a_plain_loop(
    paces: list[float],
    failing: dict[int, int],
    concurrency: int,
    ordered: bool,
    shutdown: float,
    capacity: int,
) -> None:
    """P13: `failing` tells how often a call for an item fails; after two attempts it is skipped."""
    got: list[int] = []
    calls: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    in_flight: list[int] = []
    most = 0

    async def call(number: int) -> int:
        nonlocal most
        calls[number] += 1
        in_flight.append(number)
        most = max(most, len(in_flight))
        try:
            await trio.sleep(paces[number])
            if failed[number] < failing.get(number, 0):
                failed[number] += 1
                raise OSError(number)
            return number
        finally:
            in_flight.remove(number)

    wf = trouper.Workflow("any")
    wf.actor(name="numbers")(counts(len(paces)))
    wf.map(
        call,
        over="numbers",
        name="map",
        concurrency=concurrency,
        ordered=ordered or concurrency == 1,
        max_attempts=2,
        max_restarts=1000,
        backoff=trouper.Backoff(min=0),
        shutdown=shutdown,
    )
    wf.actor(name="sink", depends_on="map", capacity=capacity)(collects(got))
    result = trio.run(wf.execute, clock=MockClock(autojump_threshold=0))

    poison = {number for number, times in failing.items() if times >= 2 and number < len(paces)}
    expected = [number for number in range(len(paces)) if number not in poison]
    assert result.ok, result.reason
    assert (got if ordered or concurrency == 1 else sorted(got)) == expected
    assert sorted(letter.envelope.payload for letter in result.dead_letters) == sorted(poison)
    assert most <= concurrency
    assert not in_flight
    assert all(edge.is_closed for edge in result.edges)
