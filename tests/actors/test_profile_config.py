"""`ctx.config`: nobody can change it for the others (F18)."""

import copy
import datetime
import decimal
import enum
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper import ProfileConfig


class Colour(enum.Enum):
    RED = 1


SCALARS: list[Any] = [
    None,
    True,
    1,
    2**80,
    -(2**70),
    0.001,
    "x",
    b"x",
    datetime.date(2024, 1, 1),
    decimal.Decimal("1.5"),
    PurePosixPath("a/b"),
    Colour.RED,
]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
CONFIGS = st.dictionaries(st.text(), PLAIN, max_size=4)


def test_it_reads_like_a_mapping() -> None:
    config = ProfileConfig({"lr": 0.1, "model": {"layers": [1, {"n": 2}]}}, name="fast")
    assert config.get("lr", 1) == 0.1
    assert config.get("batch", 32) == 32
    assert config["model"]["layers"] == (1, {"n": 2})
    assert (list(config), len(config), "lr" in config) == (["lr", "model"], 2, True)
    assert config.name == "fast"
    assert repr(config) == (
        "ProfileConfig({'lr': 0.1, 'model': {'layers': [1, {'n': 2}]}}, name='fast')"
    )
    assert repr(ProfileConfig()) == "ProfileConfig({})"
    with pytest.raises(KeyError, match="batch"):
        config["batch"]


def test_dash_and_underscore_are_the_same_in_a_key() -> None:
    config = ProfileConfig({"batch-size": 1, "by_region": {"us-east": 2}, "a-b": 3})
    assert (config["batch_size"], config["batch-size"], config.get("a_b")) == (1, 1, 3)
    assert config["by-region"]["us_east"] == 2
    assert "a_c" not in config
    assert list(config) == ["batch-size", "by_region", "a-b"]
    assert config.get(cast("str", 3), "absent") == "absent"


def test_nothing_in_it_can_be_changed() -> None:
    """F18"""
    source: dict[str, Any] = {"a": {"b": [1]}}
    config = ProfileConfig(source)
    source["a"]["b"].append(2)
    assert config == {"a": {"b": [1]}}
    anything = cast("Any", config)
    changes: list[Callable[[], object]] = [
        lambda: anything.__setitem__("x", 1),
        lambda: anything["a"].__setitem__("b", 1),
        lambda: anything["a"]["b"].append(1),
        lambda: anything._data.__setitem__("x", 1),
        lambda: setattr(anything["a"], "x", 1),
        lambda: delattr(anything, "_data"),
    ]
    for change in changes:
        with pytest.raises((TypeError, AttributeError)):
            change()
    assert config == {"a": {"b": [1]}}


def test_a_refused_change_tells_what_to_do() -> None:
    with pytest.raises(AttributeError, match=r"read-only, so 'lr' can't be set; keep .* ctx.state"):
        cast("Any", ProfileConfig()).lr = 1
    with pytest.raises(AttributeError, match="'name' can't be deleted"):
        del cast("Any", ProfileConfig()).name


def test_to_dict_gives_a_fresh_plain_copy() -> None:
    config = ProfileConfig({"a": {"b": (1, [2])}})
    plain = config.to_dict()
    assert plain == {"a": {"b": [1, [2]]}}
    assert type(plain["a"]) is dict
    plain["a"]["b"].append(3)
    assert config.to_dict() == {"a": {"b": [1, [2]]}}


SPELT = st.dictionaries(
    st.sampled_from(["wd-x", "wd_x", "wd", "a-b-c", "a_b-c"]),
    st.integers(0, 1) | st.dictionaries(st.sampled_from(["k-1", "k_1"]), st.integers(0, 1)),
    max_size=2,
)


@given(SPELT, SPELT)
def test_equality_and_hash_of_content_agree_on_how_keys_are_spelt(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = ProfileConfig(one), ProfileConfig(other)
    is_equal = first == second
    assert is_equal == (first.content_hash() == second.content_hash())
    assert is_equal == (first == other) == (one == second)
    if is_equal:
        assert all(key in second and first[key] == second[key] for key in first)


def test_keys_that_are_spelt_otherwise_are_equal() -> None:
    assert ProfileConfig({"wd-x": {"k-1": [1]}}) == ProfileConfig({"wd_x": {"k_1": (1,)}})
    assert ProfileConfig({"wd-x": 1}) == {"wd_x": 1}
    assert ProfileConfig({"wd-x": 1, "wd_x": 2}) != {"wd_x": 2}
    assert ProfileConfig({"wd-x": 1}) != {1: 1}


def test_it_equals_what_has_its_content() -> None:
    config = ProfileConfig({"a": [1]}, name="x")
    assert config == ProfileConfig({"a": (1,)}, name="y")
    assert config == {"a": [1]}
    assert config != {"a": [2]}
    assert config != 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(config)


@given(CONFIGS)
def test_it_keeps_its_content_through_copies_and_pickles(data: dict[str, Any]) -> None:
    config = ProfileConfig(data, name="x")
    assert config == data
    assert config.to_dict() == data
    again = pickle.loads(pickle.dumps(config))
    assert (again, again.name) == (config, "x")
    assert again.content_hash() == config.content_hash()
    assert copy.copy(config) is config
    assert copy.deepcopy({"config": config})["config"] is config


@given(CONFIGS)
def test_the_hash_does_not_depend_on_order(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    assert ProfileConfig(data).content_hash() == ProfileConfig(turned).content_hash()


def test_the_hash_does_not_depend_on_how_keys_are_spelt() -> None:
    """`config["wd_x"]` finds `wd-x`, so tasks can't tell them apart."""
    dashes, underscores = {"wd-x": 1, "n": [{"a-b": 2}]}, {"wd_x": 1, "n": [{"a_b": 2}]}
    assert ProfileConfig(dashes).content_hash() == ProfileConfig(underscores).content_hash()
    both = [{"a-b": 1, "a_b": 2}, {"a-b": 2, "a_b": 1}, {"a_b": 1}, {"a-b": 2}]
    assert len({ProfileConfig(each).content_hash() for each in both}) == 4


def test_every_kind_of_value_has_its_own_hash_in_every_process() -> None:
    kinds = [*SCALARS, "2024-01-01", "1.5", "a/b", [1], {"x": 1}, 1.0, str(2**80)]
    hashes = [ProfileConfig({"a": each}).content_hash() for each in kinds]
    assert len({*hashes}) == len(kinds)
    assert {len(each) for each in hashes} == {32}
    code = "import trouper; print(trouper.ProfileConfig({'b': 2**80, 'a': 'x'}).content_hash())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ProfileConfig({"a": "x", "b": 2**80}).content_hash()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (1, "a configuration is a mapping from str, got 1; write a dict"),
        ("x", "a configuration is a mapping from str, got 'x'; write a dict"),
        ([], r"a configuration is a mapping from str, got \[\]; write a dict"),
        ({1: 2}, "the key 1 in config is no str; write '1'"),
        ({"a": [{None: 2}]}, r"the key None in config\['a'\]\[0\] is no str; write 'None'"),
        ({"a": {"b": {1}}}, r"config\['a'\]\['b'\] is a set, which is no plain data; make it dic"),
        ({"client": object()}, r"config\['client'\] is a object.* hand it to the workflow as deps"),
    ],
)
def test_only_plain_data_may_stand_in_it(data: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        ProfileConfig(data)


def test_it_belongs_to_the_face() -> None:
    assert ProfileConfig.__module__ == "trouper"
