"""What comes from outside is converted or refused, never guessed."""

import dataclasses
import datetime
from typing import Any, Generic, Protocol, TypeVar

import attrs
import msgspec
import pytest

from trouper.runtime._convert_message import convert_message

T = TypeVar("T")


class Point(msgspec.Struct):
    x: int


class Labelled(Point, forbid_unknown_fields=True):
    label: str = ""


class Holder(msgspec.Struct, Generic[T]):
    item: T


@dataclasses.dataclass
class Plain:
    x: int
    made: int = dataclasses.field(init=False, default=1)


@attrs.define
class Private:
    _x: int


class Custom: ...


class Saves(Protocol):
    def save(self) -> None: ...


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


class Raising(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no checks here")


class Unjudged(metaclass=Raising): ...


def convert(value: Any, type_: Any) -> Any:
    return convert_message(value, type_, node="sink")


def test_plain_data_becomes_the_type() -> None:
    assert convert({"x": 1}, Point) == Point(1)
    assert convert([{"x": 1}], list[Point]) == [Point(1)]
    assert convert({"x": 1}, Plain) == Plain(1)
    assert convert(1, float) == 1.0
    assert convert("x", Any) == "x"
    assert convert(None, None) is None


def test_an_object_of_the_type_goes_by_reference() -> None:
    labelled, custom = Labelled(1, "a"), Custom()
    for value, type_ in [
        (labelled, Point),
        (Holder(1), Holder[int]),
        (Plain(1), Plain),
        (Private(1), Private),
        (custom, Custom),
        (custom, Custom | None),
        (Holder(custom), Holder[Custom]),
        (datetime.datetime.now(datetime.UTC), datetime.datetime),
    ]:
        assert convert(value, type_) is value


@pytest.mark.parametrize(
    ("value", "type_", "problem"),
    [
        ("3", int, "'sink' takes int, not '3': Expected `int`, got `str`"),
        ({"x": "no"}, Point, r"'sink' takes Point, not {'x': 'no'}: .* - at `\$.x`"),
        # Wrong on purpose.
        (Point("no"), Point, r"Expected `int`, got `str` - at `\$.x`"),  # type: ignore[arg-type]
        ([Point("no")], list[Point], r"takes list\[.*Point\], not .* at `\$\[0\].x`"),  # type: ignore[arg-type]
        (Labelled("no"), Point, "Expected `int`, got `str`"),  # type: ignore[arg-type]
        (Holder("no"), Holder[int], "Expected `int`, got `str`"),
        # Likewise.
        (Plain("no"), Plain, "Expected `int`, got `str`"),  # type: ignore[arg-type]
        (1, Custom, "Expected `Custom`, got `int`"),
        ({"x": 1}, Point | Plain, "Type unions may not contain more than one dict-like"),
        (Broken(), int, "Expected `int`, got `Broken`"),
    ],
)
def test_a_wrong_value_is_refused_with_node_type_value_and_place(
    value: Any, type_: Any, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        convert(value, type_)


def test_a_long_value_is_cut_to_80_characters() -> None:
    with pytest.raises(TypeError) as caught:
        convert(dict.fromkeys(range(1000), "x" * 10000), int)
    shown = str(caught.value).removeprefix("'sink' takes int, not ").partition(": Expected")[0]
    assert len(shown) == 80
    assert shown.endswith("...")


def test_a_type_that_msgspec_does_not_know_is_checked_by_beartype() -> None:
    assert convert(Plain(1), Point | Plain) == Plain(1)
    assert convert(1, "Point") == 1
    assert convert(1, Saves) == 1
    assert convert(1, Unjudged) == 1
