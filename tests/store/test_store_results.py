"""The result map: on disk at once, seen by others, bounded (F10)."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.stores import child, line, new_run, open_at
from trouper.runtime.store._errors import TooMuch
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path, limits=Limits(results=3, result_bytes=100)) as opened:
        yield opened


SET = """
store = open_store(root)
claim = store.start(NewRun(name="run-1", target="t"))
store.results.set(claim, "loss", 0.25)
say("set")
wait()
"""


def test_a_result_is_seen_by_others_at_once_and_survives_a_kill(tmp_path: Path) -> None:
    """F10: results were lost on a crash, and invisible until the run had ended."""
    with open_at(tmp_path) as store:
        with child(SET, tmp_path) as process:
            assert line(process) == "set"
            run = store.runs.get("run-1").run
            assert store.results.get(run, "loss") == 0.25
        assert store.runs.get("run-1").is_lost
        assert store.results.get(run, "loss") == 0.25


def test_results_belong_to_the_run_and_pass_to_its_next_execution(store: Store) -> None:
    claim = store.runs.claim(new_run())
    store.results.set(claim, "a", 1)
    store.results.set(claim, "a", {"b": [2, None, b"x"]})
    store.runs.finish(claim, "failed")
    second = store.runs.claim(new_run())
    store.results.set(second, "c", math.inf)
    assert store.results.all(second.run) == {"a": {"b": [2, None, b"x"]}, "c": math.inf}
    assert store.results.get(second.run, "none") is None
    assert store.results.get(second.run, "none", 3) == 3


@pytest.mark.parametrize(
    ("key", "value", "kind", "problem"),
    [
        (3, 1, TypeError, "the key of a result is a str, got 3"),
        ("", 1, ValueError, "has 1 to 1024 characters, got 0"),
        ("k" * 1025, 1, ValueError, "has 1 to 1024 characters, got 1025"),
        ("k\udcff", 1, TypeError, "can't be kept: .*surrogates"),
        ("k", object(), TypeError, r"the result 'k' can't be kept: .*; make it dicts"),
        ("k", 2**70, TypeError, "the result 'k' can't be kept"),
        ("k", "x" * 101, TooMuch, r"has 103 bytes, and at most 100 are kept; save it as"),
    ],
)
def test_what_can_not_be_kept_is_refused(
    store: Store, key: Any, value: Any, kind: type[Exception], problem: str
) -> None:
    claim = store.runs.claim(new_run())
    with pytest.raises(kind, match=problem):
        store.results.set(claim, key, value)
    assert store.results.all(claim.run) == {}


def test_one_key_too_many_is_refused_and_the_others_stay(store: Store) -> None:
    claim = store.runs.claim(new_run())
    for n in range(3):
        store.results.set(claim, f"k{n}", n)
    with pytest.raises(TooMuch, match=r"'run-1' has 3 results already, so 'k3' is refused"):
        store.results.set(claim, "k3", 3)
    store.results.set(claim, "k0", "new")
    assert store.results.all(claim.run) == {"k0": "new", "k1": 1, "k2": 2}
