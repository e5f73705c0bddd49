"""A token bucket: never more than its bound, never less than its due."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from trouper.actors._rate import Bucket, as_rate

RATES = st.builds(
    lambda n, per, burst: trouper.Rate(n, per, burst=max(burst, 1)),
    st.floats(0.1, 1000),
    st.floats(0.01, 100),
    st.floats(1, 50),
)


def test_a_burst_then_the_rate() -> None:
    """P15: two at once, then one each 25 ms."""
    bucket = Bucket.full(trouper.Rate(2, per=0.05), 10.0)
    assert bucket.whole() == 2
    bucket = bucket.spend().spend()
    assert bucket.whole() == 0
    assert bucket.ready_at() == pytest.approx(10.025)
    assert bucket.refilled(10.025).whole() == 1
    assert bucket.refilled(1000.0).whole() == 2


def test_less_than_one_message_a_second_still_passes_whole_messages() -> None:
    bucket = Bucket.full(trouper.Rate(0.5), 0.0)
    assert bucket.whole() == 1
    assert bucket.spend().ready_at() == pytest.approx(2)


@given(rate=RATES, gaps=st.lists(st.floats(0, 10), max_size=40))
def test_no_window_sees_more_than_its_bound(rate: trouper.Rate, gaps: list[float]) -> None:
    """P15: whoever asks as often as they like, in any window of t s: burst + t * rate."""
    now, bucket, passed = 0.0, Bucket.full(rate, 0.0), list[float]()
    for gap in gaps:
        now += gap
        bucket = bucket.refilled(now)
        while bucket.whole():
            bucket = bucket.spend()
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            bound = rate.burst + (passed[last] - start) * rate.per_s
            assert last - first + 1 <= bound + 1e-3


@given(rate=RATES, spent=st.integers(0, 200))
def test_when_it_says_ready_it_is(rate: trouper.Rate, spent: int) -> None:
    """Who sleeps until `ready_at` never finds it just too early."""
    bucket = Bucket.full(rate, 5.0).spend(spent)
    at = bucket.ready_at()
    assert bucket.refilled(at).whole() >= 1
    if bucket.whole() == 0:
        assert bucket.refilled(5.0 + (at - 5.0) * 0.99).whole() == 0


def test_a_higher_rate_holds_at_once() -> None:
    """A5, B7t: what it allows more passes now; what was waited for already counts."""
    empty = Bucket.full(trouper.Rate(2, per=100), 0.0).spend(2)
    assert empty.ready_at() == pytest.approx(50)
    raised = empty.at_rate(trouper.Rate(4, per=100), 10.0)
    assert raised.whole() == 2
    faster = empty.at_rate(trouper.Rate(2, per=1), 10.0)
    assert faster.ready_at() == pytest.approx(10 + 0.4)


def test_a_lower_rate_holds_at_once() -> None:
    """A5: nothing of the former burst is left."""
    full = Bucket.full(trouper.Rate(100), 0.0)
    lowered = full.at_rate(trouper.Rate(1), 1.0)
    assert lowered.whole() == 1
    assert lowered.spend().ready_at() == pytest.approx(2)


def test_a_number_is_messages_per_second() -> None:
    assert as_rate(5, owner="'a'") == trouper.Rate(5)
    assert as_rate(None, owner="'a'") is None
    assert as_rate(given := trouper.Rate(1, 2.0), owner="'a'") is given
    assert str(given) == "1 per 2 s"


@pytest.mark.parametrize("value", ["5", True, [1]])
def test_what_is_no_number_is_no_rate(value: Any) -> None:
    with pytest.raises(TypeError, match="rate of 'a' takes messages per second"):
        as_rate(value, owner="'a'")


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_rate_is_above_zero_and_finite(value: float) -> None:
    with pytest.raises(ValueError, match=r"rate of 'a' must be > 0 .*; leave it out"):
        as_rate(value, owner="'a'")
    with pytest.raises(ValueError, match="a rate needs n > 0"):
        trouper.Rate(value)
    with pytest.raises(ValueError, match="a rate needs n > 0"):
        trouper.Rate(1, per=value)


def test_a_burst_is_one_message_at_least() -> None:
    with pytest.raises(ValueError, match="burst of a rate must be >= 1"):
        trouper.Rate(5, burst=0.5)
    with pytest.raises(ValueError, match="burst of a rate must be >= 1 and finite, got 0"):
        trouper.Rate(5, burst=0)
    with pytest.raises(TypeError, match="burst of a rate takes a number, got 'x'"):
        trouper.Rate(5, burst="x")  # type: ignore[arg-type]  # the refusal is what is tested
    assert trouper.Rate(5, burst=1).burst == 1
    assert (trouper.Rate(5).burst, trouper.Rate(0.5).burst) == (5, 1)
