"""Values as keys: equal exactly when values and types are; what is not known is refused."""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
import zoneinfo
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime.cache._canonical import Form, NotCacheable, pack
from trouper.runtime.cache._code import name_of
from trouper.runtime.cache._results import decode_result, encode_result

FORM = Form(name_of)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: int


class Cat(msgspec.Struct):
    name: str


class Dog(msgspec.Struct):
    name: str


@dataclasses.dataclass
class Data:
    name: str


@attrs.define
class Attrs:
    name: str


class Keyed:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __cache_key__(self) -> Any:
        return self.value


UTC = datetime.UTC
NOON = datetime.datetime(2026, 1, 1, 12)  # noqa: DTZ001 - one without a zone is meant
DIFFERENT: list[Any] = [
    *(None, False, True, 0, 1, 1.0, "1", b"1", "", 2**63, 2**64, -(2**70), 1j),
    *([], (), {}, set[int](), frozenset[int](), bytearray(), range(0)),
    *([1], [1.0], [True], (1,), {1}, frozenset({1}), {1: 1}, {"1": 1}, [[1]], ["list", [1]]),
    *(["tuple", [1]], [1, 2**64], ["int", hex(2**64)], range(1), Color.RED, Color.BLUE),
    *(Point(1, 2), (1, 2), Cat("x"), Dog("x"), Data("x"), Attrs("x"), {"name": "x"}),
    *(NOON, NOON.replace(tzinfo=UTC), NOON.replace(fold=1), NOON.isoformat(), NOON.date()),
    *(NOON.time(), NOON.time().replace(tzinfo=UTC), datetime.timedelta(1), 86400),
    *(decimal.Decimal("1.0"), decimal.Decimal("1.00"), uuid.UUID(int=1), PurePosixPath("1")),
    *(re.compile("1"), re.compile("1", re.IGNORECASE), ..., Keyed(1), Keyed("1")),
]


def test_what_differs_has_another_key() -> None:
    """No two of these may ever be taken for each other: equal ones of other types neither."""
    packed = [pack(each, FORM) for each in DIFFERENT]
    for at, one in enumerate(packed):
        assert packed.index(one) == at, (DIFFERENT[packed.index(one)], DIFFERENT[at])


def test_the_order_of_a_dict_counts_only_if_it_shall() -> None:
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert pack(one, FORM) == pack(other, FORM)
    ordered = Form(name_of, is_sorted=False)
    assert pack(one, ordered) != pack(other, ordered)
    assert pack({3, 1, 2}, ordered) == pack({2, 3, 1}, ordered)


class Unknown:
    pass


class MyList(list[int]):
    pass


def looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


class Breaks:
    def __cache_key__(self) -> Any:
        raise OSError("no key")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Unknown, r"nothing is known of a .*Unknown; make it plain data.*__cache_key__"),
        (MyList, "nothing is known of a .*MyList"),
        (lambda: [1, Unknown()], "Unknown"),
        (looped, "holds itself, or is nested too deep"),
        (lambda: "\udcff", "a str can't be told in bytes"),
        (Breaks, "no key"),
        (lambda: print, "nothing is known of a builtins.builtin_function_or_method"),
    ],
)
def test_what_can_t_be_told_apart_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        pack(make(), FORM)


# -- results --------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.timedeltas()
    | st.datetimes()
    | st.times(),
    lambda below: (
        st.lists(below)
        | st.tuples(below, below)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), below)
        | st.frozensets(st.integers())
    ),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_results_come_back_as_they_are(value: Any) -> None:
    """Without an annotation too: a tuple is no list, a dict has its order."""
    back = decode_result(encode_result(value, Any), Any)
    assert back == value
    assert pack(back, Form(name_of, is_sorted=False)) == pack(value, Form(name_of, is_sorted=False))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Cat("x"), Cat),
        ([Cat("x"), Cat("y")], list[Cat]),
        (Data("x"), Data),
        (Attrs("x"), Attrs),
        (Color.BLUE, Color),
        (Point(1, 2), Point),
        ({"a": (1, 2)}, dict[str, tuple[int, ...]]),
        (NOON.replace(tzinfo=UTC), datetime.datetime),
        ((1, "a"), tuple[int, str]),
        ((1, "a"), Any),
        (PurePosixPath("a/b"), PurePosixPath),
        (1j, complex),
        (2**100, int),
        (..., Any),
        (range(3), range),
        (bytearray(b"x"), Any),
        ({1, 2}, Any),
    ],
)
def test_annotated_results_come_back_as_they_are(value: Any, hint: Any) -> None:
    back = decode_result(encode_result(value, hint), hint)
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Cat("x"), Any),
        (Cat("x"), Cat | None | str | dict[str, str]),
        (Keyed(1), Keyed),
        (re.compile("x"), re.Pattern),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(value: Any, hint: Any) -> None:
    with pytest.raises(NotCacheable, match="annotate the result with its type"):
        encode_result(value, hint)


class Words(datetime.tzinfo):
    def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(hours=1)

    def tzname(self, when: datetime.datetime | None) -> str:
        return "words"

    def dst(self, when: datetime.datetime | None) -> None:
        return None


@pytest.mark.parametrize("hint", [Any, datetime.datetime])
def test_time_zones_come_back_as_they_are(hint: Any) -> None:
    """msgpack has instants only: an annotation alone would give them back in UTC."""
    east = datetime.timezone(datetime.timedelta(hours=1))
    zones: list[datetime.tzinfo] = [UTC, east]
    if "Europe/Oslo" in zoneinfo.available_timezones():  # a bare machine has none
        zones.append(zoneinfo.ZoneInfo("Europe/Oslo"))
    for zone in zones:
        here = NOON.replace(tzinfo=zone)
        back = decode_result(encode_result(here, hint), hint)
        assert (back, repr(back.tzinfo)) == (here, repr(zone))
    for zone in (Words(), datetime.timezone(datetime.timedelta(hours=1), "here")):
        with pytest.raises(NotCacheable):
            encode_result(NOON.replace(tzinfo=zone), hint)


def test_damaged_bytes_are_no_result() -> None:
    with pytest.raises(Exception, match=r".*"):
        decode_result(b"t" + msgspec.msgpack.encode(["object", "x"]), Any)
    with pytest.raises(Exception, match=r".*"):
        decode_result(b"h" + msgspec.msgpack.encode("text"), int)
