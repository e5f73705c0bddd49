"""Runs of one seed after the other until the time of a soak is over."""

import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.schedules import run_on_mock_clock

EXPLORES = "TROUPER_SOAK_SECONDS" in os.environ
SECONDS = float(os.environ.get("TROUPER_SOAK_SECONDS", "10"))
SEED = os.environ.get("TROUPER_SOAK_SEED")


def soak(run: Callable[[int], Awaitable[None]]) -> None:
    """Run with as many seeds as there is time for; name the one that failed."""
    done = 0
    for seed in _seeds():
        try:
            _run_seeded(run, seed)
        except BaseException:
            print(f"\nTROUPER_SOAK_SEED={seed} runs this graph again")
            raise
        done += 1
    assert done > 0
    print(f"\n{done} graphs")


def _seeds() -> Iterator[int]:
    if SEED is not None:
        yield int(SEED)
        return
    base = random.SystemRandom().randrange(2**32) if EXPLORES else 1
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        yield base
        base += 1


def _run_seeded(run: Callable[[int], Awaitable[None]], seed: int) -> None:
    """Run with a task order that comes from the seed too: hypothesis seeds trio's generator."""

    @settings(max_examples=1, database=None, deadline=None, derandomize=True)
    @given(st.just(seed))
    def example(seed: int) -> None:
        run_on_mock_clock(lambda: run(seed))

    example()
