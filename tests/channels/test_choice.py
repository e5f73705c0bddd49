"""Who gets the next message: the choice by itself, against what it promises."""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper import OverflowPolicy, Partition, PartitionError
from trouper.channels._choice import Choice, choose
from trouper.channels._partition import call_chooser, hash_key, number_of, reader_of


@dataclass(frozen=True)
class Edge:
    """An edge as it stands: `room` messages fit into it."""

    overflow: OverflowPolicy
    room: bool
    over: bool

    def is_over(self) -> bool:
        return self.over

    def is_full(self) -> bool:
        return not self.over and not self.room and self.overflow == "block"

    def would_drop(self) -> bool:
        return not self.room and self.overflow != "block"


EDGES = st.builds(
    Edge,
    overflow=st.sampled_from(["block", "drop_oldest", "drop_newest", "latest", "fail"]),
    room=st.booleans(),
    over=st.booleans(),
)


@given(edges=st.lists(EDGES, min_size=1, max_size=6), data=st.data())
def test_the_first_with_room_from_its_turn_on_gets_it(edges: list[Edge], data: Any) -> None:
    """G6, V1: no message waits, fails or drops another one while some reader has room."""
    turn = data.draw(st.integers(0, len(edges) - 1))
    choice, at = choose(edges, turn)
    in_turn = edges[turn:] + edges[:turn]
    alive = [edge for edge in in_turn if not edge.over]
    if not alive:
        assert (choice, at) == (Choice.OVER, -1)
    elif any(edge.room for edge in alive):
        assert choice is Choice.TAKE
        assert edges[at] is next(edge for edge in alive if edge.room)
    elif any(edge.overflow == "block" for edge in alive):
        assert (choice, at) == (Choice.WAIT, -1)
    else:
        assert choice is Choice.LOSE
        dropping = [edge for edge in alive if edge.overflow != "fail"]
        assert edges[at] == (dropping or alive)[0]


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Word(StrEnum):
    A = "a"


@dataclass(frozen=True)
class Key:
    name: str


KEYS = st.recursive(
    st.text()
    | st.binary()
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.fractions()
    | st.sampled_from([Colour.RED, Size.SMALL, Word.A, int, Key, Key("a")]),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2),
)


@given(key=KEYS)
def test_a_key_has_one_number_of_64_bits(key: Any) -> None:
    assert 0 <= hash_key(key) < 1 << 64
    assert hash_key(key) == hash_key(key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (1, Size.SMALL),
        (0.5, Fraction(1, 2)),
        (0.0, -0.0),
        ("a", Word.A),
        (("a", 1), (Word.A, 1.0)),
        (Key("a"), Key("a")),
    ],
)
def test_equal_keys_have_the_same_number(one: Any, other: Any) -> None:
    """B8t"""
    assert one == other
    assert hash_key(one) == hash_key(other)


def test_what_is_not_a_number_goes_somewhere_always() -> None:
    assert hash_key(float("nan")) == hash_key(float("nan"))


@pytest.mark.parametrize("key", ["a", b"a", "\udc80", ("a", 7), Colour.RED, Word.A, int, None, 7])
def test_these_go_to_the_same_reader_in_every_process(key: Any) -> None:
    """X3: Python salts the hashes of texts; these numbers are written down."""
    known = {
        "a": 3904355907,
        b"a": 3904355907,
        "\udc80": 1697699323,
        ("a", 7): 3904448961311751,
        Colour.RED: 3840942239,
        int: 3056152196,
        None: 0,
        7: 7,
    }
    assert hash_key(key) == known[key]


@pytest.mark.parametrize("key", [object(), print, "x".lower, [], {}, ["a"], (1, []), iter("")])
def test_rubbish_is_no_key(key: Any) -> None:
    """G6"""
    with pytest.raises(PartitionError, match=r"of 'orders' gave .*, which is no key \(") as caught:
        number_of("orders", key, "x")
    assert isinstance(caught.value.__cause__, TypeError)


async def test_a_coroutine_is_no_key_and_is_closed() -> None:
    """G6: or Python would warn that nobody awaited it."""

    async def key() -> str:
        return "a"

    with pytest.raises(PartitionError, match="compares by identity"):
        number_of("orders", key(), "x")


@pytest.mark.parametrize(
    ("partition", "what"),
    [(Partition(lambda x: x["a"]), "key function"), (Partition(to=lambda x: x["a"]), "`to`")],
)
def test_a_function_that_raises_is_named_with_the_message(partition: Partition, what: str) -> None:
    """G6"""
    with pytest.raises(PartitionError, match=rf"{what} of .* of 'orders' failed on \{{'b': 1") as e:
        call_chooser("orders", partition, {"b": 1})
    assert isinstance(e.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Partition(), "takes one function"),
        (lambda: Partition(str, to=str), "takes one function"),
        (lambda: Partition(cast("Any", 3)), "key of Partition must be a function, got 3"),
        (lambda: Partition(to=cast("Any", "a")), "to of Partition must be a function, got 'a'"),
        (lambda: Partition(_wait), "is async; do what waits in the actor"),
        (lambda: Partition(_Waits()), "is async; do what waits in the actor"),
    ],
)
def test_what_is_no_function_is_refused(make: Any, text: str) -> None:
    """S13"""
    with pytest.raises(TypeError, match=text):
        make()


async def _wait(x: Any) -> str:
    return str(x)


class _Waits:
    async def __call__(self, x: Any) -> str:
        return str(x)


class Reader:
    def __init__(self) -> None:
        self.over = False

    def is_over(self) -> bool:
        return self.over


@given(
    numbers=st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=30),
    count=st.integers(1, 7),
    data=st.data(),
)
def test_only_the_keys_of_a_reader_that_ended_move(
    numbers: list[int], count: int, data: Any
) -> None:
    """B8t, G6"""
    readers = [Reader() for _ in range(count)]
    before = [reader_of(number, readers) for number in numbers]
    for ended in data.draw(st.permutations(range(count))):
        readers[ended].over = True
        after = [reader_of(number, readers) for number in numbers]
        for old, new in zip(before, after, strict=True):
            assert new == old if old != ended else new == -1 or not readers[new].over
        before = after
    assert before == [-1] * len(numbers)


@pytest.mark.parametrize("step", [1, 2, 8, 1024])
def test_keys_spread_over_all_readers(step: int) -> None:
    """Multiples of the number of readers too."""
    readers = [Reader() for _ in range(8)]
    counts = [0] * 8
    for number in range(4000):
        counts[reader_of(hash_key(number * step), readers)] += 1
    assert min(counts) > 400
    counts = [0] * 8
    for number in range(4000):
        counts[reader_of(hash_key(f"user-{number}"), readers)] += 1
    assert min(counts) > 400
