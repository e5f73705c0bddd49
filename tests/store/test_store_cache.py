"""The cache: found again, bounded, computed by one process at a time."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stores import child, go, line, open_at, told
from trouper.runtime.store._cache import Hit, Turn, Within
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path) as opened:
        yield opened


def put(store: Store, key: bytes, value: bytes, task: str = "t") -> bool:
    turn = store.cache.begin(key, overwrite=True)
    assert isinstance(turn, Turn)
    return store.cache.finish(key, turn, value, task=task)


def test_a_value_is_there_for_whoever_comes_later(tmp_path: Path) -> None:
    with open_at(tmp_path) as store:
        assert store.cache.get(b"k") is None
        assert put(store, b"k", b"\x00value")
    with open_at(tmp_path) as store:
        assert store.cache.begin(b"k") == Hit(b"\x00value")
        assert put(store, b"k", b"")
        assert store.cache.get(b"k") == b""
        assert store.cache.size() == (1, 0)


def test_a_key_is_computed_by_one_at_a_time(store: Store) -> None:
    turn = store.cache.begin(b"k")
    assert isinstance(turn, Turn)
    assert store.cache.begin(b"k") is None
    assert store.cache.begin(b"k", overwrite=True) is None
    other = store.cache.begin(b"other")
    assert isinstance(other, Turn)
    store.cache.give_up(turn)
    again = store.cache.begin(b"k")
    assert isinstance(again, Turn)
    store.cache.finish(b"k", again, b"v", task="t")
    assert store.cache.begin(b"k") == Hit(b"v")
    store.cache.give_up(other)


def test_a_late_value_does_not_end_the_computation_of_another(store: Store) -> None:
    late = store.cache.begin(b"k")
    assert isinstance(late, Turn)
    store.cache.give_up(late)
    current = store.cache.begin(b"k")
    assert isinstance(current, Turn)
    store.cache.give_up(late)
    assert store.cache.begin(b"k") is None
    store.cache.give_up(current)


def test_two_stores_of_one_process_know_of_each_other(store: Store, tmp_path: Path) -> None:
    turn = store.cache.begin(b"k")
    assert isinstance(turn, Turn)
    with open_at(tmp_path) as other:
        assert other.cache.begin(b"k") is None
        store.cache.finish(b"k", turn, b"v", task="t")
        assert other.cache.begin(b"k") == Hit(b"v")


BEGIN = """
store = open_store(root)
found = store.cache.begin(b"k")
say(type(found).__name__)
wait()
if found is not None:
    store.cache.finish(b"k", found, b"theirs", task="t")
store.close()
"""


def test_what_another_process_computes_is_waited_for(store: Store, tmp_path: Path) -> None:
    """F39 across processes."""
    with child(BEGIN, tmp_path) as process:
        assert line(process) == "Turn"
        assert store.cache.begin(b"k") is None
        go(process)
        told(process)
        assert store.cache.begin(b"k") == Hit(b"theirs")


def test_the_computation_of_a_dead_process_is_taken_over(store: Store, tmp_path: Path) -> None:
    with child(BEGIN, tmp_path) as process:
        assert line(process) == "Turn"
        assert store.cache.begin(b"k") is None
    turn = store.cache.begin(b"k")
    assert isinstance(turn, Turn)
    store.cache.give_up(turn)


def test_a_computation_on_another_host_beats_or_is_taken_over(store: Store) -> None:
    turn = store.cache.begin(b"k")
    assert isinstance(turn, Turn)

    def move_away(heartbeat: float) -> None:
        with store.connections.writing() as db:
            db.execute("UPDATE cache_flight SET host = 'far', heartbeat = ?", (heartbeat,))

    move_away(0.0)
    store.cache.beat()
    assert store.cache.begin(b"k") is None
    move_away(0.0)
    assert isinstance(store.cache.begin(b"k"), Turn)
    store.cache.give_up(turn)
    store.cache.beat()


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(cache_value_bytes=4)) as store:
        assert put(store, b"k", b"1234")
        assert not put(store, b"l", b"12345")
        assert store.cache.get(b"l") is None
        turn = store.cache.begin(b"l")
        assert isinstance(turn, Turn)
        store.cache.give_up(turn)


def last_used(store: Store, key: bytes, seconds_ago: float) -> None:
    with store.connections.writing() as db:
        db.execute("UPDATE cache SET used = ? WHERE key = ?", (time.time() - seconds_ago, key))


def test_what_was_used_longest_ago_falls_out(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(cache_entries=3)) as store:
        for age, key in ((300, b"a"), (200, b"b"), (400, b"c")):
            put(store, key, b"v")
            last_used(store, key, age)
        assert store.cache.get(b"c") == b"v"  # it is used now
        put(store, b"d", b"v")
        assert [key for key in (b"a", b"b", b"c", b"d") if store.cache.get(key)] == [
            b"b",
            b"c",
            b"d",
        ]
        assert store.cache.size() == (3, 3)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=20))
def test_the_bounds_hold_and_the_size_is_right(puts: list[tuple[int, int]]) -> None:
    limits = Limits(cache_entries=4, cache_bytes=100)
    with tempfile.TemporaryDirectory() as name, open_at(Path(name), limits=limits) as store:
        for key, size in puts:
            assert put(store, bytes([key]), b"x" * size)
            assert store.cache.get(bytes([key])) == b"x" * size
            rows = store.connections.get().execute("SELECT size FROM cache").fetchall()
            entries, total = store.cache.size()
            assert (entries, total) == (len(rows), sum(size for (size,) in rows))
            assert entries <= 4
            assert total <= 100


def test_values_can_be_forgotten_by_task(store: Store) -> None:
    for key, task in ((b"a", "x"), (b"b", "y"), (b"c", "y")):
        put(store, key, b"v", task)
    assert store.cache.clear("y") == 2
    assert store.cache.get(b"a") == b"v"
    assert store.cache.clear() == 1
    assert store.cache.size() == (0, 0)


OURS = Within(project="p", domain="d", run="r")


@pytest.mark.parametrize(
    ("scope", "other", "is_found"),
    [
        ("global", {"project": "other", "domain": "other", "run": "other"}, True),
        ("project-domain", {"project": "p", "domain": "d", "run": "other"}, True),
        ("project-domain", {"project": "p", "domain": "other", "run": "r"}, False),
        ("project-domain", {"project": "other", "domain": "d", "run": "r"}, False),
        ("run", {"project": "p", "domain": "other", "run": "r"}, True),
        ("run", {"project": "p", "domain": "d", "run": "other"}, False),
        ("run", {"project": "other", "domain": "d", "run": "r"}, False),
    ],
)
def test_who_looks_says_whose_results_count(
    store: Store, scope: Any, other: dict[str, str], is_found: bool
) -> None:
    turn = store.cache.begin(b"k", within=OURS)
    assert isinstance(turn, Turn)
    assert store.cache.finish(b"k", turn, b"v", task="t", within=OURS)
    looking = Within(scope=scope, **other)
    found = store.cache.begin(b"k", within=looking)
    assert (found == Hit(b"v")) is is_found
    if isinstance(found, Turn):
        # Those that look at others' results may compute it at the same time.
        apart = store.cache.begin(b"k", overwrite=True)
        assert isinstance(apart, Turn)
        store.cache.give_up(apart)
        assert store.cache.begin(b"k", within=looking) is None
        store.cache.give_up(found)


def test_the_newest_of_several_results_is_found(store: Store) -> None:
    for run in ("one", "two", "one"):
        whose = Within(run=run)
        turn = store.cache.begin(b"k", overwrite=True, within=whose)
        assert isinstance(turn, Turn)
        store.cache.finish(b"k", turn, f"of {run}".encode(), task="t", within=whose)
    assert store.cache.get(b"k") == b"of one"
    assert store.cache.get(b"k", within=Within(scope="run", run="two")) == b"of two"
    assert store.cache.size() == (2, len(b"of one" + b"of two"))
